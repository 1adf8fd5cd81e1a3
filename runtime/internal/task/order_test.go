package task_test

import (
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/task"
)

var inA, inB = task.Input{Topic: "a"}, task.Input{Topic: "b"}

// the lowest head time first, the first input of those that tie; within an input, in offset order even if time falls.
func TestNextRecord(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		a, b []string
		want string
	}{
		{"interleaved", []string{"0:k=a1@1", "1:k=a3@3"}, []string{"0:k=b2@2", "1:k=b4@4"},
			lines("out-0 k=a1@1", "out-0 k=b2@2", "out-0 k=a3@3", "out-0 k=b4@4")},
		{"ties", []string{"0:k=a1@1", "1:k=a2@1"}, []string{"0:k=b1@1"},
			lines("out-0 k=a1@1", "out-0 k=a2@1", "out-0 k=b1@1")},
		{"falling", []string{"0:k=a9@9", "1:k=a1@1"}, []string{"0:k=b5@5", "1:k=b20@20"},
			lines("out-0 k=b5@5", "out-0 k=a9@9", "out-0 k=a1@1", "out-0 k=b20@20")},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := start(t, merged())
			h.offer("a", c.a...)
			h.offer("b", c.b...)
			h.Lag(inA, true, 0)
			h.Lag(inB, true, 0)
			h.expect(h.run(), c.want)
		})
	}
}

// what an empty input holds up.
func TestIdling(t *testing.T) {
	t.Parallel()
	h := start(t, merged())
	h.offer("a", "0:k=a1@1")
	h.expect(h.run(), "") // nothing is known about b
	h.Lag(inB, true, 3)
	h.expect(h.run(), "") // the log holds more of b: it will come
	h.Lag(inB, false, 0)
	h.expect(h.run(), "")
	h.offer("b", "0:k=b0@0")
	h.expect(h.run(), "out-0 k=b0@0") // then b is empty again
	h.Lag(inB, true, 0)
	h.expect(h.run(), "out-0 k=a1@1")
}

func TestIdlingForAWhile(t *testing.T) {
	t.Parallel()
	h := start(t, merged(), func(c *task.Config) { c.MaxIdle = 100 * time.Millisecond })
	h.Lag(inA, true, 0)
	h.Lag(inB, true, 0)
	if _, wake, err := h.Step(h.now, 10); !wake.IsZero() || err != nil {
		t.Fatalf("without data it wakes up at %v, %v", wake, err)
	}
	h.offer("a", "0:k=a1@1", "1:k=a2@2")
	n, wake, err := h.Step(h.now, 10)
	if n != 0 || err != nil || !wake.Equal(h.now.Add(100*time.Millisecond)) {
		t.Fatalf("Step = %d, %v, %v; want to wait 100ms", n, wake, err)
	}
	h.now = h.now.Add(99 * time.Millisecond)
	h.expect(h.run(), "")
	h.now = h.now.Add(time.Millisecond)
	h.SetLimit(0)
	if n, wake, err := h.Step(h.now, 10); n != 0 || !wake.IsZero() || err != nil {
		t.Fatalf("Step = %d, %v, %v; what holds it now is no wait", n, wake, err)
	}
	h.SetLimit(10)
	h.expect(h.run(), lines("out-0 k=a1@1", "out-0 k=a2@2")) // the wait is over until b has had a record
	h.offer("b", "0:k=b3@3")
	h.now = h.now.Add(99 * time.Millisecond)
	h.expect(h.run(), "") // a is waited for since it was seen empty
	h.now = h.now.Add(time.Millisecond)
	h.expect(h.run(), "out-0 k=b3@3")
	h.offer("a", "2:k=a5@5")
	h.expect(h.run(), "") // b has had a record, and is waited for again
	h.now = h.now.Add(100 * time.Millisecond)
	h.expect(h.run(), "out-0 k=a5@5")
}

func TestNeverIdling(t *testing.T) {
	t.Parallel()
	h := start(t, merged(), func(c *task.Config) { c.MaxIdle = -1 })
	h.offer("a", "0:k=a1@1")
	h.expect(h.run(), "out-0 k=a1@1")
}

func TestStepTakesAtMostMax(t *testing.T) {
	t.Parallel()
	h := start(t, pipe(proc{}))
	h.offer("in", "0:k=1@1", "1:k=2@2", "2:k=3@3")
	if n, _, err := h.Step(h.now, 2); n != 2 || err != nil {
		t.Fatalf("Step = %d, %v; want 2", n, err)
	}
	h.expect(h.out.take(), lines("out-0 k=1@1", "out-0 k=2@2"))
	if n, _, err := h.Step(h.now, 2); n != 1 || err != nil {
		t.Fatalf("Step = %d, %v; want 1", n, err)
	}
}

// an input is wanted while less than the bound waits; a batch counts until its last record has been processed.
func TestBackPressure(t *testing.T) {
	t.Parallel()
	in := task.Input{Topic: "in"}
	h := start(t, pipe(proc{}), func(c *task.Config) { c.MaxBuffered = 200 })
	released := 0
	b := batchOf("0:k=1@1", "1:k=2@2")
	b.released = &released
	if !h.Wants(in) {
		t.Error("an empty input is not wanted")
	}
	if err := h.Offer(in, b); err != nil {
		t.Fatal(err)
	}
	if h.Wants(in) || h.Buffered() != 200 {
		t.Errorf("Wants = true or Buffered = %d at the bound", h.Buffered())
	}
	if _, _, err := h.Step(h.now, 1); err != nil {
		t.Fatal(err)
	}
	if released != 0 {
		t.Error("the batch was released with a record left")
	}
	h.run()
	if released != 1 || !h.Wants(in) || h.Buffered() != 0 {
		t.Errorf("after the last record: released %d times, Wants = %v, Buffered = %d", released, h.Wants(in), h.Buffered())
	}
	if h.Wants(inA) {
		t.Error("an input of another task is wanted")
	}
	other := batchOf("0:k=1@1")
	other.released = &released
	if err := h.Offer(inA, other); err == nil || released != 2 {
		t.Errorf("Offer of a strange input = %v, released %d times", err, released)
	}
}

// A topic with fewer partitions than the task's number holds nothing up.
func TestInputs(t *testing.T) {
	t.Parallel()
	in := task.Input{Topic: "a", Partition: 3}
	h := start(t, merged(), func(c *task.Config) { c.Partition, c.Inputs = 3, []task.Input{in} })
	if got := h.Inputs(); len(got) != 1 || got[0] != in {
		t.Fatalf("Inputs = %v", got)
	}
	if err := h.Offer(in, batchOf("0:k=a1@1")); err != nil {
		t.Fatal(err)
	}
	h.expect(h.run(), "out-0 k=a1@1")
}

// A batch that ends before the start, as one may that is fetched whole, does not take the position back.
func TestBatchBeforeTheStart(t *testing.T) {
	t.Parallel()
	in := task.Input{Topic: "in"}
	h := start(t, pipe(proc{}), func(c *task.Config) { c.Start = []task.Progress{{Input: in, Next: 10, PartitionTime: -1}} })
	h.offer("in", "5:k=1@1", "6:k=2@2")
	h.expect(h.run(), "")
	if got := h.Progress(); len(got) != 1 || got[0].Next != 10 || h.Uncommitted() {
		t.Errorf("progress %+v, uncommitted %v", got, h.Uncommitted())
	}
	h.offer("in", "9:k=3@3", "10:k=4@4")
	h.expect(h.run(), "out-0 k=4@4")
}

// A record that is dropped moves the position, which is to be committed though nothing else is.
func TestDroppedRecordMovesThePosition(t *testing.T) {
	t.Parallel()
	h := start(t, pipe(proc{}), func(c *task.Config) { c.Deserialization = func(task.Failure) task.Response { return task.Continue } })
	h.offer("in", "0:k=bad@1")
	h.expect(h.run(), "")
	if p := h.Progress(); !h.Uncommitted() || len(p) != 1 || p[0].Next != 1 {
		t.Errorf("uncommitted %v, progress %+v", h.Uncommitted(), p)
	}
}

// T4: a record that cannot be decoded stops the task before those that could be processed.
func TestUndecodableHeadStopsAll(t *testing.T) {
	t.Parallel()
	h := start(t, merged())
	h.offer("a", "0:k=a1@1")
	h.offer("b", "0:k=bad@2")
	if n, _, err := h.Step(h.now, 10); n != 0 || err == nil || h.StreamTime() != -1 {
		t.Errorf("Step = %d, %v; stream time %d", n, err, h.StreamTime())
	}
}
