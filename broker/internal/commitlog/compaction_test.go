package commitlog

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/millrace-io/millrace/broker/internal/batch"
)

// compactedModel writes to a compacted partition, and knows what its keys are.
type compactedModel struct {
	t   *testing.T
	rng *rand.Rand
	l   *Log
	p   *Partition

	written map[int64]string // what was written at each offset: key=value
	last    map[string]int64 // offset of each key's last committed record
	value   map[int64]string // value at such an offset, "" for a tombstone
	open    map[int64][]int64
	keys    map[int64]string
	next    map[int64]int32 // sequence numbers, by producer
}

func newCompactedModel(t *testing.T, l *Log, p *Partition, seed uint64) *compactedModel {
	return &compactedModel{t: t, rng: rand.New(rand.NewPCG(seed, seed)), l: l, p: p, written: map[int64]string{}, last: map[string]int64{},
		value: map[int64]string{}, open: map[int64][]int64{}, keys: map[int64]string{}, next: map[int64]int32{}}
}

// step does one of the things that happen to such a partition.
func (m *compactedModel) step(now int64) {
	switch id := int64(m.rng.IntN(4)); {
	case m.rng.IntN(5) == 0 && id > 0:
		m.end(id, m.rng.IntN(2) == 0)
	default:
		m.write(id, now)
	}
}

// write appends a batch: of producer 0 outside of transactions, of the others inside.
func (m *compactedModel) write(id int64, now int64) {
	b := producerBatch{id: id, sequence: m.next[id], txn: id > 0}
	for range 1 + m.rng.IntN(5) {
		r := batch.Record{Key: fmt.Appendf(nil, "k%d", m.rng.IntN(30)), Timestamp: now}
		if m.rng.IntN(4) > 0 {
			r.Value = make([]byte, m.rng.IntN(1500))
			for i := range r.Value {
				r.Value[i] = byte('a' + m.rng.IntN(26))
			}
		}
		b.records = append(b.records, r)
	}
	raw := compress(m.t, b.raw(), batch.Codec(m.rng.IntN(5)))
	res, err := m.p.Append(raw, AppendOptions{Begin: b.txn})
	if err != nil {
		m.t.Fatal(err)
	}
	wait(m.t, m.l, res.LSN)
	m.next[id] += int32(len(b.records))
	for i, r := range b.records {
		at := res.BaseOffset + int64(i)
		m.written[at], m.value[at], m.keys[at] = fmt.Sprintf("%s=%s", r.Key, r.Value), string(r.Value), string(r.Key)
		if id == 0 {
			m.last[string(r.Key)] = max(m.last[string(r.Key)], at)
		} else {
			m.open[id] = append(m.open[id], at)
		}
	}
}

func (m *compactedModel) end(id int64, commit bool) {
	if len(m.open[id]) == 0 {
		return
	}
	lsn, _, err := m.l.Commit(Update{Markers: []Marker{{TopicPartition: m.p.name(), ProducerID: id, Commit: commit}}})
	if err != nil {
		m.t.Fatal(err)
	}
	wait(m.t, m.l, lsn)
	for _, at := range m.open[id] {
		if old, ok := m.last[m.keys[at]]; commit && (!ok || at > old) {
			m.last[m.keys[at]] = at
		}
	}
	delete(m.open, id)
}

// check reads everything that is committed and compares: every record is one that was written there, and the last one of each key
// is the model's.
func (m *compactedModel) check(p *Partition) {
	m.t.Helper()
	got, err := readCommitted(p, 0, math.MaxInt)
	if err != nil {
		m.t.Fatal(err)
	}
	last := map[string]int64{}
	for _, r := range got {
		if want := m.written[r.Offset]; want != fmt.Sprintf("%s=%s", r.Key, r.Value) {
			m.t.Fatalf("offset %d has another record than was written", r.Offset)
		}
		last[string(r.Key)] = r.Offset
	}
	stable := p.Offsets().LastStable
	for _, key := range slices.Sorted(maps.Keys(m.last)) {
		at, want := last[key], m.last[key]
		_, there := last[key]
		if want >= stable || m.value[want] == "" && !there { // read later; a tombstone may be gone
			continue
		}
		if !there || at != want {
			m.t.Fatalf("key %s: last at %d (%v), want %d", key, at, there, want)
		}
	}
}

// readCommitted reads as a client with isolation read_committed does, at most that often, and checks that offsets ascend.
func readCommitted(p *Partition, from int64, reads int) (all []batch.Record, err error) {
	last := int64(-1)
	for range reads {
		r, err := p.Read(from, ReadOptions{MaxBytes: 8 << 10, MinOneBatch: true, Isolation: ReadCommitted})
		if err != nil || len(r.Batches) == 0 {
			return all, err
		}
		aborted := map[int64][]int64{} // first offsets, by producer
		for _, a := range r.Aborted {
			aborted[a.ProducerID] = append(aborted[a.ProducerID], a.FirstOffset)
		}
		for raw := slices.Concat(r.Batches...); len(raw) > 0; {
			h, err := batch.ParseHeader(raw)
			if err != nil {
				return nil, err
			}
			one := raw[:h.Size()]
			raw = raw[h.Size():]
			if err := batch.Verify(one, &h); err != nil {
				return nil, err
			}
			if h.BaseOffset <= last {
				return nil, fmt.Errorf("batch at %d after offset %d", h.BaseOffset, last)
			}
			last, from = h.LastOffset(), h.NextOffset()
			if h.Attributes.Control() {
				if commit, _ := batch.ParseMarker(one, &h); !commit && len(aborted[h.ProducerID]) > 0 {
					aborted[h.ProducerID] = aborted[h.ProducerID][1:]
				}
				continue
			}
			if a := aborted[h.ProducerID]; h.Attributes.Transactional() && len(a) > 0 && a[0] <= h.BaseOffset {
				continue
			}
			records, err := batch.NewRecords(one, &h)
			if err != nil {
				return nil, err
			}
			for records.Next() {
				all = append(all, records.Record())
			}
			if records.Err() != nil {
				return nil, records.Err()
			}
		}
	}
	return all, nil
}

var compactAlways = map[string]string{"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0", "delete.retention.ms": "1000"}

// TestCompactionModel writes, compacts and crashes at random, and compares with a model after each round, and with what a crash at
// every sync leaves of the last checkpoints.
func TestCompactionModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			fs, clock := vfs.NewCrashableMem(), newClock()
			cfg := testConfig(fs)
			cfg.SegmentBytes, cfg.CompactionBytes, cfg.Now = 8<<10, 48<<(2+seed%5), clock.Now
			l := open(t, cfg)
			m := newCompactedModel(t, l, l.Partition(create(t, l, "t", 1, compactAlways).ID, 0), seed)
			for range 20 {
				for range m.rng.IntN(30) {
					m.step(clock.Now().UnixMilli())
				}
				clock.Add(time.Duration(m.rng.IntN(800)) * time.Millisecond)
				if err := m.l.flushPartition(m.p, 1); err != nil {
					t.Fatal(err)
				}
				for m.l.compactDirtiest() {
				}
				m.check(m.p)
				if m.rng.IntN(2) == 0 {
					if err := m.l.checkpoint(false); err != nil {
						t.Fatal(err)
					}
				}
				if err := m.l.Verify(ctx); err != nil {
					t.Fatal(err)
				}
				if m.rng.IntN(4) == 0 {
					cfg.FS = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: m.rng.IntN(2) * 100, RNG: m.rng})
					if err := m.l.Close(); err != nil {
						t.Fatal(err)
					}
					fs = cfg.FS.(*vfs.MemFS)
					m.l = open(t, cfg)
					m.p = m.l.Partition(m.p.topic.ID, m.p.index)
					m.check(m.p)
				}
			}
			if m.p.mu.cleaned == 0 {
				t.Error("nothing was compacted")
			}
		})
	}
}

// TestCompactionBesideReaders reads, from everywhere, while rounds replace segments and checkpoints remove files.
func TestCompactionBesideReaders(t *testing.T) {
	t.Parallel()
	clock := newClock()
	cfg := testConfig(vfs.NewMem())
	cfg.SegmentBytes, cfg.Now = 8<<10, clock.Now
	l := open(t, cfg)
	m := newCompactedModel(t, l, l.Partition(create(t, l, "t", 1, compactAlways).ID, 0), 1)
	for id := range int64(4) {
		m.write(id, 0)
	}
	var done atomic.Bool
	var wg sync.WaitGroup
	for seed := range uint64(3) {
		rng := rand.New(rand.NewPCG(seed, 7))
		wg.Go(func() {
			for !done.Load() {
				from := rng.Int64N(m.p.Offsets().LastStable + 1)
				if _, err := readCommitted(m.p, from, 3); err != nil {
					t.Errorf("read from %d: %v", from, err)
					return
				}
				if _, err := m.p.OffsetForTimestamp(rng.Int64N(100), ReadCommitted); err != nil {
					t.Errorf("look-up: %v", err)
					return
				}
			}
		})
	}
	for i := range 25 {
		for range 20 {
			m.step(int64(i))
		}
		clock.Add(300 * time.Millisecond)
		if err := l.flushPartition(m.p, 1); err != nil {
			t.Fatal(err)
		}
		l.compactDirtiest()
		if err := l.checkpoint(false); err != nil {
			t.Fatal(err)
		}
	}
	done.Store(true)
	wg.Wait()
	m.check(m.p)
}

// TestFailedCompaction: a round that cannot write leaves the log as it was, which goes on; so does the next start.
func TestFailedCompaction(t *testing.T) {
	t.Parallel()
	fs := &fullFS{FS: vfs.NewMem()}
	cfg := testConfig(fs)
	l := open(t, cfg)
	p := l.Partition(create(t, l, "t", 1, compactAlways).ID, 0)
	for range 5 {
		plain(1, 20<<10).append(t, l, p)
	}
	if err := l.flushPartition(p, 1); err != nil {
		t.Fatal(err)
	}
	fs.broken.Store(true)
	if !l.compactDirtiest() || l.compactDirtiest() {
		t.Error("a failed round is tried again at once")
	}
	fs.broken.Store(false)
	if got, err := readCommitted(p, 0, math.MaxInt); err != nil || len(got) != 5 {
		t.Errorf("%d records, %v", len(got), err)
	}
	plain(1, 10).append(t, l, p)
	if names := segmentFiles(t, fs, p); len(names) != 5 {
		t.Errorf("files %v", names)
	}
	l = reopen(t, l)
	p = l.Partition(p.topic.ID, 0)
	if !l.compactDirtiest() {
		t.Error("not compacted after a restart")
	}
	if got, err := readCommitted(p, 0, math.MaxInt); err != nil || len(got) != 3 { // the last two are in the segment that is written
		t.Errorf("%d records, %v", len(got), err)
	}
}

// fullFS has no room for files of compacted segments while it is told so.
type fullFS struct {
	vfs.FS
	broken atomic.Bool
}

func (fs *fullFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, c)
	if err == nil && fs.broken.Load() && compactedName(fs.PathBase(name)) {
		return &fullFile{f}, nil
	}
	return f, err
}

type fullFile struct{ vfs.File }

func (f *fullFile) Write(b []byte) (int, error) { return 0, errors.New("no space left on device") }

// TestCompactionOfDamage: a damaged segment is not compacted, and stays for whoever restores it.
func TestCompactionOfDamage(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	l := open(t, testConfig(fs))
	p := l.Partition(create(t, l, "t", 1, compactAlways).ID, 0)
	for range 5 {
		plain(1, 20<<10).append(t, l, p)
	}
	if err := l.flushPartition(p, 1); err != nil {
		t.Fatal(err)
	}
	before := segmentFiles(t, fs, p)
	flip(t, fs, fs.PathJoin(p.dir, before[0]), 1000)
	l.compactDirtiest()
	if l.compactDirtiest() {
		t.Error("tried again")
	}
	if after := segmentFiles(t, fs, p); !slices.Equal(before, after) {
		t.Errorf("files before %v, after %v", before, after)
	}
}

// TestReplacedUnderReader: a reader that has found its segment and opens the index meets a round that replaces the segment and a
// checkpoint that removes its files. It reads the new ones.
func TestReplacedUnderReader(t *testing.T) {
	t.Parallel()
	reads := map[string]func(p *Partition) (int64, error){
		"read": func(p *Partition) (int64, error) {
			r, err := p.Read(0, ReadOptions{MaxBytes: 1, MinOneBatch: true})
			return int64(len(r.Batches)), err
		},
		"read of what is committed": func(p *Partition) (int64, error) {
			r, err := p.Read(0, ReadOptions{MaxBytes: 1, MinOneBatch: true, Isolation: ReadCommitted})
			return int64(len(r.Batches)), err
		},
		"look-up by time": func(p *Partition) (int64, error) {
			found, err := p.OffsetForTimestamp(0, ReadUncommitted)
			return min(found.Offset, 1), err
		},
	}
	for name, read := range reads {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fs := &watchedFS{FS: vfs.NewMem()}
			l := open(t, testConfig(fs))
			p := l.Partition(create(t, l, "t", 1, compactAlways).ID, 0)
			for range 5 { // of one key, each in a segment of its own
				plain(1, 20<<10).append(t, l, p)
			}
			l = reopen(t, l) // no index is in memory
			p = l.Partition(p.topic.ID, 0)
			before := segmentFiles(t, fs, p)
			fs.opening = func(path string) {
				if !strings.HasSuffix(path, indexSuffix) {
					return
				}
				fs.opening = nil
				if !l.compactDirtiest() {
					t.Error("nothing was compacted")
				}
				if err := l.checkpoint(false); err != nil {
					t.Error(err)
				}
			}
			if n, err := read(p); err != nil || n != 1 {
				t.Errorf("%d, %v", n, err)
			}
			if fs.opening != nil || slices.Equal(before, segmentFiles(t, fs, p)) {
				t.Error("the files were not replaced under the reader")
			}
		})
	}
}

// watchedFS tells before a file is opened for reading, or looked for.
type watchedFS struct {
	vfs.FS
	opening func(path string)
}

func (fs *watchedFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	if fs.opening != nil {
		fs.opening(name)
	}
	return fs.FS.Open(name, opts...)
}

func (fs *watchedFS) Stat(name string) (vfs.FileInfo, error) {
	if fs.opening != nil {
		fs.opening(name)
	}
	return fs.FS.Stat(name)
}
