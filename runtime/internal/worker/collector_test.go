package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/commit"
	"github.com/millrace-io/millrace/runtime/internal/recordbatch"
	"github.com/millrace-io/millrace/runtime/internal/task"
	"github.com/millrace-io/millrace/topology"
)

// fakeSender notes what is sent.
type fakeSender struct {
	sent []string
	err  error
}

func (s *fakeSender) Builder() *recordbatch.Builder { return recordbatch.NewBuilder(0, 0) }

func (s *fakeSender) Send(_ context.Context, tp client.TopicPartition, b *recordbatch.Builder) error {
	s.sent = append(s.sent, fmt.Sprintf("%s-%d:%d", tp.Topic, tp.Partition, b.Len()))
	return s.err
}

func newTestCollector(t *testing.T, s sender) *Collector {
	t.Helper()
	counts := map[string]int32{"a": 2, "b": 1}
	return NewCollector(t.Context(), s, func(topic string) int32 { return counts[topic] })
}

func send(t *testing.T, c *Collector, topic string, partition int32, size int) {
	t.Helper()
	if err := c.Send(topic, partition, &topology.Raw{Value: make([]byte, size)}, &task.Origin{}); err != nil {
		t.Fatal(err)
	}
}

func TestCollectorSendsInOrderOfFirstWrites(t *testing.T) {
	t.Parallel()
	s := &fakeSender{}
	c := newTestCollector(t, s)
	send(t, c, "a", 1, 10)
	send(t, c, "b", 0, 10)
	send(t, c, "a", 0, 10)
	send(t, c, "a", 1, 10)
	if len(s.sent) != 0 {
		t.Fatalf("sent before the flush: %v", s.sent)
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(s.sent, " "), "a-1:2 a-0:1 b-0:1"; got != want {
		t.Errorf("sent %s, want %s", got, want)
	}
	if c.Records() != 4 {
		t.Errorf("%d records, want 4", c.Records())
	}
	c.Committed()
	total := int64(0)
	c.Written(func(_ string, n int64) { total += n })
	if c.Records() != 0 || total != 4 {
		t.Errorf("after the commit: %d open, %d written", c.Records(), total)
	}
	c.Committed()
	total = 0
	c.Written(func(_ string, n int64) { total += n })
	if total != 4 {
		t.Errorf("after a commit without records: %d written", total)
	}
	if c.Partitions("a") != 2 || c.Partitions("unknown") != 0 {
		t.Errorf("partitions of a: %d, of an unknown topic: %d", c.Partitions("a"), c.Partitions("unknown"))
	}
}

func TestCollectorSendsLargeBatchesEarly(t *testing.T) {
	t.Parallel()
	s := &fakeSender{}
	c := newTestCollector(t, s)
	for range 5 {
		send(t, c, "a", 0, sendBytes/2)
	}
	// Two and two were large enough; one is left.
	if got, want := strings.Join(s.sent, " "), "a-0:2 a-0:2"; got != want {
		t.Errorf("sent %s, want %s", got, want)
	}
	// A record that does not fit beside the open one sends that first.
	send(t, c, "a", 0, recordbatch.DefaultMaxBytes-200)
	if got, want := strings.Join(s.sent, " "), "a-0:2 a-0:2 a-0:1 a-0:1"; got != want {
		t.Errorf("sent %s, want %s", got, want)
	}
}

func TestCollectorFailuresStick(t *testing.T) {
	t.Parallel()
	s := &fakeSender{err: errors.New("cut off")}
	c := newTestCollector(t, s)
	send(t, c, "a", 0, 10)
	if err := c.Flush(); !errors.Is(err, s.err) {
		t.Fatalf("flush: %v", err)
	}
	if err := c.Send("b", 0, &topology.Raw{}, &task.Origin{}); !errors.Is(err, s.err) {
		t.Errorf("send after a failure: %v", err)
	}
	c.Discard()
	s.err = nil
	send(t, c, "b", 0, 10)
	if err := c.Flush(); err != nil {
		t.Errorf("after Discard: %v", err)
	}
	if got, want := s.sent[len(s.sent)-1], "b-0:1"; got != want {
		t.Errorf("sent %s, want %s", got, want)
	}
}

func TestCollectorRefusesForGood(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name      string
		topic     string
		partition int32
		size      int
		want      string
	}{
		{"no such partition", "a", 2, 1, "partition 2 of 2 does not exist"},
		{"negative partition", "a", -1, 1, "does not exist"},
		{"no such topic", "c", 0, 1, "partition 0 of 0 does not exist"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := newTestCollector(t, &fakeSender{})
			err := c.Send(tc.topic, tc.partition, &topology.Raw{Value: make([]byte, tc.size)}, &task.Origin{})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("Send: %v, want an error with %q", err, tc.want)
			}
			if commit.Classify(err) != commit.ClassFatal {
				t.Errorf("class %s, want fatal", commit.Classify(err))
			}
			if !errors.Is(c.Flush(), err) {
				t.Errorf("it does not stick: %v", c.Flush())
			}
		})
	}
}

// A record that is too large is refused, which changes nothing; the next one goes where it would have gone.
func TestCollectorTooLarge(t *testing.T) {
	t.Parallel()
	s := &fakeSender{}
	c := newTestCollector(t, s)
	c.limits = func(topic string) int { return map[string]int{"a": 500, "b": 3 << 20}[topic] }
	send(t, c, "a", 0, 100)
	err := c.Send("a", 0, &topology.Raw{Key: []byte("key"), Value: make([]byte, 600)}, &task.Origin{})
	w, ok := errors.AsType[*topology.WriteError](err)
	if !ok || w.Topic != "a" || w.Partition != 0 || !errors.Is(err, recordbatch.ErrTooLarge) || !strings.Contains(err.Error(), "value of 600 bytes") ||
		!strings.Contains(err.Error(), "a batch of 500 bytes") {
		t.Errorf("Send: %v", err)
	}
	if c.Err() != nil {
		t.Errorf("it sticks: %v", c.Err())
	}
	send(t, c, "a", 0, 100)
	send(t, c, "b", 0, 2<<20) // the topic takes more than the builders' own limit
	if err := c.Send("b", 0, &topology.Raw{Value: make([]byte, 3<<20)}, &task.Origin{}); !errors.Is(err, recordbatch.ErrTooLarge) {
		t.Errorf("Send: %v", err)
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(s.sent, " "), "b-0:1 a-0:1 a-0:1"; got != want && got != "b-0:1 a-0:2" {
		t.Errorf("sent %s, want %s", got, want)
	}
	if c.Records() != 3 {
		t.Errorf("%d records, want 3", c.Records())
	}
}

// A topic that did not exist may do so in the next transaction, also if nothing else is written meanwhile.
func TestCollectorAsksAgain(t *testing.T) {
	t.Parallel()
	counts := map[string]int32{}
	c := NewCollector(t.Context(), &fakeSender{}, func(topic string) int32 { return counts[topic] })
	if n := c.Partitions("late"); n != 0 {
		t.Fatalf("%d partitions", n)
	}
	counts["late"] = 3
	c.Committed()
	if n := c.Partitions("late"); n != 3 {
		t.Errorf("%d partitions", n)
	}
}

// The partitions of a topic are counted once in a transaction: one that has grown is written to its end in the next one. A count that cannot be
// told leaves what it was.
func TestCollectorSeesTopicsGrow(t *testing.T) {
	t.Parallel()
	count, asked := int32(1), 0
	s := &fakeSender{}
	c := NewCollector(t.Context(), s, func(string) int32 { asked++; return count })
	c.limits = func(string) int { return 1 << 10 }
	for _, step := range []struct{ count, want int32 }{{1, 1}, {3, 3}, {-1, 3}, {0, 3}, {3, 3}} {
		count = step.count
		send(t, c, "a", step.want-1, 1)
		send(t, c, "b", step.want-1, 1)
		count = 9 // is not seen before the commit
		if n := c.Partitions("a"); n != step.want {
			t.Errorf("told of %d: %d partitions, want %d", step.count, n, step.want)
		}
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
		c.Committed()
	}
	if got, want := strings.Join(s.sent[2:4], " "), "a-2:1 b-2:1"; got != want {
		t.Errorf("sent %s after the topics had grown, want %s", got, want)
	}
	if asked != 10 {
		t.Errorf("asked %d times for two topics in five transactions", asked)
	}
	if b := c.begin(c.topic("a"), 0); !errors.Is(b.Append(nil, make([]byte, 2<<10), 0, nil), recordbatch.ErrTooLarge) {
		t.Error("the topic's limit is forgotten")
	}
}

// A partition that was given up is done without until the next commit, by sinks alone: a dead letter, or a store's change, that does not go there would
// be lost unasked.
func TestCollectorDoesWithout(t *testing.T) {
	t.Parallel()
	c := newTestCollector(t, &fakeSender{})
	cause := errors.New("no leader")
	c.GiveUp(client.TopicPartition{Topic: "a", Partition: 1}, cause)
	err := c.Send("a", 1, &topology.Raw{}, &task.Origin{})
	if w, ok := errors.AsType[*topology.WriteError](err); !ok || !w.Retriable || !errors.Is(err, cause) || c.Err() != nil {
		t.Errorf("Send: %v, which sticks: %v", err, c.Err())
	}
	if err := c.Send("a", 1, &topology.Raw{}, &task.Origin{Node: -1}); err != nil {
		t.Errorf("of no sink: %v", err)
	}
	send(t, c, "a", 0, 1)
	c.Dropped("a", 1)
	if c.Records() != 1 {
		t.Errorf("%d records, want 1", c.Records())
	}
	c.Discard() // the transaction is begun anew, without it
	if err := c.Send("a", 1, &topology.Raw{}, &task.Origin{}); !errors.Is(err, cause) {
		t.Errorf("Send: %v", err)
	}
	c.Committed()
	send(t, c, "a", 1, 1)
}

// Per record the collector costs no allocation once its batch has grown.
func TestCollectorAllocates(t *testing.T) {
	c := newTestCollector(t, &fakeSender{})
	r := &topology.Raw{Key: []byte("key"), Value: make([]byte, 100)}
	for range 100 {
		if err := c.Send("a", 0, r, &task.Origin{}); err != nil {
			t.Fatal(err)
		}
	}
	// 800 more stay below the size at which a batch is sent, which makes a new builder here.
	if n := testing.AllocsPerRun(800, func() {
		if err := c.Send("a", 0, r, &task.Origin{}); err != nil {
			t.Fatal(err)
		}
	}); n > 0.1 {
		t.Errorf("%v allocations per record", n)
	}
}
