package task_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/runtime/internal/task"
	"github.com/millrace-io/millrace/topology"
)

// lateError is an error that brings its own reason.
type reasonError struct{}

func (reasonError) Error() string               { return "a date that is none" }
func (reasonError) DropReason() topology.Reason { return "bad date" }

var errBoom = errors.New("boom")

// picky fails at values that begin with "boom".
var picky = proc{process: func(ctx *topology.Context[string, string], r record) error {
	switch {
	case r.Value == "boom":
		return errBoom
	case r.Value == "date":
		return reasonError{}
	case r.Value == "panic":
		panic("picky")
	case r.Value == "drop":
		ctx.Drop(topology.ReasonLate, errors.New("too old"))
		return nil
	}
	ctx.Forward(r)
	return nil
}}

func continuing(c *task.Config) {
	always := func(task.Failure) task.Response { return task.Continue }
	c.Deserialization, c.Processing, c.Production = always, always, always
}

// The three doors, failing: the error is sticky and says where.
func TestFailures(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		value, message string
		is             error
	}{
		{"boom", "task 0_0: node node: in-0 at offset 4: boom", errBoom},
		{"bad", "task 0_0: node source: in-0 at offset 4: decode value: bad bytes", errBad},
		{"unencodable", "task 0_0: node sink: in-0 at offset 4: encode for topic out: value: unencodable", errUnencodable},
		{"panic", "task 0_0: in-0 at offset 4: panic: picky", nil},
	} {
		t.Run(c.value, func(t *testing.T) {
			t.Parallel()
			h := start(t, pipe(picky))
			h.offer("in", "3:k=before@1", "4:k="+c.value+"@2", "5:k=after@3")
			n, _, err := h.Step(h.now, 10)
			if err == nil || err.Error() != c.message || c.is != nil && !errors.Is(err, c.is) {
				t.Fatalf("Step = %d, %v; want %s", n, err, c.message)
			}
			h.expect(h.out.take(), "out-0 k=before@1")
			if _, _, again := h.Step(h.now, 10); !errors.Is(again, err) {
				t.Errorf("Step again = %v", again)
			}
			if ferr := h.Flush(); !errors.Is(ferr, err) {
				t.Errorf("Flush = %v", ferr)
			}
			if cerr := h.Committed(nil); !errors.Is(cerr, err) {
				t.Errorf("Committed = %v", cerr)
			}
			if _, perr := h.Punctuate(h.now); !errors.Is(perr, err) {
				t.Errorf("Punctuate = %v", perr)
			}
			if p := h.Progress(); p[0].Next > 4 {
				t.Errorf("progress went past the record: %+v", p) // T3
			}
			h.expect(h.out.take(), "") // T4
		})
	}
}

func TestPanicKeepsItsStack(t *testing.T) {
	t.Parallel()
	h := start(t, pipe(picky))
	h.offer("in", "0:k=panic@1")
	_, _, err := h.Step(h.now, 1)
	p, ok := errors.AsType[*task.PanicError](err)
	if !ok || p.Value != "picky" || !strings.Contains(string(p.Stack), "failure_test.go") {
		t.Errorf("error %#v", err)
	}
}

// Continuing: dropped at the node that failed, counted by reason, logged with coordinates (X-20, R-70, P-30).
func TestDrops(t *testing.T) {
	t.Parallel()
	h := start(t, pipe(picky), continuing)
	h.offer("in", "1:k=boom@1", "2:k=date@2", "3:k=bad@3", "4:bad=v@4", "5:k=unencodable@5", "6:k=v@-6", "7:k=drop@7", "8:k=fine@8")
	h.expect(h.run(), "out-0 k=fine@8")
	if d := h.Stats().Drops; len(d) != 0 {
		t.Errorf("before the commit: %v", d) // T6
	}
	h.flush()
	if err := h.Committed(nil); err != nil {
		t.Fatal(err)
	}
	want := []task.Drop{
		{Node: "node", Reason: "bad date", Count: 1},
		{Node: "node", Reason: topology.ReasonLate, Count: 1},
		{Node: "node", Reason: topology.ReasonProcessing, Count: 1},
		{Node: "sink", Reason: topology.ReasonSerialization, Count: 1},
		{Node: "source", Reason: topology.ReasonDeserialization, Count: 2},
		{Node: "source", Reason: topology.ReasonTimestamp, Count: 1},
	}
	got := h.Stats()
	if len(got.Drops) != len(want) || got.Read != 8 {
		t.Fatalf("stats %+v", got)
	}
	for i := range want {
		if got.Drops[i] != want[i] {
			t.Errorf("drop %d: %v, want %v", i, got.Drops[i], want[i])
		}
	}
	h.expect(h.log.String(), lines(
		`level=WARN msg="record dropped" task=0_0 topic=in partition=0 offset=1 node=node reason=processing err=boom`,
		`level=WARN msg="record dropped" task=0_0 topic=in partition=0 offset=2 node=node reason="bad date" err="a date that is none"`,
		`level=WARN msg="record dropped" task=0_0 topic=in partition=0 offset=3 node=source reason=deserialization err="decode value: bad bytes"`,
		`level=WARN msg="record dropped" task=0_0 topic=in partition=0 offset=4 node=source reason=deserialization err="decode key: bad bytes"`,
		`level=WARN msg="record dropped" task=0_0 topic=in partition=0 offset=5 node=sink reason=serialization err="encode for topic out: value: unencodable"`,
		`level=WARN msg="record dropped" task=0_0 topic=in partition=0 offset=6 node=source reason="invalid timestamp" err="record timestamp -6 is negative; give the source an extractor that finds the event time elsewhere"`,
		`level=WARN msg="record dropped" task=0_0 topic=in partition=0 offset=7 node=node reason=late err="too old"`, ""))
}

// P-30: siblings already run stay run, later siblings run.
func TestSiblingsOfAFailure(t *testing.T) {
	t.Parallel()
	b := topology.NewBuilder()
	src := topology.AddSource(b, "source", "in", text{}, text{})
	for _, s := range []struct {
		name string
		p    proc
	}{{"first", proc{}}, {"picky", picky}, {"last", proc{}}} {
		topology.AddSink(b, s.name+"-sink", "out-"+s.name, text{}, text{}, topology.AddProcessor(b, s.name, each(s.p), src))
	}
	h := start(t, b, continuing)
	h.offer("in", "0:k=boom@1", "1:k=v@2")
	h.expect(h.run(), lines("out-first-0 k=boom@1", "out-last-0 k=boom@1", "out-first-0 k=v@2", "out-picky-0 k=v@2", "out-last-0 k=v@2"))
}

// The handler sees the record's bytes and place; one that panics fails the task (P-31).
func TestHandler(t *testing.T) {
	t.Parallel()
	calls := 0
	h := start(t, pipe(picky), func(c *task.Config) {
		c.Processing = func(f task.Failure) task.Response {
			calls++
			if f.Task.String() != "0_0" || f.Node != "node" || string(f.Raw.Value) != "boom" ||
				f.Source != (topology.Coordinates{Topic: "in", Offset: 9}) || !errors.Is(f.Err, errBoom) {
				t.Errorf("handler got %+v", f)
			}
			if calls == 2 {
				panic("handler")
			}
			return task.Continue
		}
	})
	h.offer("in", "9:k=boom@1")
	h.run()
	h.offer("in", "9:k=boom@1")
	h.offer("in", "10:k=v@1") // 9 was processed: it is not taken again
	h.expect(h.run(), "out-0 k=v@1")
	if calls != 1 {
		t.Fatalf("handler called %d times", calls)
	}
}

// TestOutputFailure: no handler is asked about an output that fails (P-32).
func TestOutputFailure(t *testing.T) {
	t.Parallel()
	h := start(t, pipe(proc{}), continuing)
	h.out.fail = errors.New("disk full")
	h.offer("in", "0:k=v@1")
	_, _, err := h.Step(h.now, 1)
	if !errors.Is(err, h.out.fail) || err.Error() != "task 0_0: in-0 at offset 0: send to out-0: disk full" {
		t.Errorf("Step = %v", err) // no handler may skip what the log refused
	}
}

func TestBrokenBatch(t *testing.T) {
	t.Parallel()
	h := start(t, pipe(proc{}), continuing)
	b := batchOf("0:k=v@1")
	b.err = errors.New("checksum")
	if err := h.Offer(task.Input{Topic: "in"}, b); err != nil {
		t.Fatal(err)
	}
	_, _, err := h.Step(h.now, 10)
	if !errors.Is(err, b.err) || err.Error() != "task 0_0: node source: in-0 at offset 1: read batch: checksum" {
		t.Errorf("Step = %v", err)
	}
}

func TestBuildFailures(t *testing.T) {
	t.Parallel()
	closed := 0
	node := proc{
		init:  func(*topology.Context[string, string]) error { return errBoom },
		close: func() error { closed++; return nil },
	}
	if _, err := tryStart(t, pipe(node)); !errors.Is(err, errBoom) || !strings.Contains(err.Error(), "build node node") {
		t.Errorf("New = %v", err)
	}
	node.init = func(*topology.Context[string, string]) error { panic("init") }
	if _, err := tryStart(t, pipe(node)); err == nil || !strings.Contains(err.Error(), "panic: init") {
		t.Errorf("New = %v", err)
	}
	for name, cfg := range map[string]task.Config{
		"no topology": {Output: &recorder{}},
		"no output":   {Topology: must(pipe(proc{}).Build())},
		"no such sub": {Topology: must(pipe(proc{}).Build()), Output: &recorder{}, Subtopology: 9},
		"partition":   {Topology: must(pipe(proc{}).Build()), Output: &recorder{}, Partition: -1},
	} {
		if _, err := task.New(cfg); err == nil {
			t.Errorf("%s: New accepted it", name)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
