package operator

import (
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// TableSource makes a table of records: the last one of a key is its row, one with a null value deletes it, one with a null key is
// dropped (D-02). The row has the record's own time, also if that is older than the time of the row that it replaces.
//
// It has no store, and then passes every record on, until somebody asks for old or current rows: then it calls
// declare, which adds the store s to the plan.
func TableSource[K, V any](name string, s *Store, declare func()) (*topology.Node, *Table[K, V]) {
	var n *topology.Node
	materialise := func() {
		if len(n.Stores) == 0 {
			n.Stores = []string{s.Name}
			declare()
		}
	}
	n = processor(name, nil, func(e env, down topology.Emit[K, state.Change[V]]) (topology.Emit[K, V], func() error, error) {
		if len(n.Stores) == 0 {
			return unstored(e, down), nil, nil
		}
		return keepRows(e, s, down)
	})
	t := &Table[K, V]{Versioned: s.Versioned, History: s.History}
	t.AskOld = func(force bool) bool {
		if len(n.Stores) == 0 {
			if !force {
				return false
			}
			materialise()
		}
		return s.askOld(force)
	}
	t.View = func() View[K, V] {
		materialise()
		return storedView[K, V](s)
	}
	return n, t
}

// Materialise gives a table its store, whether or not somebody asks for it.
func (t *Table[K, V]) Materialise() { t.View() }

// unstored makes each record a change, for a table without a store.
func unstored[K, V any](e env, down topology.Emit[K, state.Change[V]]) topology.Emit[K, V] {
	nilableKey, nilableValue := nilable[K](), nilable[V]()
	return func(r topology.Record[K, V]) {
		if !hasKey(&r, nilableKey) {
			e.drop(topology.ReasonNullKey)
			return
		}
		down(change(&r, state.Change[V]{New: value(&r, nilableValue), Latest: true}))
	}
}

func keepRows[K, V any](e env, s *Store, down topology.Emit[K, state.Change[V]]) (topology.Emit[K, V], func() error, error) {
	w, err := openWriter(e, s, down)
	if err != nil {
		return nil, nil, err
	}
	nilableKey, nilableValue := nilable[K](), nilable[V]()
	return func(r topology.Record[K, V]) {
		if !hasKey(&r, nilableKey) {
			e.drop(topology.ReasonNullKey)
			return
		}
		e.failed(w.put(r.Key, value(&r, nilableValue), r.Timestamp, r.Headers))
	}, w.flush(), nil
}

// value returns the value of r, absent if it is null.
func value[K, V any](r *topology.Record[K, V], nilable bool) serde.Maybe[V] {
	if !hasValue(r, nilable) {
		return serde.None[V]()
	}
	return serde.Some(r.Value)
}
