package state_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/state"
)

// TestApplyWhen: what is committed reaches the engine when commits pause, or when it has waited long enough.
func TestApplyWhen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newEngine()
		db := openDB(t, e, state.Config{})
		s := openLayer[*strings64](t, openPartition(t, db, kvSpec), kvSpec, nil)
		n := 0
		put := func() {
			n++
			must(t, s.Put(fmt.Sprint(n), 1, 0, none))
			must(t, commit(s, int64(n)))
		}
		put()
		time.Sleep(900 * time.Millisecond)
		if got := e.len(t, data); got != 0 {
			t.Errorf("%d entries applied at once", got)
		}
		time.Sleep(200 * time.Millisecond)
		if got := e.len(t, data); got != 1 {
			t.Errorf("%d entries applied after a pause, want 1", got)
		}
		for range 99 { // 9.9 s without a pause
			put()
			time.Sleep(100 * time.Millisecond)
		}
		if got := e.len(t, data); got != 1 {
			t.Errorf("%d entries applied while commits go on, want 1", got)
		}
		for range 10 {
			put()
			time.Sleep(100 * time.Millisecond)
		}
		if got := e.len(t, data); got < 100 {
			t.Errorf("%d entries applied after 10 s", got)
		}
		must(t, db.Close())
		if got := e.len(t, data); got != n {
			t.Errorf("%d entries after Close, want %d", got, n)
		}
	})
}

// TestAsOfWhileIdle: when a partition had all of its changelog reaches the engine though nothing is committed, as to the copy of a quiet store.
func TestAsOfWhileIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const begun, minute = 1_700_000_000_000, 60_000
		e := newEngine()
		db := openDB(t, e, state.Config{})
		p, err := db.Partition(kvSpec, 0)
		must(t, err)
		must(t, p.Reset(state.Position{ClusterID: "c", AsOf: begun}))
		p.CompleteAsOf(begun + minute)
		time.Sleep(2 * time.Second)
		crashed := openDB(t, e.Engine, state.Config{Inline: true}) // what an unclean stop leaves
		p, err = crashed.Partition(kvSpec, 0)
		must(t, err)
		if pos, _ := p.Position(); pos.AsOf != begun+minute {
			t.Errorf("as of %d, want %d", pos.AsOf, begun+minute)
		}
		must(t, db.Close())
	})
}

// TestBackPressure: commits wait while the engine is behind by more than twice the bound, and go on when it has caught up.
func TestBackPressure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newEngine()
		db := openDB(t, e, state.Config{ApplyBytes: 1 << 10})
		s := openLayer[*strings64](t, openPartition(t, db, kvSpec), kvSpec, nil)
		e.gate = make(chan struct{})
		commits := 0
		done := make(chan error, 1)
		go func() {
			for commits < 200 {
				if err := errors.Join(s.Put(fmt.Sprint(commits), 1, 0, none), commit(s, int64(commits))); err != nil {
					done <- err
					return
				}
				commits++
			}
			done <- nil
		}()
		synctest.Wait()
		if commits == 0 || commits == 200 {
			t.Errorf("%d commits while the engine stands still", commits)
		}
		close(e.gate)
		must(t, <-done)
		must(t, db.Close())
		if got := e.len(t, data); got != 200 {
			t.Errorf("%d entries, want 200", got)
		}
	})
}

// TestBackPressureOfNothing: a commit that waits goes on when what it waits for is gone, and nothing else is left to apply.
func TestBackPressureOfNothing(t *testing.T) {
	t.Parallel()
	e := newEngine()
	db := openDB(t, e, state.Config{ApplyBytes: 1 << 10, ApplyIdle: time.Hour, ApplyInterval: time.Hour})
	big, quiet := state.KeyValueSpec("big", stringSerde{}, int64Serde{}), state.KeyValueSpec("quiet", stringSerde{}, int64Serde{})
	s := openLayer[*strings64](t, openPartition(t, db, big), big, nil)
	idle := openLayer[*strings64](t, openPartition(t, db, quiet), quiet, nil)
	must(t, s.Put("k", 1, 0, none))
	must(t, commit(s, 1))

	results := make(chan error, 4)
	pause := func() { time.Sleep(10 * time.Millisecond) } // for what was begun to get where it waits
	e.gate = make(chan struct{})
	go func() { results <- db.Sync() }() // has the engine
	pause()
	go func() { results <- db.Remove(state.StorePartition{Store: "big"}) }() // is next
	pause()
	go func() {
		err := errors.Join(s.Put(strings.Repeat("k", 4<<10), 1, 0, none), commit(s, 2))
		if errors.Is(err, state.ErrClosed) {
			err = nil // on a slow machine the store is removed before
		}
		results <- err
	}()
	pause()
	go func() { results <- commit(idle, 0) }()
	pause()
	close(e.gate)
	for range 4 {
		select {
		case err := <-results:
			must(t, err)
		case <-time.After(10 * time.Second):
			t.Fatal("a commit waits for nothing")
		}
	}
}

// TestGoneDoesNotWait: what waited of a partition that is reset or removed counts no more; else commits would be hurried, and held back in the end.
func TestGoneDoesNotWait(t *testing.T) {
	t.Parallel()
	const bound = 1 << 10
	e := newEngine()
	db := openDB(t, e, state.Config{Inline: true, ApplyBytes: bound})
	for range 20 {
		p := openPartition(t, db, kvSpec)
		for range 2 {
			s := openLayer[*strings64](t, p, kvSpec, nil)
			must(t, s.Put(strings.Repeat("k", bound/4), 1, 0, none))
			before := e.applies.Load()
			must(t, commit(s, 1))
			if e.applies.Load() != before {
				t.Fatal("a commit within the bound was applied at once")
			}
			must(t, p.Reset(state.Position{ClusterID: "c"}))
			must(t, p.Restore([]byte(strings.Repeat("k", bound/4)), make([]byte, 8), 0))
			must(t, p.RestoredTo(1))
		}
		must(t, db.Remove(state.StorePartition{Store: "kv"}))
	}
}

// TestEngineFails: after an error of the engine nothing is added to it, and commits say why.
func TestEngineFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newEngine()
		var log strings.Builder
		db, err := state.NewDB(e, state.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		must(t, err)
		p := openPartition(t, db, kvSpec)
		s := openLayer[*strings64](t, p, kvSpec, nil)
		broken := errors.New("no space left")
		e.fail = broken
		must(t, s.Put("a", 1, 0, none))
		must(t, commit(s, 1))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := strings.Count(log.String(), broken.Error()); n != 1 {
			t.Errorf("the log says so %d times, want once: %s", n, log.String())
		}
		e.fail = nil
		must(t, s.Put("b", 1, 0, none))
		must(t, s.Flush())
		for call, err := range map[string]error{
			"commit": s.Commit(2), "sync": db.Sync(), "reset": p.Reset(state.Position{}), "close": db.Close(),
		} {
			if !errors.Is(err, broken) {
				t.Errorf("%s: %v, want the engine's error", call, err)
			}
		}
		if got := e.len(t, data); got != 0 {
			t.Errorf("%d entries in the engine", got)
		}
	})
}

// TestApplyWhenFull: when as much waits as may, it is applied at once.
func TestApplyWhenFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const bound = 1 << 10
		e := newEngine()
		db := openDB(t, e, state.Config{ApplyBytes: bound})
		s := openLayer[*strings64](t, openPartition(t, db, kvSpec), kvSpec, nil)
		must(t, s.Put(strings.Repeat("k", bound), 1, 0, none))
		must(t, commit(s, 1))
		synctest.Wait() // and no time passes
		if got := e.len(t, data); got != 1 {
			t.Errorf("%d entries applied, want 1", got)
		}
		must(t, db.Close())
	})
}

// TestSyncWhen: what is applied while changes come in is made durable once a minute; Sync and Close do so in any case.
func TestSyncWhen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newEngine()
		db := openDB(t, e, state.Config{})
		s := openLayer[*strings64](t, openPartition(t, db, kvSpec), kvSpec, nil)
		next := int64(0)
		for _, want := range []struct{ seconds, syncs int64 }{{55, 0}, {80, 1}, {115, 1}, {150, 2}} {
			for ; next < want.seconds; next++ {
				must(t, s.Put("k", next, 0, none))
				must(t, commit(s, next))
				time.Sleep(time.Second)
			}
			if got := e.syncs.Load(); got != want.syncs {
				t.Errorf("%d syncs after %d s, want %d", got, want.seconds, want.syncs)
			}
		}
		must(t, db.Sync())
		if got := e.syncs.Load(); got != 3 {
			t.Errorf("%d syncs after Sync, want 3", got)
		}
		must(t, db.Close())
		if got := e.syncs.Load(); got != 4 {
			t.Errorf("%d syncs after Close, want 4", got)
		}
	})
}

// TestCloseEndsWaiting: a commit that waits for the engine waits no more when the state is being closed: Close applies what it brought.
func TestCloseEndsWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newEngine()
		db := openDB(t, e, state.Config{ApplyBytes: 1 << 10})
		s := openLayer[*strings64](t, openPartition(t, db, kvSpec), kvSpec, nil)
		e.gate = make(chan struct{})
		committed, closed := make(chan error, 1), make(chan error, 1)
		go func() {
			committed <- errors.Join(s.Put(strings.Repeat("k", 4<<10), 1, 0, none), commit(s, 1))
		}()
		synctest.Wait()
		if len(committed) > 0 {
			t.Error("a commit did not wait")
		}
		go func() { closed <- db.Close() }()
		synctest.Wait()
		if len(committed) == 0 {
			t.Error("a commit waits though the state is being closed")
		}
		close(e.gate)
		must(t, <-committed)
		must(t, <-closed)
		if n := e.len(t, data); n != 1 {
			t.Errorf("%d entries in the engine, want 1", n)
		}
	})
}

// TestFailureEndsWaiting: a commit that waits while the engine fails returns the error.
func TestFailureEndsWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newEngine()
		db, err := state.NewDB(e, state.Config{ApplyBytes: 1 << 10, Logger: slog.New(slog.DiscardHandler)})
		must(t, err)
		s := openLayer[*strings64](t, openPartition(t, db, kvSpec), kvSpec, nil)
		e.gate, e.fail = make(chan struct{}), errors.New("no space left")
		committed := make(chan error, 1)
		go func() {
			committed <- errors.Join(s.Put(strings.Repeat("k", 4<<10), 1, 0, none), commit(s, 1))
		}()
		synctest.Wait()
		close(e.gate)
		synctest.Wait()
		select {
		case err := <-committed:
			if !errors.Is(err, e.fail) {
				t.Errorf("%v, want %v", err, e.fail)
			}
		default:
			t.Error("a commit waits for an engine that has failed")
		}
		if err := db.Close(); !errors.Is(err, e.fail) {
			t.Errorf("closed: %v", err)
		}
	})
}

// TestFailuresLast: after a sync or a reset that failed nothing is added to the engine.
func TestFailuresLast(t *testing.T) {
	t.Parallel()
	broken := errors.New("input/output error")
	for name, fail := range map[string]func(*engine, *state.DB, *state.Partition) error{
		"sync": func(e *engine, db *state.DB, _ *state.Partition) error { e.failSync = broken; return db.Sync() },
		"reset": func(e *engine, _ *state.DB, p *state.Partition) error {
			e.fail = broken
			return p.Reset(state.Position{})
		},
	} {
		e := newEngine()
		db, err := state.NewDB(e, state.Config{Inline: true})
		must(t, err)
		p := openPartition(t, db, kvSpec)
		s := openLayer[*strings64](t, p, kvSpec, nil)
		if err := fail(e, db, p); !errors.Is(err, broken) {
			t.Errorf("%s: %v", name, err)
		}
		e.fail, e.failSync = nil, nil
		must(t, s.Put("k", 1, 0, none))
		for what, err := range map[string]error{"commit": commit(s, 1), "close": db.Close()} {
			if !errors.Is(err, broken) {
				t.Errorf("%s after the failed %s: %v", what, name, err)
			}
		}
		if n := e.len(t, data); n != 0 {
			t.Errorf("%d entries in the engine after the failed %s", n, name)
		}
	}
}

// TestNothingToApply: a commit that changes nothing gives the engine nothing.
func TestNothingToApply(t *testing.T) {
	t.Parallel()
	e := newEngine()
	db := openDB(t, e, state.Config{Inline: true})
	s := openLayer[*strings64](t, openPartition(t, db, kvSpec), kvSpec, &journal{})
	must(t, s.Put("k", 1, 0, none))
	must(t, commit(s, 1))
	must(t, db.Sync())
	before := e.applies.Load()
	must(t, commit(s, 1))
	must(t, db.Sync())
	if n := e.applies.Load() - before; n != 0 {
		t.Errorf("%d batches", n)
	}
}
