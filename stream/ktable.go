package stream

import (
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream/internal/operator"
	"github.com/millrace-io/millrace/stream/internal/plan"
)

// KTable is a table: one row per key, which changes. Between table operators flow changes, of which there is at most one per key
// and commit, with the value after the last of the updates.
type KTable[K, V any] struct {
	b     *Builder
	node  *plan.Node
	key   serde.Serde[K]
	value serde.Serde[V]
}

// ToStream returns the changes of the table as a stream: the new value of a row, or null if the row is gone.
func (t KTable[K, V]) ToStream(opts ...StepOption) KStream[K, V] {
	name := t.b.step(plan.ToStream, opts)
	return KStream[K, V]{b: t.b, node: t.b.plan.Add(operator.ToStream[K, V](name), t.node), key: t.key, value: t.value}
}
