package operator

import (
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// Fold is what an aggregation does with one record.
//
// It is called with the aggregate so far, ok false if there is none, and returns the new one; ok false deletes it. A is
// the store's own object until Fold returns: it may change it and give it back.
type Fold[K, V, A any] struct {
	Apply func(key K, value V, old A, ok bool) (next A, keep bool)
	// Shared says that next may be an object that others can see, such as the stream's own value: the store keeps a copy.
	Shared bool
	// Nulls says what a windowed aggregation does with a null value that V cannot hold: take it, or drop it. Where V can
	// hold nil, it is taken (D-75). An aggregation without windows drops null values in either case (D-60 to D-62).
	Nulls bool
}

// Adder is the fold of an aggregate: init makes the first one (D-62). Returning nil from an A that can hold nil deletes it.
func Adder[K, V, A any](init func() A, add func(K, V, A) A) Fold[K, V, A] {
	nilableResult := nilable[A]()
	return Fold[K, V, A]{Apply: func(k K, v V, old A, ok bool) (A, bool) {
		if !ok {
			old = init()
		}
		next := add(k, v, old)
		return next, !(nilableResult && isNil(next))
	}}
}

// Counter is the fold of a count (D-60).
func Counter[K, V any]() Fold[K, V, int64] {
	return Fold[K, V, int64]{Nulls: true, Apply: func(_ K, _ V, old int64, _ bool) (int64, bool) { return old + 1, true }}
}

// Reducer is the fold of a reduce: the first value is taken as it is (D-61).
func Reducer[K, V any](f func(V, V) V) Fold[K, V, V] {
	nilableResult := nilable[V]()
	return Fold[K, V, V]{Shared: true, Apply: func(_ K, v V, old V, ok bool) (V, bool) {
		if ok {
			v = f(old, v)
		}
		return v, !(nilableResult && isNil(v))
	}}
}

// entry is the place of one aggregate in a store.
type entry[A any] interface {
	Value() (A, bool)
	Timestamp() int64
	Set(v A, timestamp int64, h serde.Headers) error
	SetShared(v A, timestamp int64, h serde.Headers) error
	Delete(timestamp int64, h serde.Headers) error
}

// update folds r into the aggregate at e. The aggregate's time is the largest of the records folded in so far; that of a
// delete is the record's own, since there is no aggregate any more (Kafka Streams with its cache on).
func update[E entry[A], K, V, A any](e E, f *Fold[K, V, A], r *topology.Record[K, V]) error {
	old, ok := e.Value()
	t := r.Timestamp
	if ok {
		t = max(t, e.Timestamp())
	}
	next, keep := f.Apply(r.Key, r.Value, old, ok)
	switch {
	case !keep:
		return e.Delete(r.Timestamp, r.Headers)
	case f.Shared:
		return e.SetShared(next, t, r.Headers)
	default:
		return e.Set(next, t, r.Headers)
	}
}

// Aggregate folds the records of each key into a store and emits one change per key at each flush. Records without
// key or value are dropped (D-60 to D-62).
func Aggregate[K, V, A any](name, storeName string, fold Fold[K, V, A]) *topology.Node {
	open := func(e env, down topology.Emit[K, state.Change[A]]) (topology.Emit[K, V], func() error, error) {
		s, err := store[*state.KeyValue[K, A]](e, storeName)
		if err != nil {
			return nil, nil, err
		}
		s.OmitOld() // no table operator below asks for old values yet
		nilableKey, nilableValue := nilable[K](), nilable[V]()
		take := func(r topology.Record[K, V]) {
			switch {
			case !hasKey(&r, nilableKey):
				e.drop(topology.ReasonNullKey)
				return
			case !hasValue(&r, nilableValue):
				e.drop(topology.ReasonNullValue)
				return
			}
			at, err := s.At(r.Key)
			if err == nil {
				err = update(at, &fold, &r)
			}
			if err != nil {
				_ = e.Fail(e.node, err) // the handler has decided; a refusal is sticky in the task
			}
		}
		forward := func(k K, c state.Change[A], t int64, h serde.Headers) error {
			r := topology.NewRecord(k, c, t)
			r.Headers = h
			down(r)
			return nil
		}
		return take, func() error { return s.Changes(forward) }, nil
	}
	return processor(name, []string{storeName}, open)
}
