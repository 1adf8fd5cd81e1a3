package operator

import (
	"fmt"
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

// TestBegins: the store is asked for closed windows only if one can begin where they would have.
func TestBegins(t *testing.T) {
	t.Parallel()
	for _, advance := range []int64{1, 2, 7, 10} {
		l := layout{advance: advance}
		for from := range int64(25) {
			for to := int64(-12); to < 25; to++ {
				want := false
				for start := range int64(25) {
					want = want || start%advance == 0 && from <= start && start <= to
				}
				if got := l.begins(from, to); got != want {
					t.Errorf("every %d, from %d to %d: %v", advance, from, to, got)
				}
			}
		}
	}
	unlimited := layout{advance: 1<<63 - 1}
	if unlimited.begins(1, 1<<62) || unlimited.begins(0, -1<<62) {
		t.Error("a window without an end has closed")
	}
}

// TestWindowsOfAnEarlierLayout: windows that the program laid out in another way before it was changed are emitted too.
func TestWindowsOfAnEarlierLayout(t *testing.T) {
	t.Parallel()
	s := &scope{}
	s.open(t, state.WindowSpec("w", serde.String, serde.Int64, 10*second, 30*second))
	st := Stored("w")
	st.OnClose = true
	var got []string
	take := func(w window.Time, at ...time.Duration) {
		t.Helper()
		inst, err := Windowed("n", st, w, Counter[string, string]()).Build(s, changes[int64](&got))
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range at {
			inst.Ports[0].(topology.Emit[string, string])(topology.NewRecord("k", "v", at.Milliseconds()))
		}
	}
	take(window.Hopping(10*second, 5*second), 6*second, 10*second)
	take(window.Tumbling(10*second), 15*second, 20*second, 30*second)
	if want := []string{"0 = 1", "5000 = 2", "10000 = 2", "20000 = 1"}; !slices.Equal(got, want) || len(s.failed) > 0 {
		t.Errorf("emitted %q, want %q; %v", got, want, s.failed)
	}
}

// BenchmarkEmitOnClose is a count of open windows of many keys, with a record every millisecond and a look for closed windows with each.
func BenchmarkEmitOnClose(b *testing.B) {
	s := &scope{}
	s.open(b, state.WindowSpec("w", serde.String, serde.Int64, time.Minute, 5*time.Minute))
	st := Stored("w")
	st.OnClose = true
	emitted := 0
	down := topology.Emit[window.Windowed[string], state.Change[int64]](func(topology.Record[window.Windowed[string], state.Change[int64]]) { emitted++ })
	inst, err := Windowed("n", st, window.Tumbling(time.Minute), Counter[string, string]()).Build(s, down)
	if err != nil {
		b.Fatal(err)
	}
	take := inst.Ports[0].(topology.Emit[string, string])
	keys := make([]string, 10_000)
	for i := range keys {
		keys[i] = fmt.Sprint("key-", i)
	}
	b.ReportAllocs()
	at := int64(0)
	for b.Loop() {
		take(topology.NewRecord(keys[at%int64(len(keys))], "v", at))
		at++
	}
	if len(s.failed) > 0 || at > 61_000 && emitted == 0 {
		b.Error(emitted, s.failed)
	}
}
