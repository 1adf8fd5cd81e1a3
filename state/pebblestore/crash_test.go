package pebblestore_test

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/state/pebblestore"
)

// TestCrash takes the file system as a crash would leave it, at many of its operations, while stores are committed to, and
// checks that each store then equals its changelog up to its position.
func TestCrash(t *testing.T) {
	t.Parallel()
	const commits, clones = 800, 100
	fs := vfs.NewCrashableMem()
	c := &crasher{fs: fs, rng: rand.New(rand.NewPCG(1, 2)), max: clones}
	w := openCrashWorld(t, errorfs.Wrap(fs, c))
	for range commits {
		w.commit(t)
	}
	must(t, w.db.Close())
	checked := c.take()
	if len(checked) < clones {
		t.Fatalf("only %d crashes", len(checked))
	}
	behind := 0
	for i, fs := range checked {
		if w.check(t, fs, fmt.Sprintf("crash %d", i)) {
			behind++
		}
	}
	if behind < clones/10 {
		t.Errorf("only %d of %d crashes lost anything: the test is too kind", behind, clones)
	}
	if w.check(t, fs, "clean close") {
		t.Error("a clean close lost something")
	}
}

// crasher clones a file system before some of its writes and syncs.
type crasher struct {
	fs  *vfs.MemFS
	max int

	mu     sync.Mutex
	rng    *rand.Rand
	clones []*vfs.MemFS
}

func (c *crasher) String() string { return "crasher" }

// MaybeError implements errorfs.Injector; it never injects anything.
func (c *crasher) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() == errorfs.OpIsRead {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.clones) < c.max && c.rng.IntN(2) == 0 {
		unsynced := []int{0, 0, 50, 100}[c.rng.IntN(4)]
		c.clones = append(c.clones, c.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: unsynced, RNG: c.rng}))
	}
	return nil
}

func (c *crasher) take() []*vfs.MemFS {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.clones)
}

// crashWorld is a DB with a few store partitions, and their changelogs, which crashes do not touch.
type crashWorld struct {
	db     *state.DB
	rng    *rand.Rand
	stores []*crashStore
}

type crashStore struct {
	spec      *state.Spec
	partition int32
	layer     state.Layer
	records   []crashRecord // committed
	open      []crashRecord
}

type crashRecord struct {
	key   string
	value *string
	ts    int64
}

func (s *crashStore) Append(key, value []byte, ts int64) error {
	r := crashRecord{key: string(key), ts: ts}
	if value != nil {
		v := string(value)
		r.value = &v
	}
	s.open = append(s.open, r)
	return nil
}

func crashSpecs() []*state.Spec {
	return []*state.Spec{
		state.KeyValueSpec("counts", stringSerde{}, stringSerde{}),
		state.WindowSpec("windows", stringSerde{}, stringSerde{}, 10*time.Millisecond, 400*time.Millisecond),
	}
}

var (
	quiet = slog.New(slog.DiscardHandler)
	none  = serde.Headers{}
)

func openCrashDB(t *testing.T, fs vfs.FS) *state.DB {
	t.Helper()
	e, err := pebblestore.Open("state", pebblestore.Options{FS: fs, MemTableBytes: 64 << 10, Logger: quiet})
	must(t, err)
	db, err := state.NewDB(e, state.Config{Inline: true, ApplyBytes: 6 << 10, CacheBytes: 4 << 10, Logger: quiet})
	must(t, err)
	return db
}

func openCrashWorld(t *testing.T, fs vfs.FS) *crashWorld {
	w := &crashWorld{db: openCrashDB(t, fs), rng: rand.New(rand.NewPCG(3, 4))}
	for _, spec := range crashSpecs() {
		for partition := range int32(2) {
			s := &crashStore{spec: spec, partition: partition}
			p, err := w.db.Partition(spec, partition)
			must(t, err)
			must(t, p.Reset(state.Position{ClusterID: "c", Partition: partition}))
			s.layer, err = spec.Open(state.Env{Committed: p, Changelog: s})
			must(t, err)
			w.stores = append(w.stores, s)
		}
	}
	return w
}

func (w *crashWorld) commit(t *testing.T) {
	t.Helper()
	must(t, w.tryCommit())
}

// tryCommit commits some writes to one store, and now and then syncs. What the changelog has by then it keeps, whether that goes well or not.
func (w *crashWorld) tryCommit() error {
	s := w.stores[w.rng.IntN(len(w.stores))]
	for range 1 + w.rng.IntN(40) {
		key, val, ts := fmt.Sprint("key", w.rng.IntN(300)), fmt.Sprint("value", w.rng.IntN(1000)), w.rng.Int64N(1000)
		var err error
		switch l := s.layer.(type) {
		case *state.KeyValue[string, string]:
			if w.rng.IntN(4) == 0 {
				err = l.Delete(key, ts, serde.Headers{})
			} else {
				err = l.Put(key, val, ts, serde.Headers{})
			}
		case *state.Window[string, string]:
			newest, _ := l.Newest()
			start := max(0, newest+w.rng.Int64N(30)-w.rng.Int64N(350))
			if w.rng.IntN(4) == 0 {
				err = l.Delete(key, start, ts, serde.Headers{})
			} else {
				err = l.Put(key, start, val, ts, serde.Headers{})
			}
		}
		if err != nil {
			return err
		}
	}
	if err := s.layer.Flush(); err != nil {
		return err
	}
	s.records, s.open = append(s.records, s.open...), nil
	if err := s.layer.Commit(int64(len(s.records))); err != nil {
		return err
	}
	if w.rng.IntN(30) == 0 {
		return w.db.Sync()
	}
	return nil
}

// check opens the state in fs and compares every store with its changelog. It reports whether one is behind.
func (w *crashWorld) check(t *testing.T, fs vfs.FS, when string) (behind bool) {
	t.Helper()
	db := openCrashDB(t, fs)
	for _, s := range w.stores {
		p, err := db.Partition(s.spec, s.partition)
		must(t, err)
		pos, ok := p.Position()
		if !ok {
			pos.Next = 0
		}
		l, err := s.spec.Open(state.Env{Committed: p, Changelog: &crashStore{}})
		must(t, err)
		got, want := content(t, l), s.upTo(pos.Next)
		if !maps.Equal(got, want) {
			t.Fatalf("%s: store %s-%d at %d of %d:\n got %v\nwant %v", when, s.spec.Name, s.partition, pos.Next, len(s.records), got, want)
		}
		behind = behind || pos.Next < int64(len(s.records))
	}
	must(t, db.Close())
	return behind
}

// content reads a whole store.
func content(t *testing.T, l state.Layer) map[string]string {
	m := map[string]string{}
	switch l := l.(type) {
	case *state.KeyValue[string, string]:
		for r, err := range l.Range(serde.None[string](), serde.None[string]()) {
			must(t, err)
			m[r.Key] = fmt.Sprint(r.Value, " ", r.Timestamp)
		}
	case *state.Window[string, string]:
		for r, err := range l.FetchAll(0, 1<<40) {
			must(t, err)
			m[fmt.Sprint(r.Key, "@", r.Start)] = fmt.Sprint(r.Value, " ", r.Timestamp)
		}
	}
	return m
}

// upTo replays the changelog.
func (s *crashStore) upTo(next int64) map[string]string {
	m, starts, newest := map[string]string{}, map[string]int64{}, int64(-1)
	for _, r := range s.records[:next] {
		key := r.key
		if s.spec.Kind == state.KindWindow {
			end := len(key) - 12
			start := int64(binary.BigEndian.Uint64([]byte(key[end:])))
			key = fmt.Sprint(key[:end], "@", start)
			starts[key] = start
			newest = max(newest, start)
		}
		if delete(m, key); r.value != nil {
			m[key] = fmt.Sprint(*r.value, " ", r.ts)
		}
	}
	for key, start := range starts {
		if start <= newest-s.spec.Retention.Milliseconds() {
			delete(m, key)
		}
	}
	return m
}

type stringSerde struct{}

func (stringSerde) Append(dst []byte, v string) ([]byte, error) { return append(dst, v...), nil }
func (stringSerde) Decode(src []byte) (string, error)           { return string(src), nil }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
