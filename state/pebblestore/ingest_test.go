package pebblestore_test

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/state/pebblestore"
)

// bulkWorld is a changelog, and a store that is restored from it in bulk.
type bulkWorld struct {
	spec *state.Spec
	log  []bulkRecord
}

type bulkRecord struct{ key, value string } // no value: a delete

const bulkBatch = 500

// newBulkWorld makes a changelog in which keys come again and some are deleted.
func newBulkWorld(records int) *bulkWorld {
	rng := rand.New(rand.NewPCG(3, 4))
	w := &bulkWorld{spec: state.KeyValueSpec("bulk", text{}, text{})}
	for i := range records {
		r := bulkRecord{key: fmt.Sprintf("key-%06d", rng.IntN(records/2))}
		if rng.IntN(10) > 0 {
			r.value = fmt.Sprintf("value-%d", i)
		}
		w.log = append(w.log, r)
	}
	return w
}

type text struct{}

func (text) Append(dst []byte, v string) ([]byte, error) { return append(dst, v...), nil }
func (text) Decode(src []byte) (string, error)           { return string(src), nil }

// at is what the store must hold at a position.
func (w *bulkWorld) at(next int64) map[string]string {
	m := make(map[string]string)
	for _, r := range w.log[:next] {
		if r.value == "" {
			delete(m, r.key)
		} else {
			m[r.key] = r.value
		}
	}
	return m
}

func (w *bulkWorld) open(t testing.TB, fs vfs.FS) (*state.DB, *state.Partition, error) {
	t.Helper()
	e, err := pebblestore.Open("state", pebblestore.Options{FS: fs, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, nil, err
	}
	db, err := state.NewDB(e, state.Config{Inline: true, BulkBytes: 32 << 10, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, nil, errors.Join(err, e.Close())
	}
	p, err := db.Partition(w.spec, 0)
	return db, p, err
}

// restore goes on from where the partition stands, to the position end.
func (w *bulkWorld) restore(p *state.Partition, end int64) error {
	pos, ok := p.Position()
	if !ok {
		if err := p.Reset(state.Position{ClusterID: "c"}); err != nil {
			return err
		}
	}
	if bulk, err := p.BeginBulk(1 << 40); err != nil || !bulk {
		return errors.Join(err, fmt.Errorf("bulk: %v", bulk))
	}
	for next := pos.Next; next < end; {
		n := min(bulkBatch, end-next)
		for i, r := range w.log[next : next+n] {
			var value []byte
			if r.value != "" {
				value = []byte(r.value)
			}
			if err := p.Restore([]byte(r.key), value, next+int64(i)); err != nil {
				return err
			}
		}
		next += n
		if err := p.RestoredTo(next); err != nil {
			return err
		}
	}
	return nil
}

// check compares the store with the changelog up to its position, which it returns.
func (w *bulkWorld) check(t testing.TB, p *state.Partition, what string) int64 {
	t.Helper()
	l, err := w.spec.Open(state.Env{Committed: p})
	must(t, err)
	pos, _ := p.Position()
	got := make(map[string]string)
	for row, err := range l.(*state.KeyValue[string, string]).Range(serde.None[string](), serde.None[string]()) {
		must(t, err)
		got[row.Key] = row.Value
	}
	if want := w.at(pos.Next); !maps.Equal(got, want) {
		t.Fatalf("%s: %d rows at position %d, want %d", what, len(got), pos.Next, len(want))
	}
	return pos.Next
}

// TestBulkRestore: interrupted anywhere, what was ingested is there with its position, and restoring goes on from it.
func TestBulkRestore(t *testing.T) {
	t.Parallel()
	w := newBulkWorld(20_000)
	fs := vfs.NewMem()
	end, steps := int64(len(w.log)), int64(0)
	for stop := int64(6_200); ; stop += 4_700 {
		db, p, err := w.open(t, fs)
		must(t, err)
		was := w.check(t, p, "opened")
		must(t, w.restore(p, min(stop, end)))
		if stop >= end {
			must(t, p.EndBulk())
			if n := w.check(t, p, "end"); n != end {
				t.Errorf("at %d in the end, want %d", n, end)
			}
			must(t, db.Close())
			break
		}
		if n := w.check(t, p, "interrupted"); n <= was || n > stop {
			t.Errorf("at %d after restoring from %d to %d", n, was, stop)
		}
		steps++
		must(t, db.Close())
	}
	if steps < 2 {
		t.Errorf("%d interruptions", steps)
	}
	if left, err := fs.List("state/ingest"); err != nil || len(left) > 0 {
		t.Errorf("left in the directory for tables: %v, %v", left, err)
	}
	db, p, err := w.open(t, fs)
	must(t, err)
	w.check(t, p, "opened again")
	must(t, db.Close())
}

// TestBulkThenCommits: what is written after a bulk restore is over what was ingested.
func TestBulkThenCommits(t *testing.T) {
	t.Parallel()
	w := newBulkWorld(5_000)
	db, p, err := w.open(t, vfs.NewMem())
	must(t, err)
	must(t, w.restore(p, 5_000))
	must(t, p.EndBulk())
	for _, r := range newBulkWorld(4_000).log {
		w.log = append(w.log, r)
		var value []byte
		if r.value != "" {
			value = []byte(r.value)
		}
		must(t, p.Restore([]byte(r.key), value, 1))
	}
	must(t, p.RestoredTo(9_000))
	w.check(t, p, "before it is applied")
	must(t, db.Sync())
	w.check(t, p, "after")
	must(t, db.Close())
}

// TestBulkUnderScan: an iteration that a run overtakes goes on with what was there when it began.
func TestBulkUnderScan(t *testing.T) {
	t.Parallel()
	w := newBulkWorld(3_000)
	db, p, err := w.open(t, vfs.NewMem())
	must(t, err)
	must(t, p.Reset(state.Position{ClusterID: "c"}))
	for _, r := range w.log[:1_000] {
		must(t, p.Restore([]byte(r.key), []byte(r.value), 1))
	}
	must(t, p.RestoredTo(1_000)) // all of it is in memory
	begun, err := p.BeginBulk(1 << 40)
	must(t, err)
	l, err := w.spec.Open(state.Env{Committed: p})
	must(t, err)
	rows := 0
	want := make(map[string]bool)
	for _, r := range w.log[:1_000] {
		want[r.key] = true
	}
	for row, err := range l.(*state.KeyValue[string, string]).Range(serde.None[string](), serde.None[string]()) {
		must(t, err)
		if rows++; rows == 10 {
			for _, r := range w.log[1_000:] {
				must(t, p.Restore([]byte(r.key), []byte("new"), 1))
			}
			must(t, p.RestoredTo(3_000))
			must(t, p.EndBulk())
		}
		if !want[row.Key] || row.Value == "new" {
			t.Fatalf("row %s = %s came later", row.Key, row.Value)
		}
	}
	if !begun || rows != len(want) {
		t.Errorf("in bulk %v: %d rows, want %d", begun, rows, len(want))
	}
	must(t, db.Close())
}

// TestBulkCrash: at whatever operation of the file system a crash comes, the store then equals the changelog up to its position.
func TestBulkCrash(t *testing.T) {
	t.Parallel()
	const clones = 120 // more than there are operations to crash at: so every other one
	w := newBulkWorld(6_000)
	fs := vfs.NewCrashableMem()
	c := &crasher{fs: fs, rng: rand.New(rand.NewPCG(5, 6)), max: clones}
	db, p, err := w.open(t, errorfs.Wrap(fs, c))
	must(t, err)
	must(t, w.restore(p, 6_000))
	must(t, p.EndBulk())
	must(t, db.Close())
	positions := make(map[int64]bool)
	for i, fs := range c.take() {
		db, p, err := w.open(t, fs)
		must(t, err)
		positions[w.check(t, p, fmt.Sprintf("crash %d", i))] = true
		must(t, db.Close())
	}
	if len(positions) < 4 {
		t.Errorf("crashes left the positions %v alone", positions)
	}
}

// TestBulkFaults: an error of the disk ends the restoring with an error that names the store, and what is there is still right.
func TestBulkFaults(t *testing.T) {
	t.Parallel()
	w := newBulkWorld(8_000)
	failed := 0
	for after := int64(1); after < 400; after += 37 {
		fs := vfs.NewCrashableMem()
		var armed atomic.Bool
		var ops atomic.Int64
		disk := errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if !armed.Load() || op.Kind.ReadOrWrite() == errorfs.OpIsRead || ops.Add(1) < after {
				return nil
			}
			return errorfs.ErrInjected
		}))
		db, p, err := w.open(t, disk)
		must(t, err)
		armed.Store(true)
		err = w.restore(p, 8_000)
		if err == nil {
			err = p.EndBulk()
		}
		if err != nil {
			failed++
			if text := err.Error(); !strings.Contains(text, "injected error") || !strings.Contains(text, "bulk-0") {
				t.Errorf("after %d operations: %v", after, err)
			}
		}
		closed := make(chan struct{})
		go func() { defer close(closed); _ = db.Close() }() // says the same again
		select {
		case <-closed:
		case <-time.After(time.Minute):
			t.Fatal("Close hangs after a failure")
		}
		armed.Store(false) // what is left of the engine would try again for ever
		db, p, err = w.open(t, fs.CrashClone(vfs.CrashCloneCfg{}))
		must(t, err)
		w.check(t, p, "after the failure")
		must(t, db.Close())
	}
	if failed < 3 {
		t.Errorf("only %d of the restores failed", failed)
	}
}

// TestIngestLeavesNothing: of a run that fails, or that is empty, no table is left behind, and the engine goes on.
func TestIngestLeavesNothing(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	e := open(t, fs)
	broken := errors.New("no more")
	type write = func(op state.Op, a, b []byte) error
	for _, c := range []struct {
		name string
		run  func(write) error
		ok   bool
	}{
		{"a run that breaks off", func(w write) error { return errors.Join(w(state.OpSet, []byte("a"), nil), broken) }, false},
		{"a range", func(w write) error { return w(state.OpDeleteRange, []byte("a"), []byte("b")) }, false},
		{"keys out of order", func(w write) error {
			return errors.Join(w(state.OpSet, []byte("b"), nil), w(state.OpSet, []byte("a"), nil))
		}, false},
		{"nothing", func(write) error { return nil }, true},
		{"a run", func(w write) error {
			return errors.Join(w(state.OpSet, []byte("b"), []byte("1")), w(state.OpDelete, []byte("c"), nil))
		}, true},
	} {
		if err := e.Ingest(func(w func(op state.Op, a, b []byte) error) error { return c.run(w) }); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		if left, err := fs.List("state/ingest"); err != nil || len(left) > 0 {
			t.Errorf("%s: left in the directory for tables: %v, %v", c.name, left, err)
		}
	}
	if v, ok, err := e.Get(nil, []byte("b")); string(v) != "1" || !ok || err != nil {
		t.Errorf("b: %q, %v, %v", v, ok, err)
	}
	if _, ok, err := e.Get(nil, []byte("a")); ok || err != nil {
		t.Errorf("a, of what has failed: %v, %v", ok, err)
	}
	must(t, e.Close())
}
