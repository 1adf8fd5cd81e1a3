package topologytest_test

import (
	"testing"

	"github.com/millrace-io/millrace/runtime/topologytest"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/topology"
)

// A test of a topology: pipe records in, read what comes out.
func ExampleNew() {
	_ = func(t *testing.T, top *topology.Topology) {
		d := topologytest.New(t, top)
		lines := topologytest.NewInput(d, "lines", serde.String, serde.String)
		counts := topologytest.NewOutput(d, "counts", serde.String, serde.Int64)

		lines.Pipe("k", "to be or not to be")

		if got := topologytest.Latest(counts); got["to"] != 2 {
			t.Errorf("to was counted %d times", got["to"])
		}
	}
}
