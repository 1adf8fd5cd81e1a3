package task_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/runtime/internal/task"
	"github.com/millrace-io/millrace/topology"
)

// tracked is a mailbox that keeps where records come from.
type tracked struct {
	mailbox
	origins []task.Origin
}

func (m *tracked) Send(topic string, partition int32, r *topology.Raw, from *task.Origin) error {
	m.origins = append(m.origins, *from)
	return m.mailbox.Send(topic, partition, r, from)
}

// What a sink writes can be told from what it was made from: the node, the input record, its event time.
func TestOrigin(t *testing.T) {
	t.Parallel()
	m := &tracked{}
	h := start(t, pipe(proc{}), func(cfg *task.Config) { cfg.Output = m })
	h.offer("in", "5:k=a@7", "6:k=b@9")
	h.run()
	if len(m.origins) != 2 {
		t.Fatalf("origins %v", m.origins)
	}
	o := m.origins[1]
	if o.Input != 0 || o.Offset != 6 || o.Time != 9 || o.Task != h.ID() {
		t.Errorf("origin %+v", o)
	}
	if got := h.Source(o); got != (topology.Coordinates{Topic: "in", Partition: 0, Offset: 6}) {
		t.Errorf("source %+v", got)
	}
	if got := h.Source(task.Origin{Input: -1}); got.Topic != "" || got.Offset != -1 {
		t.Errorf("source of a punctuation %+v", got)
	}
}

// what the log refuses after it was sent goes to the production handler with the record it was made from, unless it is
// final or of a changelog; only what may pass can be tried again.
func TestRefusedLater(t *testing.T) {
	t.Parallel()
	errLog := errors.New("INVALID_RECORD")
	for _, c := range []struct {
		name             string
		answer           task.Response
		retriable, final bool
		changelog        bool
		asked            bool
		want             string // of the error
		retry            bool
	}{
		{name: "continue", answer: task.Continue, asked: true},
		{name: "fail", answer: task.Fail, asked: true, want: "task 0_0: node sink: in-0 at offset 6: write to topic out partition 2: INVALID_RECORD"},
		{name: "retry", answer: task.Retry, asked: true, want: "task 0_0: node sink: in-0 at offset 6"},
		{name: "retry of what may pass", answer: task.Retry, retriable: true, asked: true, want: "task 0_0: node sink: in-0 at offset 6", retry: true},
		{name: "fail of what may pass", answer: task.Fail, retriable: true, asked: true, want: "task 0_0: node sink: in-0 at offset 6"},
		{name: "continue after what may pass", answer: task.Continue, retriable: true, asked: true},
		{name: "final", answer: task.Continue, final: true, want: "task 0_0: node sink: in-0 at offset 6: write to topic out"},
		{name: "changelog", answer: task.Continue, changelog: true, want: "task 0_0: in-0 at offset 6: write to topic out"},
		{name: "changelog later", answer: task.Continue, changelog: true, retriable: true, want: "task 0_0: in-0 at offset 6", retry: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := &tracked{}
			var asked []string
			h := start(t, pipe(proc{}), func(cfg *task.Config) {
				cfg.Output, cfg.DeadLetterTopic = m, "dlq"
				cfg.Production = func(f task.Failure) task.Response {
					asked = append(asked, fmt.Sprintf("%s %s-%d@%d %s=%s %d %v", f.Node, f.Source.Topic, f.Source.Partition, f.Source.Offset,
						f.Raw.Key, f.Raw.Value, f.Timestamp, f.Retriable))
					f.DeadLetter()
					return c.answer
				}
			})
			h.offer("in", "5:k=a@7", "6:k=b@9", "7:k=c@11")
			h.run()
			from := m.origins[1]
			if c.changelog {
				from.Node = -1
			}
			m.text()
			err := h.Refused(from, &topology.Raw{Key: []byte("k"), Value: []byte("b"), Offset: 6, Timestamp: 9},
				&topology.WriteError{Topic: "out", Partition: 2, Err: errLog, Retriable: c.retriable}, c.final)
			if (err != nil) != (c.want != "") || err != nil && !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("Refused = %v, want %q", err, c.want)
			}
			if e, ok := errors.AsType[*task.Error](err); ok && e.Retry != c.retry {
				t.Errorf("retry: %v", e.Retry)
			}
			if err != nil && (!errors.Is(err, errLog) || !errors.Is(h.Err(), errLog)) {
				t.Errorf("error %v, sticky %v", err, h.Err())
			}
			want := fmt.Sprintf("[sink in-0@6 k=b 9 %v]", c.retriable)
			if !c.asked {
				want = "[]"
			}
			if got := fmt.Sprint(asked); got != want {
				t.Errorf("asked %s, want %s", got, want)
			}
			if sent := m.text(); c.asked != strings.HasPrefix(sent, "dlq-2 k=b@9 exception=*errors.errorString message=write to topic out partition 2: INVALID_RECORD") {
				t.Errorf("sent %q", sent)
			}
			if drops := h.Pending().Drops; (len(drops) == 1) != (c.want == "") {
				t.Errorf("drops %v", drops)
			}
		})
	}
}

// Without a handler, and with the built-in ones, what may pass is tried again, and no letter is written about it.
func TestOutagesLoseNothing(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]task.Handler{"none": nil, "continue": task.LogAndContinue, "fail": task.LogAndFail} {
		m := &tracked{}
		h := start(t, pipe(proc{}), letting(&m.mailbox, handler), func(cfg *task.Config) { cfg.Output = m })
		h.offer("in", "5:k=a@7")
		h.run()
		m.text()
		err := h.Refused(m.origins[0], nil, &topology.WriteError{Topic: "out", Err: errBoom, Retriable: true}, false)
		if e, ok := errors.AsType[*task.Error](err); !ok || !e.Retry {
			t.Errorf("%s: Refused = %v", name, err)
		}
		if sent := m.text(); sent != "" {
			t.Errorf("%s: sent %s", name, sent)
		}
	}
}
