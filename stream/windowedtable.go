package stream

import (
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream/internal/operator"
	"github.com/millrace-io/millrace/stream/internal/plan"
	"github.com/millrace-io/millrace/stream/window"
)

// WindowedTable is a table of one row per key and window: what a windowed aggregation gives. It stands for a KTable whose key
// is Windowed. [ToStream] is the way back to a stream, [AsTable] to a table with all of its operators.
type WindowedTable[K, V any] struct {
	b     *Builder
	node  *plan.Node
	key   serde.Serde[window.Windowed[K]]
	value serde.Serde[V]
	grace time.Duration // how long after its end a window may still change
	table *operator.Table[window.Windowed[K], V]
}

// rows is a table without its methods: operators that plain tables and tables of windows have in common are functions over it, since
// Go allows no way from a table of windows to a KTable of them (instantiation cycle).
type rows[K, V any] struct {
	b     *Builder
	node  *plan.Node
	key   serde.Serde[K]
	value serde.Serde[V]
	table *operator.Table[K, V]
}

func (t WindowedTable[K, V]) rows() rows[window.Windowed[K], V] {
	return rows[window.Windowed[K], V]{b: t.b, node: t.node, key: t.key, value: t.value, table: t.table}
}

// windows returns a table of windows that was made of another one.
func windows[K, V any](t rows[window.Windowed[K], V], grace time.Duration) WindowedTable[K, V] {
	return WindowedTable[K, V]{b: t.b, node: t.node, key: t.key, value: t.value, grace: grace, table: t.table}
}

// AsTable returns t as a table whose key is key and window together. When windows close is lost: suppress before it. It is a function
// because Go does not allow a method whose result's methods could lead back to it with a longer key.
func AsTable[K, V any](t WindowedTable[K, V]) KTable[window.Windowed[K], V] {
	return KTable[window.Windowed[K], V](t.rows())
}

// Filter is [KTable.Filter] for a table of windows.
func (t WindowedTable[K, V]) Filter(keep func(key window.Windowed[K], row V) bool, opts ...TableOption) WindowedTable[K, V] {
	return windows(filterRows(t.rows(), keep, true, opts), t.grace)
}

// FilterNot is [KTable.FilterNot] for a table of windows.
func (t WindowedTable[K, V]) FilterNot(drop func(key window.Windowed[K], row V) bool, opts ...TableOption) WindowedTable[K, V] {
	return windows(filterRows(t.rows(), drop, false, opts), t.grace)
}

// MapWindows is [MapTable] for a table of windows.
func MapWindows[K, V, R any](t WindowedTable[K, V], f func(row V) R, opts ...TableOption) WindowedTable[K, R] {
	return windows(mapRows(t.rows(), func(_ window.Windowed[K], v V) R { return f(v) }, f != nil, opts), t.grace)
}

// ToStream returns the changes of a windowed table as a stream: for each key and window whose row changed, the new value, or null
// if the row is gone. It is a function because Go does not allow a method whose result's methods could lead back to it with
// a longer key.
func ToStream[K, V any](t WindowedTable[K, V], opts ...StepOption) KStream[window.Windowed[K], V] {
	name := t.b.step(plan.ToStream, opts)
	node := t.b.plan.Add(operator.ToStream[window.Windowed[K], V](name), t.node)
	return KStream[window.Windowed[K], V]{b: t.b, node: node, key: t.key, value: t.value}
}
