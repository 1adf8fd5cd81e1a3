package operator

import (
	"slices"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// Join says what two tables make of a pair of rows.
type Join[V, W, R any] struct {
	join                  func(serde.Maybe[V], serde.Maybe[W]) R
	needsLeft, needsRight bool // there is no result without this side's row
	nilableResult         bool
}

// InnerJoin has a result where both sides have a row (D-123).
func InnerJoin[V, W, R any](join func(V, W) R) *Join[V, W, R] {
	return &Join[V, W, R]{needsLeft: true, needsRight: true, nilableResult: nilable[R](), join: func(l serde.Maybe[V], r serde.Maybe[W]) R {
		v, _ := l.Get()
		w, _ := r.Get()
		return join(v, w)
	}}
}

// LeftJoin has a result where the left side has a row (D-124).
func LeftJoin[V, W, R any](join func(V, serde.Maybe[W]) R) *Join[V, W, R] {
	return &Join[V, W, R]{needsLeft: true, nilableResult: nilable[R](), join: func(l serde.Maybe[V], r serde.Maybe[W]) R {
		v, _ := l.Get()
		return join(v, r)
	}}
}

// OuterJoin has a result where either side has a row (D-125).
func OuterJoin[V, W, R any](join func(serde.Maybe[V], serde.Maybe[W]) R) *Join[V, W, R] {
	return &Join[V, W, R]{nilableResult: nilable[R](), join: join}
}

func (j *Join[V, W, R]) row(l serde.Maybe[V], r serde.Maybe[W]) serde.Maybe[R] {
	switch {
	case j.needsLeft && !l.Present(), j.needsRight && !r.Present(), !l.Present() && !r.Present():
		return serde.None[R]()
	}
	return present(j.join(l, r), j.nilableResult)
}

// JoinedTables are the nodes of a join of two tables: one for the changes of each side, and one in which the results meet.
type JoinedTables[K, R any] struct {
	This, Other, Merge *topology.Node
	Table              *Table[K, R]
}

// TableJoin joins two tables by key. A change of either side is joined with the other side's current row; the time of the result is
// the larger of the two (D-127). Old results are computed anew from old values (D-126), so the joiner must be deterministic.
func TableJoin[K, V, W, R any](this, other, merge string, j *Join[V, W, R], left *Table[K, V], right *Table[K, W], s *Store) JoinedTables[K, R] {
	if !j.needsRight {
		left.AskOld(true)
	}
	if !j.needsLeft {
		right.AskOld(true)
	}
	leftRows, rightRows := left.View(), right.View()
	old := new(bool)
	t := JoinedTables[K, R]{
		This: tableSide(this, left, rightRows, old, j.needsRight, j.row),
		Other: tableSide(other, right, leftRows, old, j.needsLeft, func(r serde.Maybe[W], l serde.Maybe[V]) serde.Maybe[R] {
			return j.row(l, r)
		}),
	}
	t.Merge = mergeJoined[K, R](merge, s)
	askOld := func(force bool) bool {
		if s != nil {
			s.askOld(force)
		}
		left.AskOld(true)
		right.AskOld(true)
		*old = true
		return true
	}
	t.Table = &Table[K, R]{AskOld: askOld, View: func() View[K, R] {
		if s != nil {
			return storedView[K, R](s)
		}
		return joinedView(leftRows, rightRows, j)
	}, Versioned: s != nil && s.Versioned}
	return t
}

// tableSide joins the changes of one table with the rows of the other. required: no result without the other's row.
func tableSide[K, V, W, R any](
	name string, table *Table[K, V], rows View[K, W], old *bool, required bool, row func(serde.Maybe[V], serde.Maybe[W]) serde.Maybe[R],
) *topology.Node {
	return processor(name, rows.Stores, func(e env, down topology.Emit[K, state.Change[R]]) (topology.Emit[K, state.Change[V]], func() error, error) {
		get, err := rows.open(e)
		nilableKey := nilable[K]()
		return func(r topology.Record[K, state.Change[V]]) {
			if !hasKey(&r, nilableKey) {
				e.drop(topology.ReasonNullKey)
				return
			}
			if table.Versioned && !r.Value.Latest {
				e.drop(topology.ReasonOutOfOrder)
				return
			}
			other, t, err := get(r.Key)
			if err != nil {
				e.failed(err)
				return
			}
			if !other.Present() && (required || !r.Value.New.Present() && !r.Value.Old.Present()) {
				return
			}
			c := state.Change[R]{New: row(r.Value.New, other), Latest: r.Value.Latest}
			if *old {
				c.Old = row(r.Value.Old, other)
			}
			out := change(&r, c)
			if other.Present() {
				out.Timestamp = max(out.Timestamp, t)
			}
			down(out)
		}, nil, err
	})
}

func mergeJoined[K, R any](name string, s *Store) *topology.Node {
	if s == nil {
		return Pass[K, state.Change[R]](name)
	}
	return processor(name, []string{s.Name}, func(e env, down topology.Emit[K, state.Change[R]]) (topology.Emit[K, state.Change[R]], func() error, error) {
		w, err := openWriter(e, s, down)
		if err != nil {
			return nil, nil, err
		}
		return func(r topology.Record[K, state.Change[R]]) {
			e.failed(w.putChange(r.Key, r.Value, r.Timestamp, r.Headers))
		}, w.flush(), nil
	})
}

// joinedView computes joined rows on the fly.
func joinedView[K, V, W, R any](left View[K, V], right View[K, W], j *Join[V, W, R]) View[K, R] {
	stores := slices.Concat(left.Stores, right.Stores)
	slices.Sort(stores)
	return View[K, R]{Stores: slices.Compact(stores), open: func(e env) (Get[K, R], error) {
		leftRow, err := left.open(e)
		if err != nil {
			return nil, err
		}
		rightRow, err := right.open(e)
		return func(key K) (serde.Maybe[R], int64, error) {
			l, t, err := leftRow(key)
			if err != nil || j.needsLeft && !l.Present() {
				return serde.None[R](), -1, err
			}
			r, u, err := rightRow(key)
			return j.row(l, r), max(t, u), err
		}, err
	}}
}
