package state_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
)

// TestApproximateNumEntries: where the engine has no estimate to give the number is exact, whatever happens to the store, and whether its entries
// are in memory or not.
func TestApproximateNumEntries(t *testing.T) {
	t.Parallel()
	for name, cache := range map[string]int64{"in memory": 0, "mostly below": 4 << 10} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(5, 6))
			db := openDB(t, newEngine(), state.Config{Inline: true, ApplyBytes: 2 << 10, CacheBytes: cache})
			p := openPartition(t, db, kvSpec)
			s := openLayer[*strings64](t, p, kvSpec, &journal{})
			next := int64(0)
			for i := range 3000 {
				key := fmt.Sprint("key", rng.IntN(500))
				switch rng.IntN(12) {
				case 0:
					must(t, s.Flush())
					next++
					must(t, s.Commit(next))
				case 1:
					must(t, s.Flush()) // what comes then is flushed later
				case 2:
					s.Drop()
				case 3, 4, 5:
					must(t, s.Delete(key, 0, none))
				default:
					must(t, s.Put(key, int64(i), 0, none))
				}
				if i < 100 || rng.IntN(8) > 0 { // first asked for when there is something
					continue
				}
				if i%500 == 0 { // a copy goes on while the task is elsewhere
					s.Drop()
					must(t, p.Restore([]byte(key), make([]byte, 8), 0))
					must(t, p.Restore([]byte("key0"), nil, 0))
					next += 2
					must(t, p.RestoredTo(next))
					s = openLayer[*strings64](t, p, kvSpec, &journal{})
				}
				want := int64(0)
				for _, err := range s.Range(serde.None[string](), serde.None[string]()) {
					must(t, err)
					want++
				}
				got, err := s.ReadOnly().ApproximateNumEntries()
				must(t, err)
				if got != want {
					t.Fatalf("operation %d: %d entries, want %d", i, got, want)
				}
			}
			s.Drop()
			must(t, p.Reset(state.Position{ClusterID: "c"}))
			s = openLayer[*strings64](t, p, kvSpec, &journal{})
			if n, err := s.ApproximateNumEntries(); n != 0 || err != nil {
				t.Errorf("after a reset: %d, %v", n, err)
			}
			must(t, p.RestoredTo(0)) // forgets the number
			must(t, db.Close())
			if _, err := s.ApproximateNumEntries(); !errors.Is(err, state.ErrClosed) {
				t.Errorf("after the close: %v, want ErrClosed", err)
			}
		})
	}
}

// estimating is an engine that estimates.
type estimating struct {
	*engine
	estimate int64
	asked    int
	err      error
}

func (e *estimating) Estimate(lo, hi []byte) (int64, error) {
	e.asked++
	return e.estimate, e.err
}

// TestEstimatedNumEntries: an engine's estimate is asked for once, of what is not in memory; writes are counted from then on.
func TestEstimatedNumEntries(t *testing.T) {
	t.Parallel()
	e := &estimating{engine: newEngine(), estimate: 1000}
	fill := func(db *state.DB) *strings64 {
		s := openLayer[*strings64](t, openPartition(t, db, kvSpec), kvSpec, &journal{})
		for i := range int64(900) {
			must(t, s.Put(fmt.Sprint("key", i), i, 0, none))
		}
		must(t, s.Flush())
		must(t, s.Commit(1))
		return s
	}
	count := func(s *strings64, want int64) {
		t.Helper()
		if n, err := s.ApproximateNumEntries(); n != want || err != nil {
			t.Errorf("%d entries, %v; want %d", n, err, want)
		}
	}
	db := openDB(t, e, state.Config{Inline: true})
	s := fill(db)
	count(s, 900)
	if e.asked > 0 {
		t.Error("the engine was asked about what is in memory")
	}
	must(t, db.Close())

	db = openDB(t, e, state.Config{Inline: true, CacheBytes: 8 << 10})
	s = fill(db)
	e.err = errors.New("no estimate")
	if _, err := s.ApproximateNumEntries(); !errors.Is(err, e.err) {
		t.Errorf("%v, want the engine's error", err)
	}
	e.err = nil
	count(s, 1000)
	must(t, s.Put("another", 1, 0, none))
	must(t, s.Delete("key1", 0, none))
	must(t, s.Delete("key2", 0, none))
	count(s, 999)
	must(t, s.Flush())
	must(t, s.Commit(2))
	count(s, 999)
	if e.asked != 2 {
		t.Errorf("the engine was asked %d times", e.asked)
	}
	must(t, db.Close())

	e.estimate = 1
	db = openDB(t, e, state.Config{Inline: true, CacheBytes: 8 << 10})
	s = openLayer[*strings64](t, openPartition(t, db, kvSpec), kvSpec, &journal{})
	for i := range 3 {
		must(t, s.Delete(fmt.Sprint("key", 10+i), 0, none))
	}
	count(s, 0) // not less, though the estimate was too low
	must(t, db.Close())

	db = openDB(t, e, state.Config{Inline: true, CacheBytes: 8 << 10})
	s = fill(db) // not applied yet, which the estimate waits for
	e.fail = errors.New("disk full")
	if _, err := s.ApproximateNumEntries(); !errors.Is(err, e.fail) {
		t.Errorf("%v, want what keeps the state from being written", err)
	}
	if err := db.Close(); !errors.Is(err, e.fail) {
		t.Errorf("close: %v", err)
	}
}
