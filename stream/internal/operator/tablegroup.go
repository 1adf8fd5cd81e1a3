package operator

import (
	"bytes"
	"errors"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// TableSelect maps each row of a table to a key and a value of a group (D-45). A change of a row becomes the old pair, as
// something to subtract, and then the new pair, to add; one record with both if their keys are equal, as bytes of key. Pairs
// with a null key or value are left out.
func TableSelect[K, V, K2, V2 any](name string, f func(K, V) (K2, V2), key serde.Serde[K2], parent *Table[K, V]) *topology.Node {
	parent.AskOld(true)
	return stateless(name, func(e env, down topology.Emit[K2, state.Change[V2]]) topology.Emit[K, state.Change[V]] {
		g := &grouping[K, V, K2, V2]{f: f, key: key, nilableKey: nilable[K2](), nilableValue: nilable[V2]()}
		return func(r topology.Record[K, state.Change[V]]) {
			if parent.Versioned && !r.Value.Latest {
				return
			}
			oldKey, oldPair := g.pair(r.Key, r.Value.Old)
			newKey, newPair := g.pair(r.Key, r.Value.New)
			if oldPair.Present() && newPair.Present() {
				same, err := g.same(oldKey, newKey)
				if err != nil {
					e.failed(err)
					return
				}
				if same {
					g.emit(down, &r, newKey, state.Change[V2]{New: newPair, Old: oldPair, Latest: true})
					return
				}
			}
			if oldPair.Present() {
				g.emit(down, &r, oldKey, state.Change[V2]{Old: oldPair, Latest: true})
			}
			if newPair.Present() {
				g.emit(down, &r, newKey, state.Change[V2]{New: newPair, Latest: true})
			}
		}
	})
}

type grouping[K, V, K2, V2 any] struct {
	f                        func(K, V) (K2, V2)
	key                      serde.Serde[K2]
	nilableKey, nilableValue bool
	a, b                     []byte
}

func (g *grouping[K, V, K2, V2]) pair(k K, row serde.Maybe[V]) (k2 K2, v2 serde.Maybe[V2]) {
	v, ok := row.Get()
	if !ok {
		return k2, v2
	}
	k2, pair := g.f(k, v)
	if g.nilableKey && isNil(k2) {
		return k2, v2
	}
	return k2, present(pair, g.nilableValue)
}

func (g *grouping[K, V, K2, V2]) same(x, y K2) (bool, error) {
	var errX, errY error
	g.a, errX = g.key.Append(g.a[:0], x)
	g.b, errY = g.key.Append(g.b[:0], y)
	return bytes.Equal(g.a, g.b), errors.Join(errX, errY)
}

func (g *grouping[K, V, K2, V2]) emit(down topology.Emit[K2, state.Change[V2]], r *topology.Record[K, state.Change[V]], k K2, c state.Change[V2]) {
	out := topology.NewRecord(k, c, r.Timestamp)
	out.Headers = r.Headers
	down(out)
}

// TableFold is what an aggregation of a grouped table does with one change.
type TableFold[K, V, A any] struct {
	// Add folds a new value in; ok false: there is no aggregate yet. Subtract takes an old value out; there is an aggregate.
	// Either returns keep false where no aggregate is left.
	Add      func(key K, value V, old A, ok bool) (next A, keep bool)
	Subtract func(key K, value V, old A) (next A, keep bool)
	Shared   bool // as Fold.Shared
	// private: as Fold's.
	private bool
}

// TableAdder is the fold of an aggregate (D-65).
func TableAdder[K, V, A any](init func() A, add, subtract func(K, V, A) A) TableFold[K, V, A] {
	nilableResult := nilable[A]()
	keep := func(a A) (A, bool) { return a, !(nilableResult && isNil(a)) }
	return TableFold[K, V, A]{
		Add: func(k K, v V, old A, ok bool) (A, bool) {
			if !ok {
				old = init()
			}
			return keep(add(k, v, old))
		},
		Subtract: func(k K, v V, old A) (A, bool) { return keep(subtract(k, v, old)) },
	}
}

// TableCounter is the fold of a count: zero stays (D-66).
func TableCounter[K, V any]() TableFold[K, V, int64] {
	return TableFold[K, V, int64]{
		Add:      func(_ K, _ V, old int64, _ bool) (int64, bool) { return old + 1, true },
		Subtract: func(_ K, _ V, old int64) (int64, bool) { return old - 1, true },
	}
}

// TableReducer is the fold of a reduce (D-64).
func TableReducer[K, V any](add, subtract func(V, V) V) TableFold[K, V, V] {
	nilableResult := nilable[V]()
	keep := func(v V) (V, bool) { return v, !(nilableResult && isNil(v)) }
	return TableFold[K, V, V]{
		Add: func(_ K, v, old V, ok bool) (V, bool) {
			if !ok {
				return keep(v)
			}
			return keep(add(old, v))
		},
		Subtract: func(_ K, v, old V) (V, bool) { return keep(subtract(old, v)) },
		Shared:   true,
	}
}

// TableAggregate folds the changes of each group into a store: it subtracts the old value and adds the new one, in this order. The
// aggregate's time is the largest of those that took part (D-67).
func TableAggregate[K, V, A any](name string, s *Store, fold TableFold[K, V, A]) *topology.Node {
	return processor(name, []string{s.Name}, func(e env, down topology.Emit[K, state.Change[A]]) (topology.Emit[K, state.Change[V]], func() error, error) {
		w, err := openWriter(e, s, down)
		if err != nil {
			return nil, nil, err
		}
		nilableKey, fold := nilable[K](), fold
		fold.private = e.scope.Guarded()
		return func(r topology.Record[K, state.Change[V]]) {
			if !hasKey(&r, nilableKey) || !r.HasValue() {
				e.failed(errNullChange)
				return
			}
			e.failed(fold.take(w, &r))
		}, w.flush(), nil
	})
}

var errNullChange = errors.New("a change of a grouped table has a null key or value; its repartition topic was written by somebody else")

func (f *TableFold[K, V, A]) take(w *writer[K, A], r *topology.Record[K, state.Change[V]]) error {
	at, err := w.rows.At(r.Key)
	if err != nil {
		return err
	}
	var c state.Change[A]
	c.Latest = true
	if w.Uncached && w.old {
		old, ok, err := at.Copy()
		if err != nil {
			return err
		}
		if ok {
			c.Old = serde.Some(old)
		}
	}
	agg, keep, t, err := f.apply(at, r)
	switch {
	case err != nil:
	case !keep:
		err = at.Delete(r.Timestamp, r.Headers)
	case f.Shared, f.private:
		err = at.SetShared(agg, t, r.Headers)
	default:
		err = at.Set(agg, t, r.Headers)
	}
	if err != nil || !w.Uncached {
		return err
	}
	if keep {
		if agg, _, err = at.Copy(); err != nil { // the store's own object is not to be forwarded
			return err
		}
		c.New = serde.Some(agg)
	}
	w.forward(r.Key, c, t, r.Headers)
	return nil
}

func (f *TableFold[K, V, A]) apply(at state.Entry[K, A], r *topology.Record[K, state.Change[V]]) (agg A, keep bool, t int64, err error) {
	if f.private {
		agg, keep, err = at.Copy()
	} else {
		agg, keep = at.Value()
	}
	if err != nil {
		return agg, false, 0, err
	}
	t = r.Timestamp
	if keep { // it takes part, even if subtracting leaves nothing of it
		t = max(t, at.Timestamp())
	}
	if v, ok := r.Value.Old.Get(); ok && keep {
		agg, keep = f.Subtract(r.Key, v, agg)
	}
	if v, ok := r.Value.New.Get(); ok {
		agg, keep = f.Add(r.Key, v, agg, keep)
	}
	return agg, keep, t, nil
}
