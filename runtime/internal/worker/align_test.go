package worker

import (
	"slices"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/commit"
	"github.com/millrace-io/millrace/runtime/internal/skew"
	"github.com/millrace-io/millrace/runtime/internal/task"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/topology"
)

// A2: a task that waits for those of other instances says at which record, with a commit that holds nothing else, once; then it goes on
// when they have.
func TestHeldTaskIsHeardOf(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	board := skew.New(100*time.Millisecond, time.Hour, time.Now())
	w.align = board
	r := w.run()
	w.takeTrace()
	w.feed(0, "a", "b") // at 1000
	next := func() int64 {
		w.mu.Lock()
		defer w.mu.Unlock()
		m, err := commit.DecodeMetadata(w.offsets[input0].Metadata)
		if err != nil || !m.HasNext {
			return -1
		}
		return m.Next
	}
	w.await("it is heard of", func() bool { return next() == 1000 })
	w.await("shown", func() bool { return r.Snapshot().Commits == 1 })
	if got, want := w.takeTrace(), []string{"enter", "offsets m1/4 at 0", "leave", "flush", "end commit=true"}; !slices.Equal(got, want) {
		t.Errorf("calls %q\nwant  %q", got, want)
	}
	other := skew.Seen{TopicPartition: client.TopicPartition{Topic: "in", Partition: 1}, Committed: 1, Next: 500, End: 9}
	board.Observe(time.Now(), []skew.Seen{other})
	if err := r.Bound(t.Context(), 1<<20); err != nil { // a command, and so a round
		t.Fatal(err)
	}
	if got := w.takeTrace(); len(got) != 0 {
		t.Errorf("it does not wait: %q", got)
	}
	other.Next = 900
	board.Observe(time.Now(), []skew.Seen{other})
	w.await("it goes on", func() bool { return w.committed() == 2 })
	w.checkCounts(map[string]int64{"a": 1, "b": 1})
	if got := board.Limit(7, skew.None); got != 1000 { // the other one alone holds
		t.Errorf("a worker without data goes on up to %d", got)
	}
	other.Next = 500 // nothing else is to be committed now
	board.Observe(time.Now(), []skew.Seen{other})
	w.feed(2, "c")
	w.await("it is heard of again", func() bool { return next() == 1000 && w.committed() == 2 })
}

// What a task leaves behind holds the others until somebody has looked where it is; a paused worker holds nobody.
func TestDepartingTaskHolds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	board := skew.New(100*time.Millisecond, time.Hour, time.Now())
	w.align = board
	r := w.run()
	w.feed(0, "a") // at 1000: held, for nobody has looked at the group yet
	w.await("it is held", func() bool { return r.Snapshot().Commits == 1 })
	board.Observe(time.Now(), []skew.Seen{{TopicPartition: client.TopicPartition{Topic: "in", Partition: 1}, Committed: 1, Next: 500, End: 9}})
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	board.Observe(time.Now().Add(-time.Hour), nil)
	if got := board.Limit(7, 5000); got != 1100 {
		t.Errorf("others go on up to %d", got)
	}
	board.Observe(time.Now(), nil)
	if got := board.Limit(7, 5000); got != 5100 {
		t.Errorf("afterwards up to %d", got)
	}
}

// An input that the log is said to hold more of is waited for, but only as long as nothing of it comes for the board's patience; each wait is
// one of its own.
func TestPatience(t *testing.T) {
	t.Parallel()
	b := topology.NewBuilder()
	topology.AddSource(b, "source", "in", serde.String, serde.String)
	top, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	in := task.Input{Topic: "in"}
	tk, err := task.New(task.Config{Topology: top, Output: &Collector{}, Now: start, Start: []task.Progress{{Input: in, PartitionTime: 70}}})
	if err != nil {
		t.Fatal(err)
	}
	w, r := &Worker{cfg: Config{Align: skew.New(time.Second, time.Minute, start)}}, &running{task: tk}
	for _, step := range []struct {
		at   time.Duration
		lag  int64 // -1: not known
		want int64
	}{
		{0, -1, skew.Unknown},
		{59 * time.Second, 5, 70},
		{60 * time.Second, 5, skew.None}, // waited for long enough
		{61 * time.Second, 0, skew.None}, // there is nothing
		{62 * time.Second, 5, 70},
		{121 * time.Second, 5, 70},
		{122 * time.Second, 5, skew.None},
	} {
		tk.Lag(in, step.lag >= 0, step.lag)
		if got := w.boundOf(r, start.Add(step.at)); got != step.want {
			t.Errorf("after %v: bound %d, want %d", step.at, got, step.want)
		}
	}
}
