package operator

import (
	"fmt"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// Suppress says how changes of a table are held back: the last one of each key, until its time has come.
//
// Time is the operator's own: the highest event time of the changes that it has seen in its task. An entry has its place from the
// change that opened it; later ones replace the change and leave the place (D-47).
type Suppress[K, V any] struct {
	Store string
	// Wait is how long after an entry's time it is passed on, in milliseconds of the operator's time.
	Wait int64
	// At returns the time of an entry, the end of its window (D-48). Nil: the event time of the change that opens it.
	At func(K) int64
	// Final says that deletes are swallowed: only what is there when the window closes is a result.
	Final bool
	// More than MaxRecords entries, or MaxBytes, are not held back: the first ones are passed on early, or the node fails if it is
	// strict (D-49).
	MaxRecords int
	MaxBytes   int64
	Strict     bool
}

// Node makes the node, and the table that it makes of parent, whose old values it needs.
func (s *Suppress[K, V]) Node(name string, parent *Table[K, V]) (*topology.Node, *Table[K, V]) {
	parent.AskOld(true)
	n := processor(name, []string{s.Store}, func(e env, down topology.Emit[K, state.Change[V]]) (topology.Emit[K, state.Change[V]], func() error, error) {
		buffer, err := store[*state.Buffer[K, V]](e, s.Store)
		if err != nil {
			return nil, nil, err
		}
		held := &suppressed[K, V]{env: e, Suppress: s, buffer: buffer, time: e.scope.OperatorTime(s.Store), down: down}
		return func(r topology.Record[K, state.Change[V]]) { e.failed(held.take(&r)) }, nil, nil
	})
	t := &Table[K, V]{AskOld: parent.AskOld, View: func() View[K, V] { return s.view(parent.View()) }}
	return n, t
}

// suppressed is a Suppress in one task.
type suppressed[K, V any] struct {
	env env
	*Suppress[K, V]
	buffer *state.Buffer[K, V]
	time   *int64
	down   topology.Emit[K, state.Change[V]]
}

func (s *suppressed[K, V]) take(r *topology.Record[K, state.Change[V]]) error {
	*s.time = max(*s.time, r.Timestamp)
	at := r.Timestamp
	if s.At != nil {
		at = s.At(r.Key)
	}
	err := s.buffer.Put(at, state.Buffered[K, V]{
		Key: r.Key, Change: r.Value, Timestamp: r.Timestamp, Headers: r.Headers, Source: s.env.scope.Source(),
	})
	if err != nil {
		return err
	}
	for due := *s.time - s.Wait; ; {
		if at, ok := s.buffer.First(); !ok || at > due {
			break
		}
		if err := s.emit(); err != nil {
			return err
		}
	}
	for s.full() {
		if s.Strict {
			return fmt.Errorf("the buffer %s is full: %d records of %d bytes, %d and %d are allowed; give it more room, or let it emit early",
				s.Store, s.buffer.Len(), s.buffer.Size(), s.MaxRecords, s.MaxBytes)
		}
		if err := s.emit(); err != nil {
			return err
		}
	}
	return nil
}

func (s *suppressed[K, V]) full() bool {
	return s.buffer.Len() > s.MaxRecords || s.buffer.Size() > s.MaxBytes
}

// emit passes the first entry on, with the time, headers and source of its last change (D-50), and takes it out.
func (s *suppressed[K, V]) emit() error {
	b, err := s.buffer.Peek()
	if err != nil {
		return err
	}
	if !s.Final || b.Change.New.Present() {
		out := topology.NewRecord(b.Key, b.Change, b.Timestamp)
		out.Headers = b.Headers
		was := s.env.scope.SetSource(b.Source)
		s.down(out)
		s.env.scope.SetSource(was)
	}
	return s.buffer.Remove()
}

// view reads rows as they were before the changes that wait (D-52).
func (s *Suppress[K, V]) view(parent View[K, V]) View[K, V] {
	v := View[K, V]{Stores: append([]string{s.Store}, parent.Stores...)}
	v.open = func(e env) (Get[K, V], error) {
		buffer, err := store[*state.Buffer[K, V]](e, s.Store)
		if err != nil {
			return nil, err
		}
		get, err := parent.open(e)
		return func(key K) (serde.Maybe[V], int64, error) {
			row, waits, err := buffer.Prior(key)
			if waits || err != nil {
				return row, -1, err
			}
			return get(key)
		}, err
	}
	return v
}
