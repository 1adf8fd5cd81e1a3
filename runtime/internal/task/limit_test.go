package task_test

import (
	"testing"

	"github.com/millrace-io/millrace/runtime/internal/task"
)

// DESIGN D18: nothing beyond the limit is taken, in order; what is next, and what is expected, can be told.
func TestLimit(t *testing.T) {
	t.Parallel()
	h := start(t, merged())
	inputs := h.Inputs()
	want := func(what string, here, expected int64) {
		t.Helper()
		if a, b := h.Heads(); a != here || b != expected {
			t.Errorf("%s: %d here, %d expected; want %d and %d", what, a, b, here, expected)
		}
	}
	want("at first", task.NoTime, task.UnknownTime)
	for _, in := range inputs {
		h.Lag(in, true, 0)
	}
	want("without data", task.NoTime, task.NoTime)
	h.offer(inputs[0].Topic, "0:a=x@10", "1:a=y@30")
	h.offer(inputs[1].Topic, "0:b=x@20", "1:b=y@40")
	want("with data", 10, task.NoTime)
	steps := func(limit int64, n int) {
		t.Helper()
		h.SetLimit(limit)
		if got, _, err := h.Step(h.now, 10); got != n || err != nil {
			t.Errorf("up to %d: %d records, %v; want %d", limit, got, err, n)
		}
	}
	steps(9, 0)
	steps(20, 2)
	want("at the limit", 30, task.NoTime)
	if h.Head(inputs[0]) != 30 || h.Head(inputs[1]) != 40 {
		t.Errorf("heads %d, %d", h.Head(inputs[0]), h.Head(inputs[1]))
	}
	steps(39, 1)
	if h.Head(inputs[0]) != -1 {
		t.Errorf("head %d of an empty input", h.Head(inputs[0]))
	}
	h.Lag(inputs[0], true, 5)
	want("more is there", 40, 30) // its input has come to 30
	h.Lag(inputs[0], true, 0)
	steps(task.NoTime, 1)
	want("at the end", task.NoTime, task.NoTime)
}
