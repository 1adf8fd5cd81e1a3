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
		db, err := state.NewDB(e, state.Config{Logger: slog.New(slog.DiscardHandler)})
		must(t, err)
		p := openPartition(t, db, kvSpec)
		s := openLayer[*strings64](t, p, kvSpec, nil)
		broken := errors.New("no space left")
		e.fail = broken
		must(t, s.Put("a", 1, 0, none))
		must(t, commit(s, 1))
		time.Sleep(2 * time.Second)
		synctest.Wait()
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
