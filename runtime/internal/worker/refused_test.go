package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/commit"
	"github.com/millrace-io/millrace/runtime/internal/recordbatch"
	"github.com/millrace-io/millrace/runtime/internal/task"
	"github.com/millrace-io/millrace/topology"
)

// refusing has the log refuse the records of the first n batches for the topic that offset is in the origin of; kind completes the refusal.
func refusing(topic string, n int, offset int64, kind client.Refusal, err error) func(client.TopicPartition, *recordbatch.Builder) []client.Refusal {
	return func(tp client.TopicPartition, b *recordbatch.Builder) []client.Refusal {
		if tp.Topic != topic || n == 0 {
			return nil
		}
		n--
		r := kind
		r.TopicPartition = tp
		for i := range b.Len() {
			if o, ok := b.Origin(i); ok && (offset < 0 || o.Offset == offset) {
				r.Records = append(r.Records, client.Refused{Origin: o, Known: true, Err: err})
			}
		}
		if len(r.Records) == 0 {
			return nil
		}
		return []client.Refusal{r}
	}
}

// answering configures a production handler, which notes what it is asked.
func answering(w *world, answers ...task.Response) {
	w.configure = func(c *task.Config) {
		c.DeadLetterTopic = "dlq"
		c.Production = func(f task.Failure) task.Response {
			_ = w.note(fmt.Sprintf("asked %s in-%d@%d %s=%s", f.Node, f.Source.Partition, f.Source.Offset, f.Raw.Key, f.Raw.Value))
			f.DeadLetter()
			w.mu.Lock()
			defer w.mu.Unlock()
			a := answers[0]
			if len(answers) > 1 {
				answers = answers[1:]
			}
			return a
		}
	}
}

// a record that the broker names is left out of the transaction, which goes on; the handler gets its input, and its dead letter is
// in the same transaction.
func TestRefusedRecordIsLeftOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	answering(w, task.Continue)
	w.refuse = refusing("out", 1, 1, client.Refusal{}, kerr.InvalidRecord)
	r := w.run()
	w.takeTrace()
	w.feed(0, "a", "b", "c")
	w.await("committed", func() bool { return r.Snapshot().Commits == 1 })
	want := []string{
		"send out-0:3", "send app-counts-changelog-0:3",
		"enter", "offsets m1/4 at 3", "leave",
		"flush", "again in-0 at 1", "asked sink in-0@1 key again=value again", "resume out-0",
		"send dlq-0:1", "flush", "end commit=true",
	}
	if got := w.takeTrace(); !slices.Equal(got, want) {
		t.Errorf("calls %q\nwant  %q", got, want)
	}
	s := r.Snapshot()
	if s.Written["out"] != 2 || s.Written["dlq"] != 1 || len(s.Drops) != 1 || s.Drops[0] != (task.Drop{Node: "sink", Reason: topology.ReasonProduction, Count: 1}) {
		t.Errorf("snapshot %+v", s)
	}
	w.checkCounts(map[string]int64{"a": 1, "b": 1, "c": 1})
}

// Without a handler's leave it fails the task, with the coordinates of the input; so does a refusal that is final, and one of a changelog.
func TestRefusedRecordFails(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, topic string
		final       bool
		answer      task.Response
		node        string
		asked       bool
	}{
		{name: "handler", topic: "out", answer: task.Fail, node: "sink", asked: true},
		{name: "final", topic: "out", final: true, answer: task.Continue, node: "sink"},
		{name: "changelog", topic: "app-counts-changelog", answer: task.Continue},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			answering(w, c.answer)
			w.refuse = refusing(c.topic, 1, -1, client.Refusal{Final: c.final}, kerr.PolicyViolation)
			r := w.run()
			w.feed(0, "a")
			err := <-r.ended
			r.ended <- err
			e, ok := errors.AsType[*task.Error](err)
			if !ok || e.Node != c.node || e.Task != task0 || !errors.Is(err, kerr.PolicyViolation) || !strings.Contains(err.Error(), "write to topic "+c.topic) {
				t.Fatalf("Run: %v", err)
			}
			if c.node != "" && (e.Source != topology.Coordinates{Topic: "in", Offset: 0}) {
				t.Errorf("source %v", e.Source)
			}
			if asked := slices.ContainsFunc(w.traced(), func(s string) bool { return strings.HasPrefix(s, "asked") }); asked != c.asked {
				t.Errorf("asked: %v", asked)
			}
			if w.committed() != 0 {
				t.Error("committed")
			}
		})
	}
}

// A partition that cannot be written in time: Retry begins the transaction anew until it can; so it goes without a handler.
func TestUnwritablePartitionIsTriedAgain(t *testing.T) {
	t.Parallel()
	for _, handler := range []bool{true, false} {
		w := newWorld(t)
		if handler {
			answering(w, task.Retry)
		}
		w.refuse = refusing("out", 2, -1, client.Refusal{Retriable: true}, context.DeadlineExceeded)
		r := w.run()
		w.takeTrace()
		w.feed(0, "a")
		for range 2 {
			w.await("begun anew", func() bool { return slices.Contains(w.traced(), "read in-0 from 0") })
			w.takeTrace()
			w.feed(0, "a")
		}
		w.await("committed", func() bool { return w.committed() == 1 })
		if s := r.Snapshot(); s.Aborts != 2 || s.Written["out"] != 1 || len(s.Drops) != 0 {
			t.Errorf("snapshot %+v", s)
		}
		w.checkCounts(map[string]int64{"a": 1})
	}
}

// Continue does without the partition until the next commit: at once if nothing of it can be in the log, else in a transaction that
// is begun anew. Afterwards it is tried again.
func TestUnwritablePartitionIsGivenUp(t *testing.T) {
	t.Parallel()
	for _, unknown := range []bool{false, true} {
		t.Run(fmt.Sprintf("unknown=%v", unknown), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			answering(w, task.Continue)
			w.refuse = refusing("out", 1, -1, client.Refusal{Retriable: true, Unknown: unknown}, context.DeadlineExceeded)
			r := w.run()
			w.takeTrace()
			w.feed(0, "a", "b")
			aborts := int64(0)
			if unknown {
				w.await("begun anew", func() bool { return slices.Contains(w.traced(), "read in-0 from 0") })
				if slices.Contains(w.takeTrace(), "resume out-0") {
					t.Error("the transaction went on without what the log may hold")
				}
				w.feed(0, "a", "b")
				aborts = 1
			}
			w.await("committed", func() bool { return w.committed() == 2 })
			w.await("shown", func() bool { return r.Snapshot().Commits == 1 })
			s := r.Snapshot()
			if s.Aborts != aborts || s.Written["out"] != 0 || s.Written["dlq"] != 2 || len(s.Drops) != 1 || s.Drops[0].Count != 2 {
				t.Errorf("snapshot %+v", s)
			}
			w.feed(2, "c")
			w.await("committed", func() bool { return w.committed() == 3 })
			w.await("shown", func() bool { return r.Snapshot().Written["out"] == 1 })
			w.checkCounts(map[string]int64{"a": 1, "b": 1, "c": 1})
		})
	}
}

// Where the partition stays unwritable, the task time-out ends the trying, with the coordinates.
func TestUnwritablePartitionTimesOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.refuse = refusing("out", -1, -1, client.Refusal{Retriable: true}, kerr.NotEnoughReplicas)
	var tries atomic.Int64
	w.taskTimeout = 1 // ns: the first failure is one too many but one
	r := w.run()
	for {
		w.feed(0, "a")
		select {
		case err := <-r.ended:
			r.ended <- err
			if e, ok := errors.AsType[*task.Error](err); !ok || e.Source.Offset != 0 || !errors.Is(err, kerr.NotEnoughReplicas) ||
				!strings.Contains(err.Error(), "no commit for") {
				t.Errorf("Run: %v", err)
			}
			return
		default:
			if tries.Add(1) > 100_000 {
				t.Fatal("never")
			}
			w.await("begun anew, or ended", func() bool { return len(r.ended) > 0 || slices.Contains(w.takeTrace(), "read in-0 from 0") })
		}
	}
}

// Retry tries again what was given up: the handler has changed its mind, or another one was asked.
func TestRetryForgives(t *testing.T) {
	t.Parallel()
	s := newStepped(t, 1)
	s.out.GiveUp(client.TopicPartition{Topic: "out"}, errNoLeader)
	send := func() error { return s.out.Send("out", 0, &topology.Raw{}, &task.Origin{}) }
	if err := s.taskError(&task.Error{Err: errNoLeader}); commit.Classify(err) != commit.ClassFatal || send() == nil {
		t.Errorf("class %v of a failure, and it is tried again", commit.Classify(err))
	}
	if err := s.taskError(&task.Error{Err: errNoLeader, Retry: true}); commit.Classify(err) == commit.ClassFatal || send() != nil {
		t.Errorf("class %v of a failure that is to be tried again: %v", commit.Classify(err), send())
	}
}

// A refused record of which nobody knows where it came from is nobody's to let pass.
func TestRefusedRecordOfUnknownOrigin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	answering(w, task.Continue)
	w.refuse = func(tp client.TopicPartition, _ *recordbatch.Builder) []client.Refusal {
		return []client.Refusal{{TopicPartition: tp, Records: []client.Refused{{Err: kerr.InvalidRecord}}}}
	}
	r := w.run()
	w.feed(0, "a")
	err := <-r.ended
	r.ended <- err
	if !errors.Is(err, kerr.InvalidRecord) || commit.Classify(err) != commit.ClassFatal {
		t.Errorf("Run: %v", err)
	}
	if calls := w.traced(); slices.ContainsFunc(calls, func(c string) bool { return strings.HasPrefix(c, "asked") }) {
		t.Errorf("calls %q", calls)
	}
}
