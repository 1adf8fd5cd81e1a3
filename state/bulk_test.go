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
