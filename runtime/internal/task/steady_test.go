//go:build !invariants

// What is asserted with invariants allocates.

package task_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/task"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/state/memstore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/window"
	"github.com/millrace-io/millrace/topology"
)

// What a record may allocate in the steady state, commits included: nothing of its own. What is left are pieces of memory for many
// records: the chunks that decoded keys and values are cut from, of which there is one for each KiB decoded, and growth of tables,
// logs and time buckets, which is perRecord at most.
const (
	steadyRecords = 20_000 // between two commits
	steadyKeys    = 5_000
	perRecord     = 0.01
	arenaChunk    = 1 << 10
)

// steady drives one task round by round: batches in, a commit after each round.
type steady struct {
	tb    testing.TB
	task  *task.Task
	out   *discard
	next  map[string]int64
	store []string
}

func newSteady(tb testing.TB, b *stream.Builder) *steady {
	tb.Helper()
	top, err := b.Topology()
	if err != nil {
		tb.Fatal(err)
	}
	db, err := state.NewDB(memstore.New(), state.Config{Inline: true, ApplyBytes: 4 << 20})
	if err != nil {
		tb.Fatal(err)
	}
	s := &steady{tb: tb, out: &discard{}, next: map[string]int64{}}
	s.task, err = task.New(task.Config{
		Topology: top, ApplicationID: "app", Output: s.out, Logger: slog.New(slog.DiscardHandler),
		Committed: func(spec *state.Spec) (*state.Partition, error) {
			s.store = append(s.store, spec.Name)
			p, err := db.Partition(spec, 0)
			if err != nil {
				return nil, err
			}
			return p, p.Reset(state.Position{})
		},
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.task.Close(); err != nil {
			tb.Error(err)
		}
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// round processes a batch of each topic and commits.
func (s *steady) round(topics []string, batches []*loop) {
	n := 0
	for i, topic := range topics {
		batches[i].i = 0
		n += len(batches[i].records)
		if err := s.task.Offer(task.Input{Topic: topic}, batches[i]); err != nil {
			s.tb.Fatal(err)
		}
	}
	for _, topic := range topics {
		s.task.Lag(task.Input{Topic: topic}, true, 0)
	}
	if got, _, err := s.task.Step(time.UnixMilli(1), n+1); got != n || err != nil {
		s.tb.Fatalf("%d of %d records: %v", got, n, err)
	}
	if err := s.task.Flush(); err != nil {
		s.tb.Fatal(err)
	}
	s.task.Progress()
	for _, name := range s.store {
		s.next[name] += int64(n)
	}
	if err := s.task.Committed(s.next); err != nil {
		s.tb.Fatal(err)
	}
}

// measure returns the allocations of a record, beyond the chunks that keys and values are cut from.
func (s *steady) measure(topics []string, batches ...*loop) float64 {
	const rounds = 6
	for range rounds { // until tables and logs have their size
		s.round(topics, batches)
	}
	records, chunks := 0, 0
	for _, b := range batches {
		records += len(b.records)
		chunks += b.decoded/arenaChunk + 1
	}
	all := testing.AllocsPerRun(rounds, func() { s.round(topics, batches) })
	return (all - float64(chunks)) / float64(records)
}

// loop is a batch that can be read again. Its records come step milliseconds later each time.
type loop struct {
	records []topology.Raw
	decoded int // bytes of keys and values that are cut from chunks
	step    int64
	shift   int64
	offset  int64
	i       int
}

func (b *loop) Next(r *topology.Raw) (bool, error) {
	if b.i == len(b.records) {
		b.shift += b.step
		return false, nil
	}
	*r = b.records[b.i]
	r.Timestamp += b.shift
	r.Offset = b.offset
	b.offset++
	b.i++
	return true, nil
}
func (b *loop) End() int64         { return b.offset }
func (b *loop) LeaderEpoch() int32 { return 0 }
func (b *loop) Bytes() int         { return len(b.records) }
func (b *loop) Release()           {}

// records makes a batch of random keys, a millisecond apart; values have size bytes.
func records(n, size int) *loop {
	rng := rand.New(rand.NewPCG(1, 2))
	b := &loop{records: make([]topology.Raw, n), step: int64(n)}
	for i := range b.records {
		key := fmt.Appendf(nil, "key-%05d", rng.IntN(steadyKeys))
		b.records[i] = topology.Raw{Key: key, Value: make([]byte, size), Timestamp: int64(i)}
		b.decoded += len(key)
		if size != 8 { // numbers are not cut
			b.decoded += size
		}
	}
	return b
}

// TestSteadyState: in the steady state a record allocates nothing, through the whole task: queue, decoding, operators, stores, flush,
// commit.
func TestSteadyState(t *testing.T) {
	for _, c := range []struct {
		name   string
		build  func(b *stream.Builder)
		topics []string
		batch  []*loop
	}{
		{"pass-through", func(b *stream.Builder) {
			stream.From(b, "in", serde.String, serde.Bytes).To("out", serde.String, serde.Bytes)
		}, []string{"in"}, []*loop{records(steadyRecords, 64)}},
		{"count", func(b *stream.Builder) {
			stream.GroupByKey(stream.From(b, "in", serde.String, serde.Int64)).Count(stream.Materialized("counts", serde.Int64)).
				ToStream().To("out", serde.String, serde.Int64)
		}, []string{"in"}, []*loop{records(steadyRecords, 8)}},
		{"windowed count", func(b *stream.Builder) {
			counts := stream.GroupByKey(stream.From(b, "in", serde.String, serde.Int64)).
				WindowedBy(window.Tumbling(time.Minute)).Count(stream.Materialized("counts", serde.Int64))
			stream.ToStream(counts).To("out", window.KeySerde(serde.String, time.Minute), serde.Int64)
		}, []string{"in"}, []*loop{records(steadyRecords, 8)}},
		{"stream-table join", func(b *stream.Builder) {
			table := stream.Table(b, "table", serde.String, serde.Int64)
			joined := stream.JoinTable(stream.From(b, "in", serde.String, serde.Int64), table, func(v, row int64) int64 { return v + row })
			joined.To("out", serde.String, serde.Int64)
		}, []string{"table", "in"}, []*loop{records(steadyRecords/10, 8), records(steadyRecords, 8)}},
	} {
		b := stream.NewBuilder()
		c.build(b)
		s := newSteady(t, b)
		n := s.measure(c.topics, c.batch...)
		t.Logf("%s: %.4f allocations per record", c.name, n)
		if n > perRecord {
			t.Errorf("%s: %.4f allocations per record, want %.3f at most", c.name, n, perRecord)
		}
		if s.out.n == 0 {
			t.Errorf("%s: nothing came out", c.name)
		}
	}
}
