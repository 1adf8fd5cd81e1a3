package operator

import (
	"slices"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// row computes a row of a table from the row of its parent, for filters and maps.
type row[K, V, R any] func(key K, parent serde.Maybe[V]) (serde.Maybe[R], error)

// derivation is a table that is computed row by row from another one.
type derivation[K, V, R any] struct {
	parent  *Table[K, V]
	store   *Store // nil: not materialised
	stores  []string
	swallow bool // a change in which there is no row before nor after is left out
	old     bool // old values are computed
	open    func(env) (row[K, V, R], error)
}

// TableFilter keeps the rows for which keep returns want (D-40). A row that stops to pass becomes a delete. If the parent has
// old values anyway, a change between two rows that do not pass is left out; else a delete is passed on for each row that does
// not pass, also if none ever did.
func TableFilter[K, V any](name string, keep func(K, V) bool, want bool, s *Store, parent *Table[K, V]) (*topology.Node, *Table[K, V]) {
	d := &derivation[K, V, V]{parent: parent, store: s, swallow: !parent.Versioned, old: parent.AskOld(false)}
	d.pure(func(k K, v serde.Maybe[V]) serde.Maybe[V] {
		if x, ok := v.Get(); !ok || keep(k, x) != want {
			return serde.None[V]()
		}
		return v
	})
	return d.node(name)
}

// TableMapValues replaces each row by f(key, row); f is not called for deletes (D-41).
func TableMapValues[K, V, R any](name string, f func(K, V) R, s *Store, parent *Table[K, V]) (*topology.Node, *Table[K, R]) {
	d := &derivation[K, V, R]{parent: parent, store: s}
	nilableResult := nilable[R]()
	d.pure(func(k K, v serde.Maybe[V]) serde.Maybe[R] {
		x, ok := v.Get()
		if !ok {
			return serde.None[R]()
		}
		return present(f(k, x), nilableResult)
	})
	return d.node(name)
}

// Transformer computes rows in one task.
type Transformer[K, V, R any] struct {
	Transform func(key K, row serde.Maybe[V]) (serde.Maybe[R], error)
	Close     func() error // may be nil
}

// TableTransform replaces each row by what a transformer with state makes of it; it is called for deletes too (D-42). open
// makes one for each task, and one more for each table below that looks rows up through this one.
func TableTransform[K, V, R any](
	name string, open func(topology.Scope, *topology.Node) (Transformer[K, V, R], error), stores []string, s *Store, parent *Table[K, V],
) (*topology.Node, *Table[K, R]) {
	d := &derivation[K, V, R]{parent: parent, store: s, stores: stores}
	nilableResult := nilable[R]()
	n, table := d.node(name)
	d.open = func(e env) (row[K, V, R], error) {
		t, err := open(e.scope, n)
		if err != nil {
			return nil, err
		}
		e.atClose(t.Close)
		return func(k K, v serde.Maybe[V]) (serde.Maybe[R], error) {
			out, err := t.Transform(k, v)
			if x, ok := out.Get(); ok && nilableResult && isNil(x) {
				out = serde.None[R]()
			}
			return out, err
		}, nil
	}
	return n, table
}

// pure makes f, which has no state, compute the rows.
func (d *derivation[K, V, R]) pure(f func(K, serde.Maybe[V]) serde.Maybe[R]) {
	compute := func(k K, v serde.Maybe[V]) (serde.Maybe[R], error) { return f(k, v), nil }
	d.open = func(env) (row[K, V, R], error) { return compute, nil }
}

func (d *derivation[K, V, R]) node(name string) (*topology.Node, *Table[K, R]) {
	stores := slices.Clone(d.stores)
	if d.store != nil {
		stores = append(stores, d.store.Name)
	}
	n := processor(name, stores, d.build)
	return n, d.table()
}

func (d *derivation[K, V, R]) build(
	e env, down topology.Emit[K, state.Change[R]],
) (topology.Emit[K, state.Change[V]], func() error, error) {
	compute, err := d.open(e)
	if err != nil {
		return nil, nil, err
	}
	if d.store == nil {
		return func(r topology.Record[K, state.Change[V]]) { e.failed(d.take(&r, compute, nil, down)) }, nil, nil
	}
	w, err := openWriter(e, d.store, down)
	if err != nil {
		return nil, nil, err
	}
	return func(r topology.Record[K, state.Change[V]]) { e.failed(d.take(&r, compute, w, down)) }, w.flush(), nil
}

func (d *derivation[K, V, R]) take(
	r *topology.Record[K, state.Change[V]], compute row[K, V, R], w *writer[K, R], down topology.Emit[K, state.Change[R]],
) error {
	c := state.Change[R]{Latest: r.Value.Latest}
	var err error
	if c.New, err = compute(r.Key, r.Value.New); err != nil {
		return err
	}
	switch {
	case w == nil && d.old:
		c.Old, err = compute(r.Key, r.Value.Old)
	case w != nil && d.old && d.swallow:
		c.Old, err = w.get(r.Key)
	}
	if err != nil || d.swallow && d.old && !c.New.Present() && !c.Old.Present() {
		return err
	}
	if w != nil {
		return w.put(r.Key, c.New, r.Timestamp, r.Headers)
	}
	down(change(r, c))
	return nil
}

func (d *derivation[K, V, R]) table() *Table[K, R] {
	if d.store != nil {
		t := StoredTable[K, R](d.store)
		t.AskOld = func(force bool) bool {
			d.old = true
			return d.store.askOld(force)
		}
		return t
	}
	return &Table[K, R]{
		Versioned: d.parent.Versioned,
		History:   d.parent.History,
		AskOld: func(force bool) bool {
			d.old = d.old || d.parent.AskOld(force)
			return d.old
		},
		View: func() View[K, R] { return d.view(d.parent.View()) },
	}
}

// view computes rows on the fly from the parent's.
func (d *derivation[K, V, R]) view(parent View[K, V]) View[K, R] {
	v := View[K, R]{Stores: slices.Concat(parent.Stores, d.stores)}
	v.open = func(e env) (Get[K, R], error) {
		get, err := parent.open(e)
		if err != nil {
			return nil, err
		}
		compute, err := d.open(e)
		return func(key K) (serde.Maybe[R], int64, error) {
			row, timestamp, err := get(key)
			if err != nil {
				return serde.None[R](), -1, err
			}
			out, err := compute(key, row)
			return out, timestamp, err
		}, err
	}
	if parent.asOf == nil {
		return v
	}
	v.asOf = func(e env) (GetAsOf[K, R], error) {
		get, err := parent.asOf(e)
		if err != nil {
			return nil, err
		}
		compute, err := d.open(e)
		return func(key K, at int64) (serde.Maybe[R], error) {
			row, err := get(key, at)
			if err != nil {
				return serde.None[R](), err
			}
			return compute(key, row)
		}, err
	}
	return v
}
