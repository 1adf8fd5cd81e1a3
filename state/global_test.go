package state_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/millrace-io/millrace/state"
)

func openGlobal(t testing.TB) *state.Global[string, int64] {
	l, err := state.GlobalSpec("g", stringSerde{}, int64Serde{}).Open(state.Env{})
	must(t, err)
	var _ state.GlobalLayer = l.(state.GlobalLayer)
	return l.(*state.Global[string, int64])
}

func TestGlobal(t *testing.T) {
	t.Parallel()
	g := openGlobal(t)
	value := func(n int64) []byte { b, _ := int64Serde{}.Append(nil, n); return b }
	must(t, g.Apply([]byte("a"), value(1), 5))
	must(t, g.Apply([]byte("a"), value(2), 6))
	must(t, g.Apply([]byte("b"), value(1), 7))
	must(t, g.Apply([]byte("b"), nil, 8))
	must(t, g.Apply([]byte("never"), nil, 8))
	if err := g.Apply([]byte("a"), []byte("bad"), 9); err == nil {
		t.Error("a bad value was taken")
	}
	g.Drop()
	if v, ts, ok, err := g.Get("a"); v != 2 || ts != 6 || !ok || err != nil {
		t.Errorf("a: %d @%d, %v, %v", v, ts, ok, err)
	}
	if _, _, ok, err := g.Get("b"); ok || err != nil {
		t.Errorf("b: %v, %v", ok, err)
	}
	if n := g.Len(); n != 1 {
		t.Errorf("%d keys", n)
	}
}

func TestGlobalGetAllocatesNothing(t *testing.T) {
	g := openGlobal(t)
	must(t, g.Apply([]byte("a"), make([]byte, 8), 0))
	if a := testing.AllocsPerRun(100, func() { _, _, _, _ = g.Get("a") }); a > 0 && !raceEnabled {
		t.Errorf("%v allocations", a)
	}
}

// TestGlobalConcurrent reads while the table changes: every value is one that was applied for its key.
func TestGlobalConcurrent(t *testing.T) {
	t.Parallel()
	g := openGlobal(t)
	const keys, rounds = 100, 50
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range rounds {
				for k := range int64(keys) {
					if v, _, ok, err := g.Get(fmt.Sprint(k)); err != nil || ok && v%keys != k {
						t.Errorf("%d: %d, %v", k, v, err)
						return
					}
				}
			}
		})
	}
	for r := range int64(rounds) {
		for k := range int64(keys) {
			b, _ := int64Serde{}.Append(nil, r*keys+k)
			if k%7 == r%7 {
				b = nil
			}
			must(t, g.Apply(fmt.Append(nil, k), b, r))
		}
	}
	wg.Wait()
}
