package task_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/task"
	"github.com/millrace-io/millrace/topology"
)

// ticker forwards records and, on each punctuation, a record that says what the context shows.
func ticker(interval time.Duration, kind topology.PunctuationType) proc {
	return proc{init: func(ctx *topology.Context[string, string]) error {
		ctx.Schedule(interval, kind, func(now int64) error {
			m := ctx.Metadata()
			ctx.Forward(topology.NewRecord("tick", fmt.Sprintf("topic=%q offset=%d stream=%d wall=%d",
				m.Topic, m.Offset, ctx.StreamTime(), ctx.CurrentTime()), now))
			return nil
		})
		return nil
	}}
}

// P-16, P-22: on stream time it fires as soon as that is known, aligned to zero, once however much time passed.
func TestStreamTimePunctuation(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		first string
		steps []struct{ at, fires string }
	}{
		{"from 3", []struct{ at, fires string }{
			{"3", "3"}, {"9", ""}, {"10", "10"}, {"11", ""}, {"19", ""}, {"5", ""}, {"20", "20"}, {"45", "45"}, {"49", ""}, {"50", "50"},
			{"50", ""}, {"1000", "1000"}, {"1001", ""},
		}},
		{"from 0", []struct{ at, fires string }{{"0", "0"}, {"0", ""}, {"10", "10"}}},
		{"from 123", []struct{ at, fires string }{{"123", "123"}, {"129", ""}, {"130", "130"}}},
	} {
		t.Run(c.first, func(t *testing.T) {
			t.Parallel()
			h := start(t, pipe(ticker(10*time.Millisecond, topology.PunctuateStreamTime)))
			for i, s := range c.steps {
				h.offer("in", fmt.Sprintf("%d:k=v@%s", i, s.at))
				want := "out-0 k=v@" + s.at
				if s.fires != "" {
					want += fmt.Sprintf("\nout-0 tick=topic=\"\" offset=-1 stream=%s wall=1000@%s", s.fires, s.fires)
				}
				h.expect(h.run(), want)
			}
			if fired, err := h.Punctuate(h.now.Add(time.Hour)); fired || err != nil {
				t.Errorf("Punctuate without input = %v, %v; stream time stands still", fired, err)
			}
		})
	}
}

// P-17: on the wall clock it first fires one interval after it was scheduled; missed intervals collapse.
func TestWallClockPunctuation(t *testing.T) {
	t.Parallel()
	h := start(t, pipe(ticker(10*time.Millisecond, topology.PunctuateWallClock)))
	for _, c := range []struct {
		now   int64
		fires bool
		wake  int64
	}{{1000, false, 1010}, {1009, false, 1010}, {1010, true, 1020}, {1019, false, 1020}, {1045, true, 1050}, {1050, true, 1060}} {
		fired, err := h.Punctuate(time.UnixMilli(c.now))
		if fired != c.fires || err != nil {
			t.Errorf("at %d: fired = %v, %v", c.now, fired, err)
		}
		want := ""
		if c.fires {
			want = fmt.Sprintf("out-0 tick=topic=\"\" offset=-1 stream=-1 wall=%d@%d", c.now, c.now)
		}
		h.expect(h.out.take(), want)
		if h.Uncommitted() != (c.now >= 1010) {
			t.Errorf("at %d: Uncommitted = %v", c.now, h.Uncommitted())
		}
		if _, wake, _ := h.Step(time.UnixMilli(c.now), 1); wake.UnixMilli() != c.wake {
			t.Errorf("at %d: wake at %d, want %d", c.now, wake.UnixMilli(), c.wake)
		}
	}
}

// P-19: a schedule can be cancelled, from within its call too, and a call may schedule.
func TestCancelPunctuation(t *testing.T) {
	t.Parallel()
	h := start(t, pipe(proc{init: func(ctx *topology.Context[string, string]) error {
		n := 0
		var cancel func()
		cancel = ctx.Schedule(10*time.Millisecond, topology.PunctuateStreamTime, func(now int64) error {
			ctx.Forward(topology.NewRecord("a", "tick", now))
			if n++; n == 2 {
				cancel()
				ctx.Schedule(100*time.Millisecond, topology.PunctuateStreamTime, func(now int64) error {
					ctx.Forward(topology.NewRecord("b", "tick", now))
					return nil
				})
			}
			return nil
		})
		ctx.Schedule(time.Millisecond, topology.PunctuateStreamTime, func(int64) error { return errors.New("cancelled") })()
		return nil
	}}))
	h.offer("in", "0:k=v@5", "1:k=v@10", "2:k=v@20", "3:k=v@100")
	h.expect(h.run(), lines("out-0 k=v@5", "out-0 a=tick@5", "out-0 k=v@10", "out-0 a=tick@10", "out-0 b=tick@10",
		"out-0 k=v@20", "out-0 k=v@100", "out-0 b=tick@100"))
}

// Of several schedules on one clock each fires when it is due, the one that was due first before the others, those that tie in the order in
// which they were made; a round fires each once.
func TestSeveralPunctuations(t *testing.T) {
	t.Parallel()
	h := start(t, pipe(proc{init: func(ctx *topology.Context[string, string]) error {
		for _, ms := range []time.Duration{30, 10, 20, 10} {
			ctx.Schedule(ms*time.Millisecond, topology.PunctuateWallClock, func(now int64) error {
				ctx.Forward(topology.NewRecord(fmt.Sprint(int64(ms)), "tick", now))
				return nil
			})
		}
		return nil
	}}))
	for _, c := range []struct {
		at   int64
		want string
		wake int64
	}{{1009, "", 1010}, {1010, "10 10", 1020}, {1035, "10 20 10 30", 1040}, {1039, "", 1040}, {1040, "10 20 10", 1050}} {
		fired, err := h.Punctuate(time.UnixMilli(c.at))
		if fired != (c.want != "") || err != nil {
			t.Errorf("at %d: %v, %v", c.at, fired, err)
		}
		var want []string
		for _, ms := range strings.Fields(c.want) {
			want = append(want, fmt.Sprintf("out-0 %s=tick@%d", ms, c.at))
		}
		h.expect(h.out.take(), lines(want...))
		if _, wake, _ := h.Step(time.UnixMilli(c.at), 1); wake.UnixMilli() != c.wake {
			t.Errorf("at %d: wake at %d, want %d", c.at, wake.UnixMilli(), c.wake)
		}
	}
}

// Stream time that is known from the start makes what is scheduled on it due without a record.
func TestStreamTimePunctuationAtTheStart(t *testing.T) {
	t.Parallel()
	h := start(t, pipe(ticker(10*time.Millisecond, topology.PunctuateStreamTime)), func(c *task.Config) {
		c.Start = []task.Progress{{Input: task.Input{Topic: "in"}, Next: 5, PartitionTime: 42}}
	})
	for _, want := range []bool{true, false} {
		if fired, err := h.Punctuate(h.now); fired != want || err != nil {
			t.Errorf("Punctuate = %v, %v; want %v", fired, err, want)
		}
	}
	h.expect(h.out.take(), "out-0 tick=topic=\"\" offset=-1 stream=42 wall=1000@42")
}

// P-21: an error goes to the processing handler; continuing counts a drop.
func TestPunctuationError(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	failing := proc{init: func(ctx *topology.Context[string, string]) error {
		ctx.Schedule(time.Millisecond, topology.PunctuateWallClock, func(int64) error { return boom })
		return nil
	}}
	h := start(t, pipe(failing))
	_, err := h.Punctuate(h.now.Add(time.Second))
	if te, ok := errors.AsType[*task.Error](err); !ok || te.Node != "node" || !errors.Is(err, boom) || te.Source.Offset != -1 {
		t.Errorf("Punctuate = %v", err)
	}
	h = start(t, pipe(failing), func(c *task.Config) {
		c.Processing = func(f task.Failure) task.Response {
			if f.Node != "node" || f.Raw != nil || f.Source.Topic != "" || !errors.Is(f.Err, boom) {
				t.Errorf("handler got %+v", f)
			}
			return task.Continue
		}
	})
	if fired, err := h.Punctuate(h.now.Add(time.Second)); !fired || err != nil {
		t.Errorf("Punctuate = %v, %v", fired, err)
	}
	if d := h.Pending().Drops; len(d) != 1 || d[0] != (task.Drop{Node: "node", Reason: topology.ReasonProcessing, Count: 1}) {
		t.Errorf("drops %v", d)
	}
}

func TestScheduleTooShort(t *testing.T) {
	t.Parallel()
	_, err := tryStart(t, pipe(ticker(0, topology.PunctuateWallClock)))
	if err == nil {
		t.Error("an interval of 0 was accepted")
	}
}
