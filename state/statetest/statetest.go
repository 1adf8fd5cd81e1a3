// Package statetest is the conformance suite of state: what every engine must do, and a model that typed stores over it must
// agree with, wherever an entry happens to be: in the transaction, committed and not applied, or in the engine.
//
// Runs are random and can be repeated: a failure prints its seed, and MILLRACE_SEED=<seed> runs that one.
package statetest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/millrace-io/millrace/state"
)

// Storage is where an engine keeps its content, so that it can be opened again.
type Storage interface {
	// Open opens an engine on what the last one left: everything, if it was closed.
	Open() (state.Engine, error)
	// Lasting reports whether anything is left at all.
	Lasting() bool
}

// Run runs the suite on fresh storages that make returns.
func Run(t *testing.T, newStorage func(testing.TB) Storage) {
	t.Run("engine", func(t *testing.T) { t.Parallel(); runEngine(t, newStorage) })
	t.Run("reopen", func(t *testing.T) { t.Parallel(); runReopen(t, newStorage) })
	models := map[string]func(testing.TB, cache){
		"keyvalue/plain":   func(t testing.TB, c cache) { runModel(t, newStorage(t), c, keyValueOf(plainValues)) },
		"keyvalue/pointer": func(t testing.TB, c cache) { runModel(t, newStorage(t), c, keyValueOf(pointerValues)) },
		"window/plain":     func(t testing.TB, c cache) { runModel(t, newStorage(t), c, windowOf(plainValues)) },
		"window/pointer":   func(t testing.TB, c cache) { runModel(t, newStorage(t), c, windowOf(pointerValues)) },
		"session/plain":    func(t testing.TB, c cache) { runModel(t, newStorage(t), c, sessionOf(plainValues)) },
		"session/pointer":  func(t testing.TB, c cache) { runModel(t, newStorage(t), c, sessionOf(pointerValues)) },
		"keyvalue/headers": func(t testing.TB, c cache) {
			runModel(t, newStorage(t), c, keyValueOf(pointerValues, state.KeepHeaders()))
		},
		"window/headers": func(t testing.TB, c cache) { runModel(t, newStorage(t), c, windowOf(plainValues, state.KeepHeaders())) },
		"session/headers": func(t testing.TB, c cache) {
			runModel(t, newStorage(t), c, sessionOf(plainValues, state.KeepHeaders()))
		},
		"join/plain":    func(t testing.TB, c cache) { runSpecial(t, newStorage(t), c, newJoinWindow(plainValues)) },
		"join/pointer":  func(t testing.TB, c cache) { runSpecial(t, newStorage(t), c, newJoinWindow(pointerValues)) },
		"versioned":     func(t testing.TB, c cache) { runSpecial(t, newStorage(t), c, newVersioned()) },
		"list":          func(t testing.TB, c cache) { runSpecial(t, newStorage(t), c, newLists()) },
		"buffer":        func(t testing.TB, c cache) { runSpecial(t, newStorage(t), c, newBuffer()) },
		"record buffer": func(t testing.TB, c cache) { runSpecial(t, newStorage(t), c, newRecordBuffer()) },
	}
	for name, run := range models {
		for _, c := range caches {
			t.Run(name+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				for range runs {
					run(t, c)
				}
			})
		}
	}
}

// caches are bounds that put entries into different layers: no room, some, all; applied at once, now and then, at the end.
var caches = []cache{
	{"none", 1, 1},
	{"small", 8 << 10, 4 << 10},
	{"large", 64 << 20, 64 << 10},
}

type cache struct {
	name              string
	bytes, applyBytes int64
}

// A model does runs times opsPerRun operations at each bound of the caches: of both engines together a quarter of a million, more than a
// million with the tag invariants.
const (
	runs      = invariantsFactor
	opsPerRun = 4_000 / raceFactor
)

// newRand returns the run's source of random numbers, and prints its seed if the test fails.
func newRand(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	if s := os.Getenv("MILLRACE_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("MILLRACE_SEED: %v", err)
		}
		seed = n
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("repeat with MILLRACE_SEED=%d go test -run '%s'", seed, t.Name())
		}
	})
	return rand.New(rand.NewPCG(seed, 1))
}

func must(t testing.TB, err error, doing string, args ...any) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", fmt.Sprintf(doing, args...), err)
	}
}
