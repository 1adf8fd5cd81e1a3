package operator

import (
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/stream/window"
	"github.com/millrace-io/millrace/topology"
)

// SelfJoin joins a stream with itself, of which one store holds the records: the node that keeps them comes first. It gives what the
// join of two stores gives, in the same order: the record with each earlier one on the right, then each one, itself included, with the
// record on the right. It returns false if V and W are not one type.
func SelfJoin[K, V, W, R any](
	name, storeName string, windows window.Join, join func(key K, left serde.Maybe[V], right serde.Maybe[W]) R,
) (*topology.Node, bool) {
	right, ok := any(func(v V) V { return v }).(func(V) W)
	if !ok {
		return nil, false
	}
	before, after := windows.Range()
	return processor(name, []string{storeName}, func(e env, down topology.Emit[K, R]) (topology.Emit[K, V], func() error, error) {
		s := &selfJoin[K, V, W, R]{
			env: e, down: down, join: join, right: right, before: before.Milliseconds(), after: after.Milliseconds(),
			retention:  (windows.Size() + windows.GracePeriod()).Milliseconds(),
			nilableKey: nilable[K](), nilableValue: nilable[V](), nilableResult: nilable[R](),
		}
		var err error
		s.records, err = store[*state.JoinWindow[K, V]](e, storeName)
		s.first, s.second = s.onLeft, s.onRight
		return s.take, nil, err
	}), true
}

type selfJoin[K, V, W, R any] struct {
	env           env
	down          topology.Emit[K, R]
	join          func(K, serde.Maybe[V], serde.Maybe[W]) R
	right         func(V) W
	records       *state.JoinWindow[K, V]
	before, after int64
	retention     int64
	first, second func(V, int64) error // bound once

	nilableKey, nilableValue, nilableResult bool

	current topology.Record[K, V]
	held    serde.Maybe[V] // the last record of the current one's time: in the end, itself
	out     topology.Record[K, R]
}

func (s *selfJoin[K, V, W, R]) take(r topology.Record[K, V]) {
	switch {
	case !hasKey(&r, s.nilableKey):
		s.env.drop(topology.ReasonNullKey)
		return
	case !hasValue(&r, s.nilableValue):
		s.env.drop(topology.ReasonNullValue)
		return
	}
	s.current, s.held = r, serde.None[V]()
	t := r.Timestamp
	err := s.records.Each(r.Key, max(0, t-s.before), max(0, later(t, s.after)), s.first)
	if err == nil {
		s.held = serde.None[V]()
		err = s.records.Each(r.Key, max(0, t-s.after), max(0, later(t, s.before)), s.second)
	}
	if err == nil {
		s.itself()
	}
	s.env.failed(err)
}

// onLeft joins the current record with another one on the right. It is the last one of its time, and left out here.
func (s *selfJoin[K, V, W, R]) onLeft(other V, at int64) error {
	if at == s.current.Timestamp {
		was, ok := s.held.Get()
		s.held = serde.Some(other)
		if !ok {
			return nil
		}
		other = was
	}
	s.forward(s.current.Value, other, at)
	return nil
}

// onRight joins a record with the current one on the right. The last one of its time is itself.
func (s *selfJoin[K, V, W, R]) onRight(other V, at int64) error {
	if at != s.current.Timestamp {
		s.itself()
		s.forward(other, s.current.Value, at)
		return nil
	}
	if was, ok := s.held.Get(); ok {
		s.forward(was, s.current.Value, at)
	}
	s.held = serde.Some(other)
	return nil
}

// itself joins the current record with itself, once its turn has come. One as old as the oldest that the store keeps is not, as in Kafka
// Streams.
func (s *selfJoin[K, V, W, R]) itself() {
	v, ok := s.held.Get()
	s.held = serde.None[V]()
	newest, _ := s.records.Newest()
	if ok && s.current.Timestamp > newest-s.retention+1 {
		s.forward(v, s.current.Value, s.current.Timestamp)
	}
}

func (s *selfJoin[K, V, W, R]) forward(left, right V, at int64) {
	topology.SetValue(&s.out, &s.current, s.join(s.current.Key, serde.Some(left), serde.Some(s.right(right))))
	s.out.Timestamp = max(s.current.Timestamp, at)
	if s.nilableResult {
		flag(&s.out, false, true)
	}
	s.down(s.out)
}
