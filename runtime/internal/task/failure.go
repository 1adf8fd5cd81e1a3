package task

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/millrace-io/millrace/topology"
)

// Response is what a handler answers.
type Response uint8

// The responses. The zero value fails.
const (
	Fail     Response = iota // the task stops with the error; its transaction is aborted
	Continue                 // the record is dropped at the node that failed, counted and logged (P-30)
	// Retry aborts the transaction and processes its records again, until the task time-out. It is for failures of the log that may
	// pass; where trying again cannot help, it is Fail.
	Retry
)

// Failure is what a handler decides about.
type Failure struct {
	Task      topology.TaskID
	Node      string               // that failed
	Source    topology.Coordinates // of the input record; in a punctuation: no topic, partition and offset -1
	Raw       *topology.Raw        // the input record as bytes, valid during the call; nil in a punctuation, or if it is gone
	Timestamp int64                // event time of the input record, in a punctuation its time; milliseconds
	Err       error                // a *PanicError if user code panicked
	Retriable bool                 // trying again may help: Retry is possible

	letters *letters // nil: nobody collects dead letters
}

// Handler decides about a failure. One that panics fails the task.
type Handler func(Failure) Response

// LogAndContinue drops the record and sends it to the dead-letter topic, if there is one. What may pass it tries again: an outage of
// the log must not lose records.
func LogAndContinue(f Failure) Response {
	if f.Retriable {
		return Retry
	}
	f.DeadLetter()
	return Continue
}

// LogAndFail sends the record to the dead-letter topic, if there is one, and fails. What may pass it tries again, as Kafka Streams'
// DefaultProductionExceptionHandler does.
func LogAndFail(f Failure) Response {
	if f.Retriable {
		return Retry
	}
	f.DeadLetter()
	return Fail
}

// door is one of the three ways that failures take (DESIGN D11).
type door struct {
	handler func(*Config) Handler
	reason  topology.Reason // of the drop, unless the error brings its own
	name    string
}

var (
	doorDeserialization = &door{func(c *Config) Handler { return c.Deserialization }, topology.ReasonDeserialization, "deserialization"}
	doorProcessing      = &door{func(c *Config) Handler { return c.Processing }, topology.ReasonProcessing, "processing"}
	doorProduction      = &door{func(c *Config) Handler { return c.Production }, topology.ReasonProduction, "production"}
)

func (s *scope) Guarded() bool { return s.guarded }

func (s *scope) Fail(id topology.NodeID, err error) error {
	t := (*Task)(s)
	through := doorProcessing
	if produced(err) {
		through = doorProduction
	}
	return t.decide(through, t.cfg.Topology.Nodes[id], err)
}

// produced reports whether err is of a record that could not be written.
func produced(err error) bool {
	_, encode := errors.AsType[*topology.EncodeError](err)
	_, write := errors.AsType[*topology.WriteError](err)
	return encode || write
}

// retriable reports whether err is of a record that the log may take later.
func retriable(err error) bool {
	w, ok := errors.AsType[*topology.WriteError](err)
	return ok && w.Retriable
}

// decide asks a handler about an error of a node. nil: the record is dropped and counted. Else the sticky error.
func (t *Task) decide(through *door, node *topology.Node, err error) error {
	if t.err != nil {
		return t.err
	}
	response := Fail
	if t.built {
		response = t.ask(through, node, err)
	}
	switch {
	case t.err != nil:
	case response == Continue:
		t.drop(node, topology.ReasonOf(err, through.reason), err)
		return nil
	default:
		t.err = &Error{Task: t.id, Node: node.Name, Source: t.where(), Err: err, Retry: response == Retry && retriable(err)}
	}
	return t.err
}

// ask calls the handler, and sends the dead letters that it wants sent, before the failure if it fails: without transactions they
// stay.
func (t *Task) ask(through *door, node *topology.Node, err error) Response {
	h := through.handler(&t.cfg)
	if h == nil {
		h = LogAndFail
	}
	l := letters{topic: t.cfg.DeadLetterTopic}
	f := Failure{
		Task: t.id, Node: node.Name, Source: t.where(), Raw: t.input(), Timestamp: t.time, Err: err, Retriable: retriable(err), letters: &l,
	}
	response, problem := Ask(h, f)
	if problem != nil { // P-31
		t.fail(node.Name, fmt.Errorf("%s handler: %w; it was asked about: %w", through.name, problem, err))
		return Fail
	}
	for i := range l.list {
		if err := t.post(&l.list[i]); err != nil {
			t.err = &Error{Task: t.id, Node: node.Name, Source: t.where(), Err: err, Retry: retriable(err)}
			return Fail
		}
	}
	return response
}

// Ask calls a handler. A panic is an error.
func Ask(h Handler, f Failure) (r Response, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return h(f), nil
}
