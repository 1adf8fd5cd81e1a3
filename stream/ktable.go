package stream

import (
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream/internal/operator"
	"github.com/millrace-io/millrace/stream/internal/plan"
)

// KTable is a table: one row per key, which changes. Between table operators flow changes. A table that has a store passes on at
// most one change per key and commit, with the row after the last of the updates; one without passes on each update. A row has
// no null value: null is the absence of the row.
//
// Tables are lazy. One that is read from a topic ([Table], [ToTable]), or made of another one by [KTable.Filter] or
// [MapTable], has no store until it is given one ([Materialized]), or until an operator below needs its old or current rows: then
// the nearest table above that is read from a topic gets a store, and the steps in between are computed again on the fly.
type KTable[K, V any] struct {
	b     *Builder
	node  *plan.Node
	key   serde.Serde[K]
	value serde.Serde[V]
	table *operator.Table[K, V]
}

// ToStream returns the changes of the table as a stream: the new value of a row, or null if the row is gone.
func (t KTable[K, V]) ToStream(opts ...StepOption) KStream[K, V] {
	name := t.b.step(plan.ToStream, opts)
	return KStream[K, V]{b: t.b, node: t.b.plan.Add(operator.ToStream[K, V](name), t.node), key: t.key, value: t.value}
}
