package state_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
)

// ingester is an engine that takes runs in. It counts them, and calls ingested when the engine has one and the partition does not know yet.
type ingester struct {
	*engine
	runs     int
	ingested func()
	failing  func(sources []state.Writes) error // if not nil, in place of all that
}

func (e *ingester) Ingest(sources ...state.Writes) error {
	e.runs++
	if e.failing != nil {
		return e.failing(sources)
	}
	var b state.Batch
	for _, s := range sources {
		err := s(func(op state.Op, key, value []byte) error {
			switch op {
			case state.OpSet:
				b.Set(key, value)
			case state.OpDelete:
				b.Delete(key)
			default:
				return fmt.Errorf("operation %d in a run", op)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if err := e.Apply(&b); err != nil {
		return err
	}
	if e.ingested != nil {
		e.ingested()
	}
	return nil
}

const bulkShare = 4 << 10 // bytes of a run

func bulkPartition(t *testing.T, spec *state.Spec) (*ingester, *state.DB, *state.Partition) {
	t.Helper()
	e := &ingester{engine: newEngine()}
	db := openDB(t, e, state.Config{Inline: true, BulkBytes: bulkShare})
	return e, db, openPartition(t, db, spec)
}

func beginBulk(t *testing.T, p *state.Partition) {
	t.Helper()
	begun, err := p.BeginBulk(1 << 40)
	must(t, err)
	if !begun {
		t.Fatal("not restored in bulk")
	}
}

// windowKey is a changelog key of a window store.
func windowKey(key string, start int64) []byte {
	return append(binary.BigEndian.AppendUint64([]byte(key), uint64(start)), 0, 0, 0, 0)
}

// restoreInt restores one record of kvSpec.
func restoreInt(t *testing.T, p *state.Partition, key string, v int64) {
	t.Helper()
	b, err := int64Serde{}.Append(nil, v)
	must(t, err)
	must(t, p.Restore([]byte(key), b, v))
}

// TestBulkEndsWithNothingLeft: a run that was ingested with the last batch is not ingested again, as a position alone.
func TestBulkEndsWithNothingLeft(t *testing.T) {
	t.Parallel()
	e, _, p := bulkPartition(t, kvSpec)
	beginBulk(t, p)
	for i := range 2 * bulkShare / 16 { // surely more than a share
		restoreInt(t, p, fmt.Sprintf("key-%06d", i), int64(i))
	}
	must(t, p.RestoredTo(7_000))
	if e.runs != 1 {
		t.Fatalf("%d runs for one batch of more than a share, want 1", e.runs)
	}
	must(t, p.EndBulk())
	must(t, p.EndBulk())
	pos, _ := p.Position()
	if e.runs != 1 || pos.Next != 7_000 {
		t.Errorf("%d runs in the end at %d, want 1 at 7000", e.runs, pos.Next)
	}
	beginBulk(t, p)
	must(t, p.RestoredTo(7_001)) // a marker: there is a position to keep, and nothing else
	must(t, p.EndBulk())
	if pos, _ = p.Position(); e.runs != 2 || pos.Next != 7_001 {
		t.Errorf("%d runs after a batch without records, at %d, want 2 at 7001", e.runs, pos.Next)
	}
}

// TestBulkForgetsMemory: tombstones that wait for their removal do not stay behind in buckets that no run touches.
func TestBulkForgetsMemory(t *testing.T) {
	t.Parallel()
	spec := state.WindowSpec("w", stringSerde{}, int64Serde{}, time.Second, time.Hour)
	e, db, p := bulkPartition(t, spec)
	w := openLayer[*state.Window[string, int64]](t, p, spec, &journal{})
	write := func(next int64, start int64, v int64, gone bool) {
		for i := range 100 {
			key := fmt.Sprintf("key-%d", i)
			if gone {
				must(t, w.Delete(key, start, v, none))
			} else {
				must(t, w.Put(key, start, v, v, none))
			}
		}
		must(t, w.Flush())
		must(t, w.Commit(next))
		must(t, db.Sync())
	}
	write(100, 0, 1, false)
	write(200, 0, 2, true)
	beginBulk(t, p)
	far := 45 * time.Minute.Milliseconds() // in another bucket
	b, err := int64Serde{}.Append(nil, 1)
	must(t, err)
	must(t, p.Restore(windowKey("key-1", far), b, far))
	must(t, p.RestoredTo(201))
	must(t, p.EndBulk())
	w = openLayer[*state.Window[string, int64]](t, p, spec, &journal{})
	reads := e.gets.Load() + e.scans.Load()
	for _, want := range []struct {
		start int64
		ok    bool
	}{{0, false}, {far, true}} {
		if _, _, ok, err := w.Get("key-1", want.start); err != nil || ok != want.ok {
			t.Errorf("window at %d: %v, %v, want %v", want.start, ok, err, want.ok)
		}
		was := reads
		if reads = e.gets.Load() + e.scans.Load(); reads == was {
			t.Errorf("memory knows the window at %d by itself", want.start)
		}
	}
}

// TestBulkScanBetween: whoever scans when the engine has a run, and the partition has not been told yet, sees all of the run or nothing of it.
func TestBulkScanBetween(t *testing.T) {
	t.Parallel()
	const keys = 50
	e, db, p := bulkPartition(t, kvSpec)
	for i := range keys {
		restoreInt(t, p, fmt.Sprintf("key-%06d", i), 1)
	}
	must(t, p.RestoredTo(keys))
	must(t, db.Sync()) // in memory and in the engine
	beginBulk(t, p)
	look := func(what string, want int64) {
		t.Helper()
		s := openLayer[*strings64](t, p, kvSpec, nil)
		rows := 0
		for row, err := range s.Range(serde.None[string](), serde.None[string]()) {
			must(t, err)
			if rows++; row.Value != want {
				t.Errorf("%s: %s = %d, want %d", what, row.Key, row.Value, want)
			}
		}
		if v, _, ok, err := s.Get("key-000007"); err != nil || !ok || v != want { // must not stay in memory
			t.Errorf("%s: %d, %v, %v, want %d", what, v, ok, err, want)
		}
		if rows != keys {
			t.Errorf("%s: %d rows, want %d", what, rows, keys)
		}
	}
	look("before the run", 1)
	for i := range keys {
		restoreInt(t, p, fmt.Sprintf("key-%06d", i), 2)
	}
	must(t, p.RestoredTo(2*keys))
	looked := false
	e.ingested = func() {
		look("between", 2)
		looked = true
	}
	must(t, p.EndBulk())
	look("after", 2)
	if !looked {
		t.Error("nobody looked between")
	}
}

// TestBulkReset: a partition that is emptied is not restored in bulk any more.
func TestBulkReset(t *testing.T) {
	t.Parallel()
	e, _, p := bulkPartition(t, kvSpec)
	beginBulk(t, p)
	restoreInt(t, p, "before", 1)
	must(t, p.Reset(state.Position{ClusterID: "c"}))
	restoreInt(t, p, "after", 2)
	must(t, p.RestoredTo(7))
	if pos, _ := p.Position(); pos.Next != 7 || e.runs != 0 {
		t.Errorf("at %d after %d runs, want 7 without one", pos.Next, e.runs)
	}
	s := openLayer[*strings64](t, p, kvSpec, nil)
	_, _, before, err := s.Get("before")
	must(t, err)
	v, _, after, err := s.Get("after")
	must(t, err)
	if before || !after || v != 2 {
		t.Errorf("before: %v, after: %v with %d", before, after, v)
	}
}

// TestBulkFailure: what an engine that has failed goes on reading stays as it was, whatever becomes of the restore.
func TestBulkFailure(t *testing.T) {
	t.Parallel()
	const keys = 50
	e, db, p := bulkPartition(t, kvSpec)
	beginBulk(t, p)
	for i := range keys {
		restoreInt(t, p, fmt.Sprintf("key-%06d", i), 1)
	}
	must(t, p.RestoredTo(keys))
	var run state.Writes
	failed := errors.New("no room")
	e.failing = func(sources []state.Writes) error {
		run = sources[1]
		return failed
	}
	if err := p.EndBulk(); !errors.Is(err, failed) {
		t.Fatalf("error %v", err)
	}
	for i := range keys {
		restoreInt(t, p, fmt.Sprintf("other-%04d", i), 2)
	}
	rows := 0
	must(t, run(func(_ state.Op, key, _ []byte) error {
		if want := fmt.Sprintf("key-%06d", rows); !bytes.HasSuffix(key, []byte(want)) {
			t.Errorf("%q, want %s", key, want)
		}
		rows++
		return nil
	}))
	if rows != keys {
		t.Errorf("%d writes, want %d", rows, keys)
	}
	if pos, _ := p.Position(); pos.Next == keys {
		t.Error("the position is that of what has failed")
	}
	if err := p.RestoredTo(2 * keys); !errors.Is(err, failed) {
		t.Errorf("restored afterwards: %v", err)
	}
	if err := db.Close(); !errors.Is(err, failed) {
		t.Errorf("closed: %v", err)
	}
}

// TestBulkAfterCommits: what was committed before and not applied yet is under what is restored in bulk, and is read meanwhile.
func TestBulkAfterCommits(t *testing.T) {
	t.Parallel()
	e, db, p := bulkPartition(t, kvSpec)
	restoreInt(t, p, "before", 1)
	restoreInt(t, p, "k", 1)
	must(t, p.RestoredTo(1))
	beginBulk(t, p)
	value := func(p *state.Partition, key string) int64 {
		t.Helper()
		v, _, _, err := openLayer[*strings64](t, p, kvSpec, nil).Get(key)
		must(t, err)
		return v
	}
	if v := value(p, "k"); v != 1 {
		t.Errorf("k = %d in bulk, want 1", v)
	}
	restoreInt(t, p, "k", 2)
	must(t, p.RestoredTo(2))
	must(t, p.EndBulk())
	must(t, db.Sync())
	crashed := openDB(t, e.engine.Engine, state.Config{Inline: true})
	again, err := crashed.Partition(kvSpec, 0)
	must(t, err)
	for what, p := range map[string]*state.Partition{"the same": p, "opened again": again} {
		if k, before := value(p, "k"), value(p, "before"); k != 2 || before != 1 {
			t.Errorf("%s: k = %d, before = %d; want 2, 1", what, k, before)
		}
	}
}

// TestBulkIsNotForAll: few records are not restored in bulk, nor is a store of versions, nor one that somebody scans or that is gone.
func TestBulkIsNotForAll(t *testing.T) {
	t.Parallel()
	_, db, p := bulkPartition(t, kvSpec)
	versions := openPartition(t, db, state.VersionedSpec("v", stringSerde{}, int64Serde{}, time.Hour))
	refused := func(what string, p *state.Partition, n int64) {
		t.Helper()
		if begun, err := p.BeginBulk(n); begun || err != nil {
			t.Errorf("%s: %v, %v", what, begun, err)
		}
	}
	refused("few records", p, 1000)
	refused("a store of versions", versions, 1<<40)
	restoreInt(t, p, "k", 1)
	must(t, p.RestoredTo(1))
	for _, err := range openLayer[*strings64](t, p, kvSpec, nil).Range(serde.None[string](), serde.None[string]()) {
		must(t, err)
		refused("under a scan", p, 1<<40)
	}
	beginBulk(t, p)
	refused("twice", p, 1<<40)
	must(t, p.EndBulk())
	must(t, db.Remove(state.StorePartition{Store: "kv"}))
	if begun, err := p.BeginBulk(1 << 40); begun || !errors.Is(err, state.ErrClosed) {
		t.Errorf("a store that was removed: %v, %v", begun, err)
	}
}

// TestBulkEndsWithinBatch: what was read of a batch that does not end is not part of the store, now or later, and neither are the batches that
// waited with it; the position is where to go on.
func TestBulkEndsWithinBatch(t *testing.T) {
	t.Parallel()
	spec := state.WindowSpec("w", stringSerde{}, int64Serde{}, 10*time.Millisecond, 100*time.Millisecond)
	e, _, p := bulkPartition(t, spec)
	value, err := int64Serde{}.Append(nil, 1)
	must(t, err)
	at := func(what string, want int64) {
		t.Helper()
		if pos, _ := p.Position(); pos.Next != want {
			t.Errorf("%s: at %d, want %d", what, pos.Next, want)
		}
	}
	beginBulk(t, p)
	must(t, p.Restore(windowKey("whole", 10), value, 0))
	must(t, p.RestoredTo(1))
	must(t, p.Restore(windowKey("half", 10_000), value, 0))
	must(t, p.EndBulk())
	at("after half a batch", 0)
	beginBulk(t, p)
	must(t, p.EndBulk())
	at("after nothing", 0)
	if e.runs != 0 {
		t.Errorf("%d runs, want none", e.runs)
	}
	beginBulk(t, p)
	must(t, p.Restore(windowKey("k", 20), value, 0))
	must(t, p.RestoredTo(1))
	must(t, p.EndBulk())
	at("in the end", 1)
	equal(t, "windows", rows(t, openLayer[*windows](t, p, spec, nil).FetchAll(0, 1<<40)), []string{"k@20=1"})
}

// TestBulkShares: partitions that are restored in bulk at once share the memory for runs.
func TestBulkShares(t *testing.T) {
	t.Parallel()
	e, db, p := bulkPartition(t, kvSpec)
	other := openPartition(t, db, state.KeyValueSpec("other", stringSerde{}, int64Serde{}))
	restore := func(bytes int) int { // restores so many and returns how many runs that has made
		t.Helper()
		before := e.runs
		must(t, p.Restore([]byte("k"), make([]byte, bytes), 0))
		must(t, p.RestoredTo(1))
		return e.runs - before
	}
	beginBulk(t, p)
	if n := restore(bulkShare * 3 / 4); n != 0 {
		t.Errorf("%d runs of three quarters of the memory, alone", n)
	}
	must(t, p.EndBulk())
	for range 2 { // what has ended has no share
		beginBulk(t, other)
		beginBulk(t, p)
		if n := restore(bulkShare * 3 / 4); n != 1 {
			t.Errorf("%d runs of three quarters of the memory, beside another", n)
		}
		must(t, other.EndBulk())
		if n := restore(bulkShare * 3 / 4); n != 0 {
			t.Errorf("%d runs of three quarters of the memory, alone again", n)
		}
		must(t, p.EndBulk())
	}
}

// TestBulkRetention: a run moves the time that retention counts from and leaves out what that has passed; an older one does not move it back.
func TestBulkRetention(t *testing.T) {
	t.Parallel()
	spec := state.WindowSpec("w", stringSerde{}, int64Serde{}, 10*time.Millisecond, 100*time.Millisecond) // buckets of 25 ms
	e, db, p := bulkPartition(t, spec)
	value, err := int64Serde{}.Append(nil, 1)
	must(t, err)
	restore := func(next int64, starts ...int64) {
		t.Helper()
		beginBulk(t, p)
		for _, start := range starts {
			must(t, p.Restore(windowKey("k", start), value, 0))
		}
		must(t, p.RestoredTo(next))
		must(t, p.EndBulk())
	}
	restore(0) // a marker says no time
	w := openLayer[*windows](t, p, spec, &journal{})
	if newest, ok := w.Newest(); ok {
		t.Errorf("newest %d of nothing", newest)
	}
	restore(1, 0, 150, 40, 70, 75, 80) // from 51 on
	if n := e.len(t, data); n != 4 {
		t.Errorf("%d windows in the engine, want 4", n)
	}
	w = openLayer[*windows](t, p, spec, &journal{})
	must(t, w.Put("k", 160, 1, 0, none)) // from 61 on
	must(t, commitWindows(w, 2))
	restore(3, 100)
	w = openLayer[*windows](t, p, spec, &journal{})
	if newest, ok := w.Newest(); newest != 160 || !ok {
		t.Errorf("newest %d, %v, want 160", newest, ok)
	}
	equal(t, "windows", rows(t, w.FetchAll(0, 1<<40)), []string{"k@70=1", "k@75=1", "k@80=1", "k@100=1", "k@150=1", "k@160=1"})
	restore(4, 1000)
	w = openLayer[*windows](t, p, spec, &journal{})
	must(t, w.Put("k", 1000, 2, 0, none))
	must(t, commitWindows(w, 5))
	must(t, db.Sync())
	if n := e.len(t, data); n != 1 {
		t.Errorf("%d windows in the engine, want 1", n)
	}
}

// TestBulkOfRemoved: a partition that was removed meanwhile is not made anew by what was restored of it, which would be a position without its data.
func TestBulkOfRemoved(t *testing.T) {
	t.Parallel()
	e, db, p := bulkPartition(t, kvSpec)
	beginBulk(t, p)
	restoreInt(t, p, "k", 1)
	must(t, p.RestoredTo(1))
	must(t, db.Remove(state.StorePartition{Store: "kv"}))
	if err := p.EndBulk(); !errors.Is(err, state.ErrClosed) {
		t.Errorf("%v, want ErrClosed", err)
	}
	stored, err := db.Stored()
	must(t, err)
	if e.runs != 0 || len(stored) > 0 {
		t.Errorf("%d runs, stores %v", e.runs, stored)
	}
}
