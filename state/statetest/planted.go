//go:build planted

package statetest

import (
	"fmt"
	goruntime "runtime"
	"testing"

	"github.com/millrace-io/millrace/state"
)

// enoughToCatch is how many rounds of the suite a bug may survive.
const enoughToCatch = 10

// Planted checks that the suite catches each of the bugs that are planted in package state: a suite that never failed proves
// nothing.
func Planted(t *testing.T, newStorage func(testing.TB) Storage) {
	for _, bug := range state.PlantedBugs {
		t.Run(bug, func(t *testing.T) {
			t.Setenv("MILLRACE_PLANTED", bug)
			for range enoughToCatch {
				if where, why := round(t, newStorage); why != "" {
					t.Logf("caught in %s: %.300s", where, why)
					return
				}
			}
			t.Errorf("%d rounds have not caught it", enoughToCatch)
		})
	}
}

// round runs the suite's models until one fails.
func round(t *testing.T, newStorage func(testing.TB) Storage) (where, why string) {
	for _, c := range caches {
		for name, run := range map[string]func(testing.TB){
			"keyvalue": func(t testing.TB) { runModel(t, newStorage(t), c, keyValueOf(pointerValues)) },
			"window":   func(t testing.TB) { runModel(t, newStorage(t), c, windowOf(plainValues)) },
			"session":  func(t testing.TB) { runModel(t, newStorage(t), c, sessionOf(plainValues)) },
			"join":     func(t testing.TB) { runSpecial(t, newStorage(t), c, newJoinWindow(plainValues)) },
		} {
			if why := failure(t, run); why != "" {
				return name + "/" + c.name, why
			}
		}
	}
	return "", ""
}

// failure returns how a test fails, without failing.
func failure(t *testing.T, run func(testing.TB)) string {
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if v := recover(); v != nil {
				r.why = fmt.Sprint("panic: ", v)
			}
		}()
		run(r)
	}()
	<-done
	return r.why
}

// recorder is a test that keeps its failure to itself.
type recorder struct {
	testing.TB
	why string
}

// Fatalf notes the failure and ends the goroutine, as a test's does.
func (r *recorder) Fatalf(format string, args ...any) {
	r.why = fmt.Sprintf(format, args...)
	goruntime.Goexit()
}

// Helper does nothing: the failure is told elsewhere.
func (r *recorder) Helper() {}
