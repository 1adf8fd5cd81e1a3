package stream

import (
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream/internal/operator"
	"github.com/millrace-io/millrace/stream/internal/plan"
)

// Filter keeps the rows for which keep returns true; keep is not called for deletes. A row that does not pass any more becomes
// a delete. Time and headers are those of the change.
//
// A filter without a store cannot know whether a row that does not pass did pass before: below a table without a store it passes
// on a delete for each row that does not pass. Where the table above has a store, a change between two rows that do
// not pass is left out. It stands for Kafka Streams' KTable.filter.
func (t KTable[K, V]) Filter(keep func(key K, row V) bool, opts ...TableOption) KTable[K, V] {
	return KTable[K, V](filterRows(rows[K, V](t), keep, true, opts))
}

// FilterNot is [KTable.Filter] for the rows for which drop returns false.
func (t KTable[K, V]) FilterNot(drop func(key K, row V) bool, opts ...TableOption) KTable[K, V] {
	return KTable[K, V](filterRows(rows[K, V](t), drop, false, opts))
}

func filterRows[K, V any](t rows[K, V], p func(K, V) bool, want bool, opts []TableOption) rows[K, V] {
	m := tableOptions(t.b, t.value, opts)
	name := t.b.plan.Name(m.given, plan.TableFilter)
	t.b.require(name, p != nil, "the predicate is nil")
	n, table := operator.TableFilter(name, p, want, keep(t.b, name, t.key, m), t.table)
	return rows[K, V]{b: t.b, node: t.b.plan.Add(n, t.node), key: t.key, value: m.value, table: table}
}

// MapTable replaces each row of a table by f(row); f is not called for deletes. For an R that can hold nil, returning nil means
// that there is no row. Time and headers are those of the change. Without a store, f is called again wherever somebody needs
// current or old rows: it must be deterministic. It stands for Kafka Streams' KTable.mapValues.
func MapTable[K, V, R any](t KTable[K, V], f func(row V) R, opts ...TableOption) KTable[K, R] {
	return KTable[K, R](mapRows(rows[K, V](t), func(_ K, v V) R { return f(v) }, f != nil, opts))
}

// MapTableWithKey is [MapTable] with a function that sees the key as well.
func MapTableWithKey[K, V, R any](t KTable[K, V], f func(key K, row V) R, opts ...TableOption) KTable[K, R] {
	return KTable[K, R](mapRows(rows[K, V](t), f, f != nil, opts))
}

func mapRows[K, V, R any](t rows[K, V], f func(K, V) R, given bool, opts []TableOption) rows[K, R] {
	m := tableOptions(t.b, serde.Serde[R](nil), opts)
	name := t.b.plan.Name(m.given, plan.TableMap)
	t.b.require(name, given, "the function is nil")
	n, table := operator.TableMapValues(name, f, keep(t.b, name, t.key, m), t.table)
	return rows[K, R]{b: t.b, node: t.b.plan.Add(n, t.node), key: t.key, value: m.value, table: table}
}

// ToStreamBy is [KTable.ToStream] with a new key, f(key, row). A delete is handed to f as nil where V can hold nil; else it is
// dropped and counted, since no key can be computed. An aggregation below goes through a repartition topic. It stands
// for Kafka Streams' KTable.toStream with a mapper.
func ToStreamBy[K, V, K2 any](t KTable[K, V], f func(key K, row V) K2, opts ...StepOption) KStream[K2, V] {
	return SelectKey(t.ToStream(opts...), f)
}
