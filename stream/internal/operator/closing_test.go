package operator

import (
	"slices"
	"testing"
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/stream/window"
	"github.com/millrace-io/millrace/topology"
)

// TestClosedWindowsAreNotForgotten: the look for closed windows waits for its interval of the wall clock, but not if the store would let
// go of windows meanwhile (D-87).
func TestClosedWindowsAreNotForgotten(t *testing.T) {
	t.Parallel()
	s := &scope{}
	s.open(t, state.WindowSpec("w", serde.String, serde.Int64, 10*second, 30*second))
	st := Stored("w")
	st.OnClose, st.EmitInterval = true, 1000
	var got []string
	inst, err := Windowed("n", st, window.Tumbling(10*second), Counter[string, string]()).Build(s, changes[int64](&got))
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		now, at time.Duration
		emitted []string
	}{
		{0, 1 * second, nil},
		{0, 12 * second, nil},                    // [0, 10) has closed; the interval has not passed
		{second, 13 * second, []string{"0 = 1"}}, // it has
		{second, 25 * second, nil},
		{second, 55 * second, []string{"10000 = 2", "20000 = 1"}}, // or the store would forget them
		{second, 95 * second, []string{"50000 = 1"}},
		{3 * second, 95 * second, nil},
	} {
		got = nil
		s.now = step.now.Milliseconds()
		inst.Ports[0].(topology.Emit[string, string])(topology.NewRecord("k", "v", step.at.Milliseconds()))
		if !slices.Equal(got, step.emitted) || len(s.failed) > 0 {
			t.Errorf("at %v, the wall clock at %v: emitted %q, want %q; %v", step.at, step.now, got, step.emitted, s.failed)
		}
	}
}
