package topologytest

import (
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/millrace-io/millrace/runtime/internal/task"
	"github.com/millrace-io/millrace/topology"
)

// tracer writes how records pass through a graph. nil does nothing.
type tracer struct {
	w     io.Writer
	depth int
}

func (t *tracer) line(format string, args ...any) {
	// A writer of a test does not fail, or the test sees that text is missing.
	_, _ = fmt.Fprintf(t.w, strings.Repeat("  ", t.depth)+format+"\n", args...)
}

func (t *tracer) piped(in task.Input, r *topology.Raw) {
	if t != nil {
		t.line("%s-%d: %s @%d", in.Topic, in.Partition, rawText(r), r.Timestamp)
	}
}

func (t *tracer) commits(of *task.Task) {
	if t != nil {
		t.line("commit of task %s", of.ID())
	}
}

func rawText(r *topology.Raw) string {
	text := func(b []byte) string {
		if b == nil {
			return "null"
		}
		return fmt.Sprintf("%q", b)
	}
	return text(r.Key) + "=" + text(r.Value)
}

// wrap returns a copy of a topology whose nodes tell t of each record.
func (t *tracer) wrap(top *topology.Topology) *topology.Topology {
	if t == nil {
		return top
	}
	return top.Wrap(func(n *topology.Node, build topology.Build) topology.Build {
		return func(s topology.Scope, down any) (topology.Instance, error) {
			inst, err := build(tracedScope{s, t}, down)
			if err != nil {
				return inst, err
			}
			for port := range inst.Ports {
				inst.Ports[port] = t.port(n, inst.Ports[port])
			}
			if flush := inst.Flush; flush != nil {
				inst.Flush = func() error {
					t.depth++
					defer func() { t.depth-- }()
					return flush()
				}
			}
			return inst, nil
		}
	})
}

// port wraps an Emit of any types. Other ports, those of sources, have no record yet.
func (t *tracer) port(n *topology.Node, port any) any {
	emit := reflect.ValueOf(port)
	if newHead, ok := port.(topology.NewHead); ok {
		return topology.NewHead(func() topology.Head { return &tracedHead{newHead(), t, n.Name} })
	}
	if emit.Kind() != reflect.Func || emit.Type().NumIn() != 1 {
		return port
	}
	return reflect.MakeFunc(emit.Type(), func(args []reflect.Value) []reflect.Value {
		t.depth++
		defer func() { t.depth-- }()
		t.line("%s: %s", n.Name, recordText(args[0]))
		return emit.Call(args)
	}).Interface()
}

// recordText shows a Record of any types.
func recordText(r reflect.Value) string {
	shown := reflect.New(r.Type())
	shown.Elem().Set(r)
	has, ok := shown.Interface().(interface {
		HasKey() bool
		HasValue() bool
	})
	key, value := "null", "null"
	if !ok || has.HasKey() {
		key = valueText(r.FieldByName("Key"))
	}
	if !ok || has.HasValue() {
		value = valueText(r.FieldByName("Value"))
	}
	return fmt.Sprintf("%s=%s @%d", key, value, r.FieldByName("Timestamp").Int())
}

// valueText shows a value; a pointer's as what it points to.
func valueText(v reflect.Value) string {
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	if v.Kind() == reflect.Pointer {
		return "nil"
	}
	return fmt.Sprintf("%+v", v.Interface())
}

// tracedHead tells when a source emits.
type tracedHead struct {
	topology.Head
	t    *tracer
	name string
}

func (h *tracedHead) Emit() {
	h.t.depth++
	defer func() { h.t.depth-- }()
	h.t.line("%s", h.name)
	h.Head.Emit()
}

// tracedScope is the scope of a node; it tells of what the node writes and drops.
type tracedScope struct {
	topology.Scope
	t *tracer
}

func (s tracedScope) Send(node topology.NodeID, topic string, partition int32, r *topology.Raw) error {
	s.t.depth++
	s.t.line("> %s-%d: %s @%d", topic, partition, rawText(r), r.Timestamp)
	s.t.depth--
	return s.Scope.Send(node, topic, partition, r)
}

func (s tracedScope) Drop(node topology.NodeID, reason topology.Reason, detail error) {
	s.t.depth++
	s.t.line("dropped: %s", reason)
	s.t.depth--
	s.Scope.Drop(node, reason, detail)
}

func (s tracedScope) Fail(node topology.NodeID, err error) error {
	s.t.depth++
	s.t.line("failed: %v", err)
	s.t.depth--
	return s.Scope.Fail(node, err)
}
