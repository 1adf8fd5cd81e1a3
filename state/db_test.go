package state_test

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
)

// TestRestore: what is restored is there with its position, in memory and after the engine is opened again.
func TestRestore(t *testing.T) {
	t.Parallel()
	e := newEngine()
	db := openDB(t, e, state.Config{Inline: true})
	p, err := db.Partition(kvSpec, 0)
	must(t, err)
	if _, ok := p.Position(); ok {
		t.Error("a new partition has a position")
	}
	begin := state.Position{ClusterID: "cluster", TopicID: [16]byte{1}, Partition: 4, Next: 100}
	must(t, p.Reset(begin))
	value := func(n int64) []byte { b, _ := int64Serde{}.Append(nil, n); return b }
	must(t, p.Restore([]byte("a"), value(1), 7))
	must(t, p.Restore([]byte("b"), value(1), 7))
	must(t, p.Restore([]byte("b"), nil, 8))
	if pos, _ := p.Position(); pos != begin {
		t.Errorf("position %+v before RestoredTo", pos)
	}
	must(t, p.RestoredTo(103))
	want := begin
	want.Next = 103
	check := func(db *state.DB) {
		t.Helper()
		p, err := db.Partition(kvSpec, 0)
		must(t, err)
		if pos, ok := p.Position(); pos != want || !ok {
			t.Errorf("position %+v, %v; want %+v", pos, ok, want)
		}
		s := openLayer[*strings64](t, p, kvSpec, nil)
		if v, ts, ok, err := s.Get("a"); v != 1 || ts != 7 || !ok || err != nil {
			t.Errorf("a: %d @%d, %v, %v", v, ts, ok, err)
		}
		if _, _, ok, err := s.Get("b"); ok || err != nil {
			t.Errorf("b: %v, %v", ok, err)
		}
	}
	check(db)
	must(t, db.Close())
	check(openDB(t, e, state.Config{Inline: true}))
}

// TestCompleteAsOf: when a partition had all of its changelog is kept with its position, and outlives the process to about a minute.
func TestCompleteAsOf(t *testing.T) {
	t.Parallel()
	const begun, minute = 1_700_000_000_000, 60_000
	e := newEngine()
	db := openDB(t, e, state.Config{Inline: true})
	p, err := db.Partition(kvSpec, 0)
	must(t, err)
	p.CompleteAsOf(begun) // of what has no position
	want := func(p *state.Partition, asOf int64) {
		t.Helper()
		if pos, _ := p.Position(); pos.AsOf != asOf {
			t.Errorf("as of %d, want %d", pos.AsOf, asOf)
		}
	}
	want(p, 0)
	must(t, p.Reset(state.Position{ClusterID: "cluster", AsOf: begun}))
	s := openLayer[*strings64](t, p, kvSpec, nil)
	reopened := func(asOf int64) {
		t.Helper()
		must(t, db.Close())
		db = openDB(t, e, state.Config{Inline: true})
		p, err = db.Partition(kvSpec, 0)
		must(t, err)
		want(p, asOf)
		s = openLayer[*strings64](t, p, kvSpec, nil)
	}
	reopened(begun)
	must(t, s.Put("a", 1, 0, none))
	must(t, commit(s, 1))
	p.CompleteAsOf(begun + 5)
	p.CompleteAsOf(begun + 3) // an earlier one says nothing
	want(p, begun+5)
	reopened(begun + 5) // with the change
	p.CompleteAsOf(begun + 6)
	reopened(begun + 5) // alone it waits
	p.CompleteAsOf(begun + minute)
	p.CompleteAsOf(begun + 2*minute)
	reopened(begun + 2*minute)
}

// TestReset: nothing of before is left, not even of what waited to be applied.
func TestReset(t *testing.T) {
	t.Parallel()
	e := newEngine()
	db := openDB(t, e, state.Config{Inline: true})
	p := openPartition(t, db, kvSpec)
	s := openLayer[*strings64](t, p, kvSpec, nil)
	must(t, s.Put("applied", 1, 0, none))
	must(t, commit(s, 1))
	must(t, db.Sync())
	must(t, s.Put("waiting", 1, 0, none))
	must(t, commit(s, 2))
	must(t, p.Restore([]byte("buffered"), []byte("12345678"), 0))
	want := state.Position{ClusterID: "another", Next: 5}
	must(t, p.Reset(want))
	must(t, p.RestoredTo(5))
	must(t, db.Sync())
	if pos, ok := p.Position(); pos != want || !ok {
		t.Errorf("position %+v, %v", pos, ok)
	}
	if n := e.len(t, data); n != 0 {
		t.Errorf("%d entries left", n)
	}
	s = openLayer[*strings64](t, p, kvSpec, nil)
	for _, k := range []string{"applied", "waiting", "buffered"} {
		if _, _, ok, err := s.Get(k); ok || err != nil {
			t.Errorf("%s: %v, %v", k, ok, err)
		}
	}
}

// TestResetWithinBatch: what was read of a batch before the partition was emptied is not of it, nor are the times that it had.
func TestResetWithinBatch(t *testing.T) {
	t.Parallel()
	db := openDB(t, newEngine(), state.Config{Inline: true})
	spec := state.WindowSpec("w", stringSerde{}, int64Serde{}, 10*time.Millisecond, 100*time.Millisecond)
	p := openPartition(t, db, spec)
	must(t, p.Restore(windowKey("late", 1000), make([]byte, 8), 0))
	must(t, p.Reset(state.Position{ClusterID: "c"}))
	must(t, p.Restore(windowKey("k", 0), make([]byte, 8), 0))
	must(t, p.RestoredTo(1))
	equal(t, "windows", rows(t, openLayer[*windows](t, p, spec, nil).FetchAll(0, 2000)), []string{"k@0=0"})

	spec = state.VersionedSpec("v", serde.String, serde.String, versionHistory*time.Millisecond)
	p = openPartition(t, db, spec)
	must(t, p.Restore([]byte("late"), []byte("v"), 1000))
	must(t, p.Reset(state.Position{ClusterID: "c"}))
	must(t, p.Restore([]byte("k"), []byte("v"), 0))
	must(t, p.RestoredTo(1))
	var keys []string
	must(t, openLayer[*state.Versioned[string, string]](t, p, spec, nil).Each(func(key, _ string, from, _ int64) error {
		keys = append(keys, fmt.Sprintf("%s@%d", key, from))
		return nil
	}))
	equal(t, "versions", keys, []string{"k@0"})
}

func TestRestoreBadWindowKey(t *testing.T) {
	t.Parallel()
	spec := state.WindowSpec("w", stringSerde{}, int64Serde{}, time.Second, time.Minute)
	p := openPartition(t, openDB(t, newEngine(), state.Config{Inline: true}), spec)
	if err := p.Restore([]byte("short"), nil, 0); err == nil {
		t.Error("a key without room for a window's start was taken")
	}
}

// TestFormat: another layout's version is refused, and so is an engine that holds something else.
func TestFormat(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(*state.Batch){
		"newer":   func(b *state.Batch) { b.Set([]byte{0}, []byte{0, 0, 0, 9}) },
		"older":   func(b *state.Batch) { b.Set([]byte{0}, []byte{0, 0, 0, 0}) },
		"foreign": func(b *state.Batch) { b.Set([]byte("something"), nil) },
	} {
		e := newEngine()
		var b state.Batch
		write(&b)
		must(t, e.Apply(&b))
		_, err := state.NewDB(e, state.Config{Inline: true})
		f, ok := errors.AsType[*state.FormatError](err)
		if !ok || f.Want != 1 || name == "newer" && f.Found != 9 {
			t.Errorf("%s: %v, want a FormatError", name, err)
		}
	}
}

// TestLayoutChange: a store whose declaration has changed so that its bytes mean something else is emptied, and wants to be
// restored.
func TestLayoutChange(t *testing.T) {
	t.Parallel()
	e := newEngine()
	spec := func(size time.Duration) *state.Spec {
		return state.WindowSpec("w", stringSerde{}, int64Serde{}, size, 100*size)
	}
	db := openDB(t, e, state.Config{Inline: true})
	s := openLayer[*windows](t, openPartition(t, db, spec(time.Second)), spec(time.Second), nil)
	must(t, s.Put("k", 0, 1, 0, none))
	must(t, commitWindows(s, 1))
	must(t, db.Close())

	db = openDB(t, e, state.Config{Inline: true})
	p, err := db.Partition(spec(time.Minute), 0)
	must(t, err)
	if _, ok := p.Position(); ok {
		t.Error("the store kept its position")
	}
	if n := e.len(t, data); n != 0 {
		t.Errorf("%d entries left", n)
	}
}

// TestAbsentKeysCostNoRead: while all of a store is in memory the engine is not asked for keys that are new, and after a
// restart a small store is in memory again after one scan.
func TestAbsentKeysCostNoRead(t *testing.T) {
	t.Parallel()
	e := newEngine()
	db := openDB(t, e, state.Config{Inline: true})
	s := openLayer[*strings64](t, openPartition(t, db, kvSpec), kvSpec, nil)
	gets, scans := e.gets.Load(), e.scans.Load()
	for i := range 1000 {
		must(t, s.Put(fmt.Sprint(i), 1, 0, none))
	}
	must(t, commit(s, 1))
	if e.gets.Load() != gets || e.scans.Load() != scans {
		t.Errorf("%d gets, %d scans for new keys", e.gets.Load()-gets, e.scans.Load()-scans)
	}
	must(t, db.Close())

	db = openDB(t, e, state.Config{Inline: true})
	s = openLayer[*strings64](t, openPartition(t, db, kvSpec), kvSpec, nil)
	gets, scans = e.gets.Load(), e.scans.Load()
	for i := range 2000 {
		_, _, ok, err := s.Get(fmt.Sprint(i))
		must(t, err)
		if ok != (i < 1000) {
			t.Fatalf("key %d there: %v", i, ok)
		}
	}
	if e.gets.Load() != gets || e.scans.Load() != scans+1 {
		t.Errorf("%d gets, %d scans after a restart, want one scan", e.gets.Load()-gets, e.scans.Load()-scans)
	}
}

// TestCacheBound: memory stays within its bound while a store grows far beyond it, and every entry can still be read.
func TestCacheBound(t *testing.T) {
	t.Parallel()
	const bound = 64 << 10
	e := newEngine()
	db := openDB(t, e, state.Config{Inline: true, CacheBytes: 2 * bound, ApplyBytes: 16 << 10})
	s := openLayer[*strings64](t, openPartition(t, db, kvSpec), kvSpec, nil)
	for i := range int64(20_000) {
		must(t, s.Put(fmt.Sprint(i), i, i, none))
		if i%100 == 0 {
			must(t, commit(s, i))
		}
		if _, cached := s.Bytes(); cached > 2*bound {
			t.Fatalf("%d bytes cached after %d records", cached, i)
		}
	}
	must(t, commit(s, 20_000))
	n := int64(0)
	for row, err := range s.Range(serde.None[string](), serde.None[string]()) {
		must(t, err)
		if row.Key != fmt.Sprint(row.Value) {
			t.Fatalf("%s = %d", row.Key, row.Value)
		}
		n++
	}
	if n != 20_000 {
		t.Errorf("%d rows", n)
	}
	for i := range int64(20_000) {
		if v, _, ok, err := s.Get(fmt.Sprint(i)); v != i || !ok || err != nil {
			t.Fatalf("%d: %d, %v, %v", i, v, ok, err)
		}
	}
}

func TestStoredAndRemove(t *testing.T) {
	t.Parallel()
	e := newEngine()
	db := openDB(t, e, state.Config{Inline: true})
	other := state.KeyValueSpec("another", stringSerde{}, int64Serde{})
	for _, spec := range []*state.Spec{kvSpec, other} {
		s := openLayer[*strings64](t, openPartition(t, db, spec), spec, nil)
		must(t, s.Put("k", 1, 0, none))
		must(t, commit(s, 1))
	}
	stored := func() (list []string) {
		sps, err := db.Stored()
		must(t, err)
		for _, sp := range sps {
			list = append(list, sp.String())
		}
		return list
	}
	equal(t, "stored", stored(), []string{"another-0", "kv-0"})
	must(t, db.Sync())

	p, err := db.Partition(kvSpec, 0)
	must(t, err)
	s := openLayer[*strings64](t, p, kvSpec, nil)
	must(t, db.Remove(state.StorePartition{Store: "kv", Partition: 0}))
	equal(t, "stored after remove", stored(), []string{"another-0"})
	if _, _, _, err := s.Get("k"); !errors.Is(err, state.ErrClosed) {
		t.Errorf("get from a removed partition: %v, want ErrClosed", err)
	}
	must(t, db.Sync())
	if n := e.len(t, data); n != 1 {
		t.Errorf("%d entries left", n)
	}
	if p := openPartition(t, db, kvSpec); p == nil {
		t.Error("a removed partition cannot be opened again")
	}
}

// reclaimer is an engine that notes the durable steps of Remove.
type reclaimer struct {
	*engine
	steps   []string
	unready error // of Sync
	stuck   error // of Reclaim
}

func (e *reclaimer) Apply(b *state.Batch) error {
	e.steps = append(e.steps, "apply")
	return e.engine.Apply(b)
}

func (e *reclaimer) Sync() error {
	e.steps = append(e.steps, "sync")
	return e.unready
}

func (e *reclaimer) Reclaim(_, _ []byte) error {
	e.steps = append(e.steps, "reclaim")
	return e.stuck
}

// TestRemoveOrder: that the record is gone is durable before the data goes, or a crash in between would leave a position without data (P1).
func TestRemoveOrder(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk is gone")
	for _, unready := range []error{nil, broken} {
		e := &reclaimer{engine: newEngine()}
		db, err := state.NewDB(e, state.Config{Inline: true})
		must(t, err)
		openPartition(t, db, kvSpec)
		e.steps, e.unready = nil, unready
		want := []string{"apply", "sync", "reclaim"}
		if unready != nil {
			want = want[:2]
		}
		if err := db.Remove(state.StorePartition{Store: "kv"}); !errors.Is(err, unready) {
			t.Errorf("%v, want %v", err, unready)
		}
		equal(t, "steps", e.steps, want)
		if e.stuck = broken; unready == nil {
			if err := db.Remove(state.StorePartition{Store: "kv"}); !errors.Is(err, broken) {
				t.Errorf("space that is not given back: %v, want %v", err, broken)
			}
		}
		if err := db.Close(); !errors.Is(err, unready) {
			t.Errorf("closed: %v, want %v", err, unready)
		}
	}
}

// TestRemoveWhileOpened: whoever opens a partition while it is being removed gets an empty one, not a position without its data.
func TestRemoveWhileOpened(t *testing.T) {
	t.Parallel()
	e := newEngine()
	db := openDB(t, e, state.Config{Inline: true})
	s := openLayer[*strings64](t, openPartition(t, db, kvSpec), kvSpec, nil)
	must(t, s.Put("k", 1, 0, none))
	must(t, commit(s, 1))
	must(t, db.Close())

	db = openDB(t, e, state.Config{Inline: true})
	opened := make(chan *state.Partition, 1)
	e.gate = make(chan struct{})
	before := e.applies.Load()
	go func() {
		for e.applies.Load() == before {
			time.Sleep(time.Millisecond)
		}
		go func() {
			time.Sleep(10 * time.Millisecond) // for the partition to be opened, if it can be
			close(e.gate)
		}()
		p, err := db.Partition(kvSpec, 0)
		if err != nil {
			t.Error(err)
		}
		opened <- p
	}()
	must(t, db.Remove(state.StorePartition{Store: "kv", Partition: 0}))
	if p := <-opened; p != nil {
		if pos, ok := p.Position(); ok {
			t.Errorf("position %+v of a partition whose data is gone", pos)
		}
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	db := openDB(t, newEngine(), state.Config{})
	p := openPartition(t, db, kvSpec)
	s := openLayer[*strings64](t, p, kvSpec, nil)
	must(t, s.Put("k", 1, 0, none))
	must(t, s.Flush())
	must(t, db.Close())
	_, opened := db.Partition(kvSpec, 1)
	for call, err := range map[string]error{
		"commit": s.Commit(1), "reset": p.Reset(state.Position{}), "restore": p.RestoredTo(1), "partition": opened, "close": db.Close(),
	} {
		if !errors.Is(err, state.ErrClosed) {
			t.Errorf("%s: %v, want ErrClosed", call, err)
		}
	}
	if _, err := kvSpec.Open(state.Env{}); err == nil {
		t.Error("a store without a partition was opened")
	}
}

// Positions are those of the changelogs: as committed where the store is open, and as the engine has them where it is not.
func TestPositions(t *testing.T) {
	t.Parallel()
	e := newEngine()
	db := openDB(t, e, state.Config{Inline: true})
	at := state.Position{ClusterID: "c", TopicID: [16]byte{1}, Partition: 0, Next: 7}
	p := openPartition(t, db, kvSpec)
	must(t, p.Reset(at))
	must(t, db.Sync())
	must(t, p.Restore([]byte("k"), []byte("v"), 0))
	must(t, p.RestoredTo(9)) // not applied yet
	unlogged := state.KeyValueSpec("unlogged", stringSerde{}, int64Serde{}, state.WithoutChangelog())
	u, err := db.Partition(unlogged, 0)
	must(t, err)
	s := openLayer[*strings64](t, u, unlogged, nil)
	must(t, s.Put("k", 1, 0, none))
	must(t, commit(s, 1))
	want := func(db *state.DB, next int64) {
		t.Helper()
		got, err := db.Positions()
		must(t, err)
		at.Next = next
		if len(got) != 1 || got[state.StorePartition{Store: "kv"}] != at {
			t.Errorf("positions %v, want only kv-0 at %v", got, at)
		}
	}
	want(db, 9)
	crashed := openDB(t, e.Engine, state.Config{Inline: true}) // what an unclean stop leaves
	want(crashed, 7)
}

// TestLayoutOfAnotherKind: a store that is declared as one of another kind is emptied, though it has keys of the same form.
func TestLayoutOfAnotherKind(t *testing.T) {
	t.Parallel()
	e := newEngine()
	db := openDB(t, e, state.Config{Inline: true})
	s := openLayer[*strings64](t, openPartition(t, db, kvSpec), kvSpec, nil)
	must(t, s.Put("k", 1, 0, none))
	must(t, commit(s, 1))
	must(t, db.Close())
	db = openDB(t, e, state.Config{Inline: true, Logger: slog.New(slog.DiscardHandler)})
	p, err := db.Partition(state.VersionedSpec(kvSpec.Name, stringSerde{}, int64Serde{}, time.Hour), 0)
	must(t, err)
	if _, ok := p.Position(); ok || e.len(t, data) > 0 {
		t.Errorf("the store kept its position or %d entries", e.len(t, data))
	}
}

// TestKindWithoutHeaders: a store that cannot keep headers is not opened as one that does.
func TestKindWithoutHeaders(t *testing.T) {
	t.Parallel()
	spec := state.JoinWindowSpec("j", stringSerde{}, int64Serde{}, time.Second, time.Minute, state.KeepHeaders())
	if _, err := openDB(t, newEngine(), state.Config{Inline: true}).Partition(spec, 0); err == nil {
		t.Error("a store of a join was opened that keeps headers")
	}
}

// TestScanFails: an engine that cannot be read is not taken for an empty one, by anybody who reads it.
func TestScanFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("input/output error")
	e := newEngine()
	e.failScan = broken
	if _, err := state.NewDB(e, state.Config{Inline: true}); !errors.Is(err, broken) {
		t.Errorf("opened: %v", err)
	}
	e.failScan = nil
	db := openDB(t, e, state.Config{Inline: true})
	s := openLayer[*strings64](t, openPartition(t, db, kvSpec), kvSpec, nil)
	must(t, s.Put("k", 1, 0, none))
	must(t, commit(s, 1))
	must(t, db.Close())

	db = openDB(t, e, state.Config{Inline: true})
	s = openLayer[*strings64](t, openPartition(t, db, kvSpec), kvSpec, nil)
	e.failScan = broken
	errs := map[string]error{"range": nil}
	for _, err := range s.Range(serde.None[string](), serde.None[string]()) {
		errs["range"] = err
	}
	_, _, _, errs["get"] = s.Get("k")
	_, errs["stored"] = db.Stored()
	_, errs["positions"] = db.Positions()
	_, errs["partition"] = db.Partition(kvSpec, 1)
	_, errs["partition of windows"] = db.Partition(state.WindowSpec("w", stringSerde{}, int64Serde{}, time.Second, time.Minute), 0)
	for call, err := range errs {
		if !errors.Is(err, broken) {
			t.Errorf("%s: %v, want %v", call, err, broken)
		}
	}
	e.failScan = nil
}

// closing is an engine that says what becomes of its Close.
type closing struct {
	*engine
	closed int
	err    error
}

func (e *closing) Close() error {
	e.closed++
	return e.err
}

// TestCloseClosesEngine: the engine is closed once, and what it says is returned.
func TestCloseClosesEngine(t *testing.T) {
	t.Parallel()
	e := &closing{engine: newEngine(), err: errors.New("input/output error")}
	db, err := state.NewDB(e, state.Config{Inline: true})
	must(t, err)
	if err := db.Close(); !errors.Is(err, e.err) {
		t.Errorf("closed: %v, want %v", err, e.err)
	}
	if err := db.Close(); !errors.Is(err, state.ErrClosed) || e.closed != 1 {
		t.Errorf("closed again: %v, the engine %d times", err, e.closed)
	}
}

// TestCacheIsShared: the open stores share the bound of memory, and what one leaves is the others'.
func TestCacheIsShared(t *testing.T) {
	t.Parallel()
	const bound, keys = 64 << 10, 2_000
	db := openDB(t, newEngine(), state.Config{Inline: true, CacheBytes: 2 * bound, ApplyBytes: 1})
	s := openLayer[*strings64](t, openPartition(t, db, kvSpec), kvSpec, nil)
	cached := func() int64 {
		for range 3 {
			for i := range int64(keys) {
				must(t, s.Put(fmt.Sprint(i), i, i, none))
				if i%20 == 0 {
					must(t, commit(s, i))
				}
			}
		}
		must(t, commit(s, keys))
		_, cached := s.Bytes()
		return cached
	}
	alone := cached()
	for i := range 3 {
		openPartition(t, db, state.KeyValueSpec(fmt.Sprint("other", i), stringSerde{}, int64Serde{}))
	}
	shared := cached()
	for i := range 3 {
		must(t, db.Remove(state.StorePartition{Store: fmt.Sprint("other", i)}))
	}
	if again := cached(); 2*shared > alone || 2*shared > again {
		t.Errorf("%d bytes cached alone, %d beside three others, %d alone again", alone, shared, again)
	}
}

// TestMemoryOfTheCommitted: of a store that is larger than its share of memory most has left it, and what is read is kept. A store of few entries
// that come and go stays whole in memory, so that it needs no read.
func TestMemoryOfTheCommitted(t *testing.T) {
	t.Parallel()
	const keys = 5_000
	e := newEngine()
	db := openDB(t, e, state.Config{Inline: true, CacheBytes: 128 << 10, ApplyBytes: 1})
	p := openPartition(t, db, kvSpec)
	for i := range int64(keys) {
		restoreInt(t, p, fmt.Sprint(i), i)
		if i%100 == 99 {
			must(t, p.RestoredTo(i))
		}
	}
	read := func(n int64) int64 {
		before := e.gets.Load()
		s := openLayer[*strings64](t, p, kvSpec, nil) // which knows nothing yet
		for i := range n {
			if v, _, ok, err := s.Get(fmt.Sprint(i)); err != nil || !ok || v != i {
				t.Fatalf("key %d: %d, %v, %v", i, v, ok, err)
			}
		}
		return e.gets.Load() - before
	}
	if n := read(keys); n < keys/2 {
		t.Errorf("%d of %d keys were read from the engine", n, keys)
	}
	read(10)
	if n := read(10); n != 0 {
		t.Errorf("%d of 10 keys were read again", n)
	}

	p = openPartition(t, db, state.KeyValueSpec("queue", stringSerde{}, int64Serde{}))
	for i := range int64(keys) {
		restoreInt(t, p, fmt.Sprint(i), i)
		must(t, p.Restore([]byte(fmt.Sprint(i-5)), nil, i))
		must(t, p.RestoredTo(i))
	}
	before := e.gets.Load()
	s := openLayer[*strings64](t, p, kvSpec, nil)
	if _, _, ok, err := s.Get("0"); ok || err != nil || e.gets.Load() != before {
		t.Errorf("a key that has left: %v, %v, after %d reads of the engine", ok, err, e.gets.Load()-before)
	}
}

// TestLoad: a store that is opened again is read into memory when it is first asked, below what memory has already; of one that is too large for
// that every entry is found all the same.
func TestLoad(t *testing.T) {
	t.Parallel()
	const keys = 2_000
	for name, cache := range map[string]int64{"small": 64 << 10, "large": 64 << 20} {
		e := newEngine()
		db := openDB(t, e, state.Config{Inline: true})
		p := openPartition(t, db, kvSpec)
		for i := range int64(keys) {
			restoreInt(t, p, fmt.Sprintf("%04d", i), i)
		}
		must(t, p.RestoredTo(keys))
		must(t, db.Close())

		db = openDB(t, e, state.Config{Inline: true, CacheBytes: cache})
		p = openPartition(t, db, kvSpec)
		restoreInt(t, p, "0000", keys)
		must(t, p.Restore([]byte("0001"), nil, keys))
		must(t, p.RestoredTo(keys+2)) // in memory alone
		s := openLayer[*strings64](t, p, kvSpec, nil)
		for i := int64(keys); i >= 0; i-- {
			want := i
			if i == 0 {
				want = keys
			}
			v, _, ok, err := s.Get(fmt.Sprintf("%04d", i))
			must(t, err)
			if there := i < keys && i != 1; ok != there || ok && v != want {
				t.Errorf("%s: key %d: %d, %v; want %d, %v", name, i, v, ok, want, there)
			}
		}
	}
}
