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
	// Init makes the first aggregate, for the old value of a change that is not cached (D-63). Nil: there is none.
	Init func() A
	// Shared says that next may be an object that others can see, such as the stream's own value: the store keeps a copy.
	Shared bool
	// Nulls says what a windowed aggregation does with a null value that V cannot hold: take it, or drop it. Where V can
	// hold nil, it is taken (D-75). An aggregation without windows drops null values in either case (D-60 to D-62).
	Nulls bool
	// private has Apply work on a copy, and the store keep one: either may fail after the aggregate was changed, and the task goes on.
	// See guarded.
	private bool
}

// guarded returns the fold for a task.
func (f Fold[K, V, A]) guarded(e env) *Fold[K, V, A] {
	f.private = e.scope.Guarded()
	return &f
}

// Adder is the fold of an aggregate: init makes the first one (D-62). Returning nil from an A that can hold nil deletes it.
func Adder[K, V, A any](init func() A, add func(K, V, A) A) Fold[K, V, A] {
	nilableResult := nilable[A]()
	return Fold[K, V, A]{Init: init, Apply: func(k K, v V, old A, ok bool) (A, bool) {
		if !ok {
			old = init()
		}
		next := add(k, v, old)
		return next, !(nilableResult && isNil(next))
	}}
}

// Counter is the fold of a count (D-60).
func Counter[K, V any]() Fold[K, V, int64] {
	zero := func() int64 { return 0 }
	return Fold[K, V, int64]{Nulls: true, Init: zero, Apply: func(_ K, _ V, old int64, _ bool) (int64, bool) { return old + 1, true }}
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
	Copy() (A, bool, error)
	Timestamp() int64
	Set(v A, timestamp int64, h serde.Headers) error
	SetShared(v A, timestamp int64, h serde.Headers) error
	Delete(timestamp int64, h serde.Headers) error
}

// update folds r into the aggregate at e. The aggregate's time is the largest of the records folded in so far; that of a
// delete is the record's own, since there is no aggregate any more (Kafka Streams with its cache on).
func update[E entry[A], K, V, A any](e E, f *Fold[K, V, A], r *topology.Record[K, V]) error {
	old, ok, err := aggregateAt(e, f)
	if err != nil {
		return err
	}
	t := r.Timestamp
	if ok {
		t = max(t, e.Timestamp())
	}
	next, keep := f.Apply(r.Key, r.Value, old, ok)
	switch {
	case !keep:
		return e.Delete(r.Timestamp, r.Headers)
	case f.Shared, f.private:
		return e.SetShared(next, t, r.Headers)
	default:
		return e.Set(next, t, r.Headers)
	}
}

// aggregateAt returns what f is applied to.
func aggregateAt[E entry[A], K, V, A any](e E, f *Fold[K, V, A]) (A, bool, error) {
	v, ok := e.Value()
	if ok && f.private {
		return e.Copy()
	}
	return v, ok, nil
}

// updateNow is update for an aggregate that is not cached: it returns the change, to be forwarded at once, and its time. There
// Kafka Streams shows the initialiser's value as the old one of a first change (D-63), and gives a delete the largest time.
func updateNow[E entry[A], K, V, A any](e E, s *Store, f *Fold[K, V, A], r *topology.Record[K, V]) (c state.Change[A], t int64, err error) {
	c.Latest = true
	old, ok, err := aggregateAt(e, f)
	if err != nil {
		return c, r.Timestamp, err
	}
	t = r.Timestamp
	if ok {
		t = max(t, e.Timestamp())
	}
	if s.old {
		if c.Old, err = oldNow(e, ok, f); err != nil {
			return c, t, err
		}
	}
	next, keep := f.Apply(r.Key, r.Value, old, ok)
	switch {
	case !keep:
		return c, t, e.Delete(r.Timestamp, r.Headers)
	case f.Shared, f.private:
		err = e.SetShared(next, t, r.Headers)
	default:
		err = e.Set(next, t, r.Headers)
	}
	if err != nil {
		return c, t, err
	}
	next, _, err = e.Copy() // the store's own object is not to be forwarded
	c.New = serde.Some(next)
	return c, t, err
}

func oldNow[E entry[A], K, V, A any](e E, ok bool, f *Fold[K, V, A]) (serde.Maybe[A], error) {
	switch {
	case ok:
		v, _, err := e.Copy()
		return serde.Some(v), err
	case f.Init != nil:
		return serde.Some(f.Init()), nil
	}
	return serde.None[A](), nil
}

// Aggregate folds the records of each key into a store and emits one change per key at each flush. Records without
// key or value are dropped (D-60 to D-62).
func Aggregate[K, V, A any](name string, s *Store, fold Fold[K, V, A]) *topology.Node {
	return processor(name, []string{s.Name}, func(e env, down topology.Emit[K, state.Change[A]]) (topology.Emit[K, V], func() error, error) {
		w, err := openWriter(e, s, down)
		if err != nil {
			return nil, nil, err
		}
		nilableKey, nilableValue, fold := nilable[K](), nilable[V](), fold.guarded(e)
		return func(r topology.Record[K, V]) {
			switch {
			case !hasKey(&r, nilableKey):
				e.drop(topology.ReasonNullKey)
			case !hasValue(&r, nilableValue):
				e.drop(topology.ReasonNullValue)
			default:
				e.failed(aggregate(w, fold, &r))
			}
		}, w.flush(), nil
	})
}

func aggregate[K, V, A any](w *writer[K, A], fold *Fold[K, V, A], r *topology.Record[K, V]) error {
	at, err := w.rows.At(r.Key)
	if err != nil {
		return err
	}
	if !w.Uncached {
		return update(at, fold, r)
	}
	c, t, err := updateNow(at, w.Store, fold, r)
	if err == nil {
		w.forward(r.Key, c, t, r.Headers)
	}
	return err
}
