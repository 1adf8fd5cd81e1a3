package topologytest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/runtime/topologytest"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// fatal stands for a test that a driver may fail: Fatalf ends what expectFatal runs.
type fatal struct{ testing.TB }

type fatalMessage string

func (f fatal) Helper()        {}
func (f fatal) Cleanup(func()) {}
func (f fatal) Fatalf(format string, args ...any) {
	panic(fatalMessage(fmt.Sprintf(format, args...)))
}

func expectFatal(t *testing.T, want string, f func(testing.TB)) {
	t.Helper()
	defer func() {
		t.Helper()
		got, ok := recover().(fatalMessage)
		if !ok || !strings.Contains(string(got), want) {
			t.Errorf("failed with %q, want %q", got, want)
		}
	}()
	f(fatal{t})
}

// A test that asks for what is not there, or for a store of another kind, is told so (T-08).
func TestFatal(t *testing.T) {
	t.Parallel()
	expectFatal(t, "topologytest: topology: the topology has no source", func(tb testing.TB) {
		topologytest.New(tb, &topology.Topology{})
	})
	expectFatal(t, "topic counts: no record after the 0 that were read", func(tb testing.TB) {
		topologytest.NewOutput(topologytest.New(tb, wordCount(t)), "counts", serde.String, serde.Int64).Read()
	})
	expectFatal(t, "store other: there is none", func(tb testing.TB) {
		topologytest.StoreOf[*state.KeyValue[string, int64]](topologytest.New(tb, wordCount(t)), "other")
	})
	expectFatal(t, "store counts is a *state.KeyValue[string,int64], not a *state.Window[string,int64]", func(tb testing.TB) {
		topologytest.StoreOf[*state.Window[string, int64]](topologytest.New(tb, wordCount(t)), "counts")
	})
	expectFatal(t, "topic counts offset 0: decode value", func(tb testing.TB) {
		d := topologytest.New(tb, wordCount(t))
		topologytest.NewInput(d, "lines", serde.String, serde.String).Pipe("k", "word")
		topologytest.NewOutput(d, "counts", serde.String, serde.Int32).Read()
	})
	expectFatal(t, "task 0_0: lines-0 at offset 0: panic: panic", func(tb testing.TB) {
		topologytest.NewInput(topologytest.New(tb, wordCount(t)), "lines", serde.String, serde.String).Pipe("k", "panic")
	})
}
