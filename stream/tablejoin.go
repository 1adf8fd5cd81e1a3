package stream

import (
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream/internal/operator"
	"github.com/millrace-io/millrace/stream/internal/plan"
)

// JoinTables joins two tables by key: where both have a row, the result is join(left, right). A change of either side makes a change
// of the result; if a row of either side goes, so does the result. Its time is the larger of the changed row's and the
// other's; its headers are the change's.
//
// Both tables get stores if their rows are not stored above, and their topics must have equal partition counts. The result
// has a store only if it is given one. A delete is passed on also for a result that never was, but not where the rows of both sides go
// within one commit: a reader of the results then keeps the last one, as in Kafka Streams. Without a store, join is
// called again where somebody needs old or current rows, so it must be deterministic. For an R that can hold nil, returning nil
// means that there is no row. It stands for Kafka Streams' KTable.join.
func JoinTables[K, V, W, R any](left KTable[K, V], right KTable[K, W], join func(left V, right W) R, opts ...TableOption) KTable[K, R] {
	return joinTables(left, right, operator.InnerJoin(join), join != nil, opts)
}

// LeftJoinTables is [JoinTables] with a result for each row of the left table: right is absent where the right table has none.
// It stands for Kafka Streams' KTable.leftJoin.
func LeftJoinTables[K, V, W, R any](
	left KTable[K, V], right KTable[K, W], join func(left V, right serde.Maybe[W]) R, opts ...TableOption,
) KTable[K, R] {
	return joinTables(left, right, operator.LeftJoin(join), join != nil, opts)
}

// OuterJoinTables is [JoinTables] with a result for each key of which either table has a row: the other is absent where there is
// none. It stands for Kafka Streams' KTable.outerJoin.
func OuterJoinTables[K, V, W, R any](
	left KTable[K, V], right KTable[K, W], join func(left serde.Maybe[V], right serde.Maybe[W]) R, opts ...TableOption,
) KTable[K, R] {
	return joinTables(left, right, operator.OuterJoin(join), join != nil, opts)
}

func joinTables[K, V, W, R any](left KTable[K, V], right KTable[K, W], j *operator.Join[V, W, R], given bool, opts []TableOption) KTable[K, R] {
	b := left.b
	m := tableOptions(b, serde.Serde[R](nil), opts)
	if m.stored {
		m.name = b.plan.StoreName(m.name, plan.TableMerge)
	}
	merge := b.plan.Name(m.given, plan.TableMerge)
	this, other := b.plan.Suffixed(m.given, "-join-this", plan.JoinThis), b.plan.Suffixed(m.given, "-join-other", plan.JoinOther)
	b.require(merge, given, "the joiner is nil")
	b.require(merge, right.b == b, "a table of another builder is given to it")
	joined := operator.TableJoin(this, other, merge, j, left.table, right.table, keep(b, merge, left.key, m))
	b.plan.Copartition(left.node, right.node)
	l, r := b.plan.Add(joined.This, left.node), b.plan.Add(joined.Other, right.node)
	node := b.plan.Add(joined.Merge, l, r)
	key := left.key
	if key == nil {
		key = right.key
	}
	return KTable[K, R]{b: b, node: node, key: key, value: m.value, table: joined.Table}
}
