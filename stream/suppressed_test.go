package stream_test

import (
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime/topologytest"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
)

// TestLookIntoSuppressedTable: a join that looks into a suppressed table sees the rows as they were before the updates that wait (D-52).
func TestLookIntoSuppressedTable(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	held := tableFrom(b, "t", stream.StoreNamed("rows")).Suppress(stream.UntilTimeLimit(100*time.Millisecond, stream.Unbounded()))
	toText(stream.LeftJoinTable(from(b, "in"), held, bothOr), "out")
	top, err := b.Topology()
	if err != nil {
		t.Fatal(err)
	}
	d := topologytest.New(t, top)
	rows, in := topologytest.NewInput(d, "t", serde.String, serde.String), topologytest.NewInput(d, "in", serde.String, serde.String)
	rows.PipeAt("a", "one", 0)
	in.PipeAt("a", "1:", 10) // waits
	rows.PipeAt("b", "other", 100)
	in.PipeAt("a", "2:", 110) // has come through
	rows.PipeAt("a", "two", 120)
	in.PipeAt("a", "3:", 130) // waits
	rows.PipeAt("b", "other", 220)
	in.PipeAt("a", "4:", 230)
	out := topologytest.NewOutput(d, "out", serde.String, serde.String)
	if got, want := topologytest.Render(out), "a=1: @10\na=2:one @110\na=3:one @130\na=4:two @230\n"; got != want {
		t.Errorf("results:\n%swant\n%s", got, want)
	}
}
