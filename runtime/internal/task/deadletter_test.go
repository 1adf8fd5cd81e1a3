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

// mailbox is an Output that keeps records whole.
type mailbox struct {
	sent    []topology.Raw
	topics  []string
	missing string // a topic that does not exist
	refuse  string // a value that the log does not take
}

func (m *mailbox) Partitions(topic string) int32 {
	if topic == m.missing {
		return 0
	}
	return 3
}

func (m *mailbox) Send(topic string, partition int32, r *topology.Raw, _ *task.Origin) error {
	if m.refuse != "" && string(r.Value) == m.refuse {
		return &topology.WriteError{Topic: topic, Partition: partition, Err: errors.New("too large")}
	}
	m.topics = append(m.topics, fmt.Sprintf("%s-%d", topic, partition))
	m.sent = append(m.sent, topology.Raw{Key: []byte(show(r.Key)), Value: []byte(show(r.Value)), Timestamp: r.Timestamp, Headers: r.Headers})
	return nil
}

// text shows what was sent, without stacks.
func (m *mailbox) text() string {
	var b strings.Builder
	for i, r := range m.sent {
		fmt.Fprintf(&b, "%s %s=%s@%d", m.topics[i], r.Key, r.Value, r.Timestamp)
		for _, h := range r.Headers {
			value := show(h.Value)
			if h.Key == "__streams.errors.stacktrace" && strings.Contains(value, "goroutine") {
				value = "STACK"
			}
			fmt.Fprintf(&b, " %s=%s", strings.TrimPrefix(h.Key, "__streams.errors."), value)
		}
		b.WriteByte('\n')
	}
	m.sent, m.topics = nil, nil
	return b.String()
}

func letting(m *mailbox, h task.Handler) func(*task.Config) {
	return func(c *task.Config) {
		c.Output, c.DeadLetterTopic = m, "dlq"
		c.Deserialization, c.Processing, c.Production = h, h, h
	}
}

// each door's dead letter is the input record as it was read, its own headers first, then the six of KIP-1034.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	m := &mailbox{refuse: "huge"}
	h := start(t, pipe(picky), letting(m, task.LogAndContinue))
	b := batchOf("3:k=boom@1", "4:null=bad@2", "5:k=unencodable@3", "6:k=panic@4", "7:k=fine@5")
	b.records[0].Headers = []topology.Header{{Key: "x", Value: []byte("1")}}
	if err := h.Offer(task.Input{Topic: "in"}, b); err != nil {
		t.Fatal(err)
	}
	h.run()
	h.expect(m.text(), lines(
		"dlq-2 k=boom@1 x=1 exception=*errors.errorString message=boom stacktrace=boom topic=in partition=0 offset=3",
		"dlq-0 null=bad@2 exception=*errors.errorString message=decode value: bad bytes stacktrace=decode value: bad bytes topic=in partition=0 offset=4",
		"dlq-2 k=unencodable@3 exception=*errors.errorString message=encode for topic out: value: unencodable"+
			" stacktrace=encode for topic out: value: unencodable topic=in partition=0 offset=5",
		"dlq-2 k=panic@4 exception=panic message=picky stacktrace=STACK topic=in partition=0 offset=6",
		"out-2 k=fine@5", ""))
	h.offer("in", "8:k=huge@6") // and so is its dead letter
	if _, _, err := h.Step(h.now, 1); err == nil || !strings.Contains(err.Error(), "node sink: in-0 at offset 8: dead letter: write to topic dlq") {
		t.Errorf("a dead letter that the log does not take: %v", err)
	}
}

// A dead letter before a failure is sent all the same, as in Kafka Streams; nothing is sent after it.
func TestDeadLetterOfAFailure(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]task.Handler{"LogAndFail": task.LogAndFail, "no handler": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := &mailbox{}
			h := start(t, pipe(picky), letting(m, handler))
			h.offer("in", "3:k=boom@1", "4:k=fine@2")
			if _, _, err := h.Step(h.now, 10); !errors.Is(err, errBoom) {
				t.Fatalf("Step = %v", err)
			}
			if got := m.text(); !strings.HasPrefix(got, "dlq-2 k=boom@1 ") || strings.Count(got, "\n") != 1 {
				t.Errorf("sent %q", got)
			}
		})
	}
}

// A handler sends what it likes; one that panics, or names a topic that does not exist, fails the task, and its letters are not sent.
func TestCustomLetters(t *testing.T) {
	t.Parallel()
	m := &mailbox{missing: "nowhere"}
	h := start(t, pipe(picky), letting(m, func(f task.Failure) task.Response {
		key := f.Raw.Key
		f.Send("parked", topology.Raw{Key: key, Value: []byte(f.Node), Timestamp: 9})
		switch string(key) {
		case "panics":
			panic("handler")
		case "lost":
			f.Send("nowhere", topology.Raw{})
		}
		return task.Continue
	}))
	h.offer("in", "0:k=boom@1", "1:panics=boom@2")
	_, _, err := h.Step(h.now, 10)
	const want = "task 0_0: node node: in-0 at offset 1: processing handler: panic: handler; it was asked about: boom"
	if err == nil || err.Error() != want {
		t.Errorf("Step = %v, want %s", err, want)
	}
	h.expect(m.text(), "parked-2 k=node@9\n")

	again := start(t, pipe(picky), letting(m, func(f task.Failure) task.Response {
		f.Send("nowhere", topology.Raw{})
		return task.Continue
	}))
	again.offer("in", "0:k=boom@1")
	if _, _, err := again.Step(h.now, 10); err == nil || !strings.Contains(err.Error(), "dead letter: write to topic nowhere: topic does not exist") {
		t.Errorf("Step = %v", err)
	}
}

// A Failure that a test of a handler makes itself collects nothing, and does not break.
func TestHandlerByHand(t *testing.T) {
	t.Parallel()
	f := task.Failure{Err: errBoom}
	f.Send("t", topology.Raw{})
	if r := task.LogAndContinue(f); r != task.Continue {
		t.Errorf("LogAndContinue = %v", r)
	}
}

// A record that the log does not take goes to the production handler, a retry of which cannot help.
func TestRefusedRecord(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		answer task.Response
		sent   string
		fails  bool
	}{{task.Continue, "out-2 k=before@1\nout-2 k=after@3\n", false}, {task.Fail, "out-2 k=before@1\n", true}, {task.Retry, "out-2 k=before@1\n", true}} {
		m := &mailbox{refuse: "huge"}
		var got []task.Failure
		h := start(t, pipe(proc{}), func(cfg *task.Config) {
			cfg.Output = m
			cfg.Production = func(f task.Failure) task.Response { got = append(got, f); return c.answer }
			cfg.Processing = func(task.Failure) task.Response { t.Error("the wrong door"); return task.Continue }
		})
		h.offer("in", "0:k=before@1", "1:k=huge@2", "2:k=after@3")
		_, _, err := h.Step(h.now, 10)
		if (err != nil) != c.fails {
			t.Errorf("answer %d: Step = %v", c.answer, err)
		}
		h.expect(m.text(), c.sent)
		if _, ok := errors.AsType[*topology.WriteError](got[0].Err); len(got) != 1 || !ok || got[0].Node != "sink" || got[0].Retriable || got[0].Source.Offset != 1 {
			t.Errorf("the handler got %+v", got)
		}
		if want := (task.Drop{Node: "sink", Reason: topology.ReasonProduction, Count: 1}); !c.fails && h.Pending().Drops[0] != want {
			t.Errorf("drops %v", h.Pending().Drops)
		}
	}
}

// A panic in the middle of a fan-out stops the node that panicked: not the nodes that had emitted to it, nor its siblings.
func TestPanicStaysAtItsNode(t *testing.T) {
	t.Parallel()
	b := topology.NewBuilder()
	src := topology.AddSource(b, "source", "in", text{}, text{})
	three := topology.AddProcessor(b, "three", each(proc{process: func(ctx *topology.Context[string, string], r record) error {
		for _, v := range []string{"1", "panic", "3"} {
			r.Value = v
			ctx.Forward(r)
		}
		return nil
	}}), src)
	topology.AddSink(b, "sink", "out", text{}, text{}, topology.AddProcessor(b, "picky", each(picky), three))
	topology.AddSink(b, "beside", "beside", text{}, text{}, three)
	h := start(t, b, continuing)
	h.offer("in", "0:k=v@1")
	h.expect(h.run(), lines("out-0 k=1@1", "beside-0 k=1@1", "beside-0 k=panic@1", "out-0 k=3@1", "beside-0 k=3@1"))
	if d := h.Pending().Drops; len(d) != 1 || d[0] != (task.Drop{Node: "picky", Reason: topology.ReasonProcessing, Count: 1}) {
		t.Errorf("drops %v", d)
	}
}

// P-21: a punctuation that fails or panics goes to the processing handler without a record, and the schedule goes on.
func TestFailingPunctuation(t *testing.T) {
	t.Parallel()
	m, ticks := &mailbox{}, 0
	h := start(t, pipe(proc{init: func(ctx *topology.Context[string, string]) error {
		ctx.Schedule(time.Second, topology.PunctuateWallClock, func(int64) error {
			if ticks++; ticks == 1 {
				return errBoom
			}
			panic("tick")
		})
		return nil
	}}), letting(m, task.LogAndContinue))
	for range 2 {
		h.now = h.now.Add(time.Second)
		if fired, err := h.Punctuate(h.now); !fired || err != nil {
			t.Fatalf("Punctuate = %v, %v", fired, err)
		}
	}
	h.expect(m.text(), lines(
		"dlq-0 null=null@2000 exception=*errors.errorString message=boom stacktrace=boom topic=null partition=-1 offset=-1",
		"dlq-0 null=null@3000 exception=panic message=tick stacktrace=STACK topic=null partition=-1 offset=-1", ""))
}

// No handler is asked about what a changelog does not take: the store would not be what is restored.
func TestChangelogIsNotSkipped(t *testing.T) {
	t.Parallel()
	var trace []string
	b := topology.NewBuilder()
	store := topology.AddStore[*layer](b, layerSpec("store", &trace))
	src := topology.AddSource(b, "source", "in", text{}, text{})
	topology.AddProcessor(b, "node", each(proc{process: func(ctx *topology.Context[string, string], r record) error {
		s, err := store.In(ctx)
		if err != nil {
			return err
		}
		s.put(r.Key)
		return s.Flush() // as a store does that appends at once
	}}), src, store)
	m := &mailbox{refuse: "1"} // what the layer appends
	h := start(t, b, letting(m, func(task.Failure) task.Response { t.Error("a handler was asked"); return task.Continue }))
	h.offer("in", "0:k=v@1")
	_, _, err := h.Step(h.now, 1)
	if err == nil || !strings.Contains(err.Error(), "append to changelog app-store-changelog-0: ") {
		t.Errorf("Step = %v", err)
	}
}
