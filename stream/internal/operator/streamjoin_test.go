package operator

import (
	"testing"
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/stream/window"
	"github.com/millrace-io/millrace/topology"
)

// TestUnmatchedRecordsOutliveTheTask: a task that finds unmatched records in its store takes them out where they meet a match, and emits them
// in time, though nothing else is known of the time before it (D-104, D-106, D-108).
func TestUnmatchedRecordsOutliveTheTask(t *testing.T) {
	t.Parallel()
	const keep = 10 * time.Millisecond
	j := &StreamJoin[string, string, string, string]{
		Windows: window.Within(keep), LeftStore: "l", RightStore: "r", Parked: "p",
		Key: serde.String, LeftValue: serde.String, RightValue: serde.String,
		Join: func(_ string, l, r serde.Maybe[string]) string { return l.Or("none") + "+" + r.Or("none") },
	}
	before := &scope{}
	before.open(t, state.JoinWindowSpec("l", serde.String, serde.String, 2*keep, 2*keep))
	before.open(t, state.JoinWindowSpec("r", serde.String, serde.String, 2*keep, 2*keep))
	before.open(t, j.ParkedSpec())
	var out []string
	sides := func(s *scope) (left, right func(key, value string, at int64)) {
		side := func(first, second *topology.Node) func(string, string, int64) {
			kept, joined := run[string, string, string, string](t, s, first, nil), run[string, string, string, string](t, s, second, &out)
			return func(key, value string, at int64) {
				r := topology.NewRecord(key, value, at)
				kept(r)
				joined(r)
			}
		}
		return side(Keep[string, string]("kl", "l"), j.Left("left")), side(Keep[string, string]("kr", "r"), j.Right("right"))
	}
	left, _ := sides(before)
	left("alone", "a", 100)
	left("met", "b", 101)

	after := &scope{stores: before.stores}
	left, right := sides(after)
	left("late", "d", 90)
	right("met", "c", 100)
	right("other", "e", 111)
	right("other", "f", 112)
	if got := join(out); got != "late=d+none@90 met=b+c@101 alone=a+none@100" {
		t.Errorf("out %s", got)
	}
	if len(before.failed)+len(after.failed) > 0 {
		t.Error(before.failed, after.failed)
	}
}
