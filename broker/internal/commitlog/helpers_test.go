package commitlog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/millrace-io/millrace/broker/internal/batch"
)

var ctx = context.Background()

// counterMachine is a machine that adds up numbers: its state is their count and sum.
type counterMachine struct {
	sync.Mutex
	count, sum int64
}

func (m *counterMachine) Replay(record []byte) error {
	r := reader{b: record}
	n, v := r.varint(), r.varint()
	if r.err != nil {
		return r.err
	}
	m.count += n
	m.sum += v
	return nil
}

func (m *counterMachine) Snapshot(emit func([]byte) error) error {
	return emit(counterRecord(m.count, m.sum))
}

func counterRecord(count, sum int64) []byte {
	return binary.AppendVarint(binary.AppendVarint(nil, count), sum)
}

// clock is a wall clock that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newClock() *clock { return &clock{now: time.UnixMilli(1_700_000_000_000)} }

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// testConfig is small in everything, so that little data makes segments roll and checkpoints happen.
func testConfig(fs vfs.FS) Config {
	return Config{FS: fs, Dir: "data", SegmentBytes: 32 << 10, TailBytes: 64 << 10, CheckpointBytes: 64 << 10,
		RetentionInterval: time.Hour, CompactionInterval: time.Hour, // tests call for it
		Now: newClock().Now, Logger: quiet}
}

func open(t testing.TB, cfg Config, machines ...Machine) *Log {
	t.Helper()
	l, err := Open(ctx, cfg, machineMap(machines))
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil && !errors.Is(err, ErrStopped) {
			t.Errorf("close: %v", err)
		}
	})
	return l
}

func machineMap(machines []Machine) map[MachineID]Machine {
	all := map[MachineID]Machine{}
	for i, m := range machines {
		all[MachineID(i+1)] = m
	}
	return all
}

func create(t testing.TB, l *Log, name string, partitions int32, configs map[string]string) Topic {
	t.Helper()
	topic, lsn, err := l.CreateTopic(TopicSpec{Name: name, Partitions: partitions, Configs: configs})
	if err != nil {
		t.Fatalf("create topic: %v", err)
	}
	wait(t, l, lsn)
	return topic
}

func wait(t testing.TB, l *Log, lsn LSN) {
	t.Helper()
	if err := l.Wait(ctx, lsn); err != nil {
		t.Fatalf("wait for %d: %v", lsn, err)
	}
}

// producerBatch describes a batch for a test.
type producerBatch struct {
	id       int64
	epoch    int16
	sequence int32
	txn      bool
	records  []batch.Record
}

func plain(n int, size int) producerBatch {
	return producerBatch{id: -1, epoch: -1, sequence: -1, records: records(n, size)}
}

func idempotent(id int64, epoch int16, sequence int32, n int) producerBatch {
	return producerBatch{id: id, epoch: epoch, sequence: sequence, records: records(n, 10)}
}

func transactional(id int64, epoch int16, sequence int32, n int) producerBatch {
	return producerBatch{id: id, epoch: epoch, sequence: sequence, txn: true, records: records(n, 10)}
}

func records(n, size int) []batch.Record {
	all := make([]batch.Record, n)
	for i := range all {
		all[i] = batch.Record{Timestamp: 1000 + int64(i), Key: fmt.Appendf(nil, "k%d", i), Value: make([]byte, size)}
	}
	return all
}

func (b producerBatch) raw() []byte {
	return batch.Build(batch.Header{ProducerID: b.id, ProducerEpoch: b.epoch, BaseSequence: b.sequence,
		Attributes: batch.Attrs(b.txn, false, false)}, b.records)
}

func (b producerBatch) append(t testing.TB, l *Log, p *Partition) AppendResult {
	t.Helper()
	res, err := p.Append(b.raw(), AppendOptions{Begin: b.txn})
	if err != nil {
		t.Fatalf("append: %v", err)
	}
	wait(t, l, res.LSN)
	return res
}

// readAll reads the partition from an offset to the limit, and returns the headers of what it got.
func readAll(t testing.TB, p *Partition, from int64, iso Isolation) (headers []batch.Header, raws [][]byte, aborted []AbortedTxn) {
	t.Helper()
	for {
		r, err := p.Read(from, ReadOptions{MaxBytes: 64 << 10, MinOneBatch: true, Isolation: iso})
		if err != nil {
			t.Fatalf("read at %d: %v", from, err)
		}
		if len(r.Batches) == 0 {
			return headers, raws, aborted
		}
		aborted = append(aborted, r.Aborted...)
		for _, b := range r.Batches {
			for len(b) > 0 {
				h, err := batch.ParseHeader(b)
				if err != nil {
					t.Fatalf("read at %d: %v", from, err)
				}
				if err := batch.Verify(b[:h.Size()], &h); err != nil {
					t.Fatalf("read at %d: %v", from, err)
				}
				headers = append(headers, h)
				raws = append(raws, b[:h.Size()])
				from = h.NextOffset()
				b = b[h.Size():]
			}
		}
	}
}

func mustHeader(t testing.TB, b []byte) batch.Header {
	t.Helper()
	h, err := batch.ParseHeader(b)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// compress returns the batch with its records compressed.
func compress(t testing.TB, raw []byte, codec batch.Codec) []byte {
	t.Helper()
	out, err := batch.Compress(raw, codec)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
