package state_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
)

type lru = state.LRU[string, int64]

func keysIn(t *testing.T, s *lru) (keys []string) {
	t.Helper()
	for row, err := range s.Range(serde.None[string](), serde.None[string]()) {
		must(t, err)
		keys = append(keys, row.Key)
	}
	return keys
}

// TestLRU: the entry used least lately goes, which the changelog says; reads count as uses, ranges do not.
func TestLRU(t *testing.T) {
	t.Parallel()
	spec := state.LRUSpec("recent", stringSerde{}, int64Serde{}, 3)
	e := newEngine()
	db := openDB(t, e, state.Config{Inline: true})
	p, log := openPartition(t, db, spec), &journal{}
	s := openLayer[*lru](t, p, spec, log)
	put := func(key string, ts int64) { t.Helper(); must(t, s.Put(key, ts, ts, serde.Headers{})) }
	put("a", 1)
	put("b", 2)
	put("", 3)
	_, _, ok, err := s.Get("a")
	must(t, err)
	if keysIn(t, s); !ok || s.Len() != 3 {
		t.Errorf("a is there: %v, of %d", ok, s.Len())
	}
	put("d", 4) // b has to go
	must(t, s.Flush())
	if got, want := log.take(), []string{`"a" = "\x00\x00\x00\x00\x00\x00\x00\x01" @1`, `"" = "\x00\x00\x00\x00\x00\x00\x00\x03" @3`,
		`"d" = "\x00\x00\x00\x00\x00\x00\x00\x04" @4`}; !slices.Equal(got, want) {
		t.Errorf("changelog %v\nwant %v", got, want)
	}
	must(t, s.Commit(3))
	put("e", 5) // "" has to go, of which the changelog knows
	must(t, s.Delete("d", 6, serde.Headers{}))
	put("f", 7)
	must(t, s.Flush())
	want := []string{`"e" = "\x00\x00\x00\x00\x00\x00\x00\x05" @5`, `"" = null @5`, `"d" = null @6`, `"f" = "\x00\x00\x00\x00\x00\x00\x00\a" @7`}
	if got := log.take(); !slices.Equal(got, want) {
		t.Errorf("changelog %v\nwant %v", got, want)
	}
	must(t, s.Commit(7))

	s = openLayer[*lru](t, p, spec, log) // a new task: event times decide
	put("g", 8)
	if got := keysIn(t, s); !slices.Equal(got, []string{"e", "f", "g"}) {
		t.Errorf("%q are left", got)
	}
	s.Drop()
	s = openLayer[*lru](t, p, spec, log)
	if got := keysIn(t, s); !slices.Equal(got, []string{"a", "e", "f"}) || s.Len() != 3 {
		t.Errorf("%q are left after an abort, %d entries", got, s.Len())
	}
	if _, err := state.LRUSpec("none", stringSerde{}, int64Serde{}, 0).Open(state.Env{Committed: p}); err == nil {
		t.Error("a store of no entries was opened")
	}
}

// TestLRUAgainstModel: as a list in the order of use, over commits.
func TestLRUAgainstModel(t *testing.T) {
	t.Parallel()
	const most = 20
	rng := rand.New(rand.NewPCG(1, 2))
	spec := state.LRUSpec("recent", stringSerde{}, int64Serde{}, most)
	db := openDB(t, newEngine(), state.Config{Inline: true, CacheBytes: 1, ApplyBytes: 1 << 10})
	s := openLayer[*lru](t, openPartition(t, db, spec), spec, &journal{})
	var model []string // the last is the one used last
	for i := range int64(20_000) {
		key := fmt.Sprintf("key-%d", rng.IntN(2*most))
		at := slices.Index(model, key)
		switch x := rng.IntN(10); {
		case x < 4:
			_, _, ok, err := s.Get(key)
			must(t, err)
			if ok != (at >= 0) {
				t.Fatalf("%s is there: %v, want %v", key, ok, at >= 0)
			}
			if ok {
				model = append(slices.Delete(model, at, at+1), key)
			}
		case x < 9:
			must(t, s.Put(key, i, i, serde.Headers{}))
			if at >= 0 {
				model = slices.Delete(model, at, at+1)
			}
			if model = append(model, key); len(model) > most {
				model = model[1:]
			}
		default:
			must(t, s.Delete(key, i, serde.Headers{}))
			if at >= 0 {
				model = slices.Delete(model, at, at+1)
			}
		}
		if i%50 == 0 {
			must(t, s.Flush())
			must(t, s.Commit(i))
			if got, want := keysIn(t, s), slices.Sorted(slices.Values(model)); !slices.Equal(got, want) || s.Len() != len(model) {
				t.Fatalf("%q, want %q", got, want)
			}
		}
	}
}
