//go:build go1.27

package stream

import (
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream/internal/operator"
	"github.com/millrace-io/millrace/stream/internal/plan"
	"github.com/millrace-io/millrace/stream/window"
	"github.com/millrace-io/millrace/topology"
)

// The operators that change a type, as methods. Each one is the function of that name, which says what it does.

// MapValues is the function [MapValues].
func (s KStream[K, V]) MapValues[R any](f func(value V) R, opts ...StepOption) KStream[K, R] {
	return MapValues(s, f, opts...)
}

// MapValuesWithKey is the function [MapValuesWithKey].
func (s KStream[K, V]) MapValuesWithKey[R any](f func(key K, value V) R, opts ...StepOption) KStream[K, R] {
	return MapValuesWithKey(s, f, opts...)
}

// Map is the function [Map].
func (s KStream[K, V]) Map[K2, V2 any](f func(key K, value V) (K2, V2), opts ...StepOption) KStream[K2, V2] {
	return Map(s, f, opts...)
}

// SelectKey is the function [SelectKey].
func (s KStream[K, V]) SelectKey[K2 any](f func(key K, value V) K2, opts ...StepOption) KStream[K2, V] {
	return SelectKey(s, f, opts...)
}

// FlatMap is the function [FlatMap].
func (s KStream[K, V]) FlatMap[K2, V2 any](f func(key K, value V, emit func(K2, V2)), opts ...StepOption) KStream[K2, V2] {
	return FlatMap(s, f, opts...)
}

// FlatMapValues is the function [FlatMapValues].
func (s KStream[K, V]) FlatMapValues[R any](f func(value V, emit func(R)), opts ...StepOption) KStream[K, R] {
	return FlatMapValues(s, f, opts...)
}

// FlatMapValuesWithKey is the function [FlatMapValuesWithKey].
func (s KStream[K, V]) FlatMapValuesWithKey[R any](f func(key K, value V, emit func(R)), opts ...StepOption) KStream[K, R] {
	return FlatMapValuesWithKey(s, f, opts...)
}

// ToTable is the function [ToTable].
func (s KStream[K, V]) ToTable(opts ...ToTableOption) KTable[K, V] { return ToTable(s, opts...) }

// GroupByKey is the function [GroupByKey].
func (s KStream[K, V]) GroupByKey(grouped ...Grouped[K, V]) GroupedStream[K, V] {
	return GroupByKey(s, grouped...)
}

// GroupBy is the function [GroupBy].
func (s KStream[K, V]) GroupBy[K2 any](f func(key K, value V) K2, g Grouped[K2, V]) GroupedStream[K2, V] {
	return GroupBy(s, f, g)
}

// Process is the function [Process].
func (s KStream[K, V]) Process[P topology.Processor[K, V, K2, V2], K2, V2 any](newProcessor func() P, opts ...ProcessOption) KStream[K2, V2] {
	return Process(s, newProcessor, opts...)
}

// ProcessValues is the function [ProcessValues].
func (s KStream[K, V]) ProcessValues[P ValueProcessor[K, V, R], R any](newProcessor func() P, opts ...ProcessOption) KStream[K, R] {
	return ProcessValues(s, newProcessor, opts...)
}

// Join is the function [Join].
func (s KStream[K, V]) Join[W, R any](
	right KStream[K, W], join func(left V, right W) R, w window.Join, joined ...StreamJoined[K, V, W],
) KStream[K, R] {
	return Join(s, right, join, w, joined...)
}

// LeftJoin is the function [LeftJoin].
func (s KStream[K, V]) LeftJoin[W, R any](
	right KStream[K, W], join func(left V, right serde.Maybe[W]) R, w window.Join, joined ...StreamJoined[K, V, W],
) KStream[K, R] {
	return LeftJoin(s, right, join, w, joined...)
}

// OuterJoin is the function [OuterJoin].
func (s KStream[K, V]) OuterJoin[W, R any](
	right KStream[K, W], join func(left serde.Maybe[V], right serde.Maybe[W]) R, w window.Join, joined ...StreamJoined[K, V, W],
) KStream[K, R] {
	return OuterJoin(s, right, join, w, joined...)
}

// JoinWithKey is the function [JoinWithKey].
func (s KStream[K, V]) JoinWithKey[W, R any](
	right KStream[K, W], join func(key K, left V, right W) R, w window.Join, joined ...StreamJoined[K, V, W],
) KStream[K, R] {
	return JoinWithKey(s, right, join, w, joined...)
}

// LeftJoinWithKey is the function [LeftJoinWithKey].
func (s KStream[K, V]) LeftJoinWithKey[W, R any](
	right KStream[K, W], join func(key K, left V, right serde.Maybe[W]) R, w window.Join, joined ...StreamJoined[K, V, W],
) KStream[K, R] {
	return LeftJoinWithKey(s, right, join, w, joined...)
}

// OuterJoinWithKey is the function [OuterJoinWithKey].
func (s KStream[K, V]) OuterJoinWithKey[W, R any](
	right KStream[K, W], join func(key K, left serde.Maybe[V], right serde.Maybe[W]) R, w window.Join, joined ...StreamJoined[K, V, W],
) KStream[K, R] {
	return OuterJoinWithKey(s, right, join, w, joined...)
}

// JoinTable is the function [JoinTable].
func (s KStream[K, V]) JoinTable[W, R any](t KTable[K, W], join func(value V, row W) R, opts ...StreamJoinOption) KStream[K, R] {
	return JoinTable(s, t, join, opts...)
}

// LeftJoinTable is the function [LeftJoinTable].
func (s KStream[K, V]) LeftJoinTable[W, R any](t KTable[K, W], join func(value V, row serde.Maybe[W]) R, opts ...StreamJoinOption) KStream[K, R] {
	return LeftJoinTable(s, t, join, opts...)
}

// JoinTableWithKey is the function [JoinTableWithKey].
func (s KStream[K, V]) JoinTableWithKey[W, R any](t KTable[K, W], join func(key K, value V, row W) R, opts ...StreamJoinOption) KStream[K, R] {
	return JoinTableWithKey(s, t, join, opts...)
}

// LeftJoinTableWithKey is the function [LeftJoinTableWithKey].
func (s KStream[K, V]) LeftJoinTableWithKey[W, R any](
	t KTable[K, W], join func(key K, value V, row serde.Maybe[W]) R, opts ...StreamJoinOption,
) KStream[K, R] {
	return LeftJoinTableWithKey(s, t, join, opts...)
}

// JoinGlobal is the function [JoinGlobal].
func (s KStream[K, V]) JoinGlobal[GK, GV, R any](
	t GlobalKTable[GK, GV], key func(key K, value V) GK, join func(value V, row GV) R, opts ...StepOption,
) KStream[K, R] {
	return JoinGlobal(s, t, key, join, opts...)
}

// LeftJoinGlobal is the function [LeftJoinGlobal].
func (s KStream[K, V]) LeftJoinGlobal[GK, GV, R any](
	t GlobalKTable[GK, GV], key func(key K, value V) GK, join func(value V, row serde.Maybe[GV]) R, opts ...StepOption,
) KStream[K, R] {
	return LeftJoinGlobal(s, t, key, join, opts...)
}

// JoinGlobalWithKey is the function [JoinGlobalWithKey].
func (s KStream[K, V]) JoinGlobalWithKey[GK, GV, R any](
	t GlobalKTable[GK, GV], key func(key K, value V) GK, join func(key K, value V, row GV) R, opts ...StepOption,
) KStream[K, R] {
	return JoinGlobalWithKey(s, t, key, join, opts...)
}

// LeftJoinGlobalWithKey is the function [LeftJoinGlobalWithKey].
func (s KStream[K, V]) LeftJoinGlobalWithKey[GK, GV, R any](
	t GlobalKTable[GK, GV], key func(key K, value V) GK, join func(key K, value V, row serde.Maybe[GV]) R, opts ...StepOption,
) KStream[K, R] {
	return LeftJoinGlobalWithKey(s, t, key, join, opts...)
}

// Aggregate is the function [Aggregate].
func (g GroupedStream[K, V]) Aggregate[A any](
	init func() A, add func(key K, value V, aggregate A) A, m Store[A], opts ...AggregateOption,
) KTable[K, A] {
	return Aggregate(g, init, add, m, opts...)
}

// Cogroup is the function [Cogroup].
func (g GroupedStream[K, V]) Cogroup[A any](add func(key K, value V, aggregate A) A) CogroupedStream[K, A] {
	return Cogroup(g, add)
}

// Aggregate is the function [AggregateWindows].
func (w WindowedStream[K, V]) Aggregate[A any](
	init func() A, add func(key K, value V, aggregate A) A, m Store[A], opts ...AggregateOption,
) WindowedTable[K, A] {
	return AggregateWindows(w, init, add, m, opts...)
}

// Aggregate is the function [AggregateSessions].
func (w SessionStream[K, V]) Aggregate[A any](
	init func() A, add func(key K, value V, aggregate A) A, merge func(key K, a, b A) A, m Store[A], opts ...AggregateOption,
) WindowedTable[K, A] {
	return AggregateSessions(w, init, add, merge, m, opts...)
}

// MapValues is the function [MapTable].
func (t KTable[K, V]) MapValues[R any](f func(row V) R, opts ...TableOption) KTable[K, R] {
	return MapTable(t, f, opts...)
}

// MapValuesWithKey is the function [MapTableWithKey].
func (t KTable[K, V]) MapValuesWithKey[R any](f func(key K, row V) R, opts ...TableOption) KTable[K, R] {
	return MapTableWithKey(t, f, opts...)
}

// TransformValues is the function [TransformTable].
func (t KTable[K, V]) TransformValues[T RowTransformer[K, V, R], R any](newTransformer func() T, opts ...TransformOption) KTable[K, R] {
	return TransformTable(t, newTransformer, opts...)
}

// ToStreamBy is the function [ToStreamBy].
func (t KTable[K, V]) ToStreamBy[K2 any](f func(key K, row V) K2, opts ...StepOption) KStream[K2, V] {
	return ToStreamBy(t, f, opts...)
}

// GroupBy is the function [GroupTable].
func (t KTable[K, V]) GroupBy[K2, V2 any](f func(key K, row V) (K2, V2), g Grouped[K2, V2]) GroupedTable[K2, V2] {
	return GroupTable(t, f, g)
}

// Join is the function [JoinTables].
func (t KTable[K, V]) Join[W, R any](right KTable[K, W], join func(left V, right W) R, opts ...TableOption) KTable[K, R] {
	return JoinTables(t, right, join, opts...)
}

// LeftJoin is the function [LeftJoinTables].
func (t KTable[K, V]) LeftJoin[W, R any](right KTable[K, W], join func(left V, right serde.Maybe[W]) R, opts ...TableOption) KTable[K, R] {
	return LeftJoinTables(t, right, join, opts...)
}

// OuterJoin is the function [OuterJoinTables].
func (t KTable[K, V]) OuterJoin[W, R any](
	right KTable[K, W], join func(left serde.Maybe[V], right serde.Maybe[W]) R, opts ...TableOption,
) KTable[K, R] {
	return OuterJoinTables(t, right, join, opts...)
}

// JoinForeign is the function [JoinForeign].
func (t KTable[K, V]) JoinForeign[FK, W, R any](
	right KTable[FK, W], foreign func(key K, row V) FK, join func(left V, right W) R, opts ...ForeignOption,
) KTable[K, R] {
	return JoinForeign(t, right, foreign, join, opts...)
}

// LeftJoinForeign is the function [LeftJoinForeign].
func (t KTable[K, V]) LeftJoinForeign[FK, W, R any](
	right KTable[FK, W], foreign func(key K, row V) FK, join func(left V, right serde.Maybe[W]) R, opts ...ForeignOption,
) KTable[K, R] {
	return LeftJoinForeign(t, right, foreign, join, opts...)
}

// Aggregate is the function [AggregateTable].
func (g GroupedTable[K, V]) Aggregate[A any](
	init func() A, add, subtract func(key K, value V, aggregate A) A, m Store[A], opts ...AggregateOption,
) KTable[K, A] {
	return AggregateTable(g, init, add, subtract, m, opts...)
}

// MapValues is the function [MapWindows].
func (t WindowedTable[K, V]) MapValues[R any](f func(row V) R, opts ...TableOption) WindowedTable[K, R] {
	return MapWindows(t, f, opts...)
}

// ToStream is [ToStream] with a new key and value, f(key and window, row). The rows that were deleted are dropped and counted, unless V can hold
// nil. An aggregation below goes through a repartition topic.
func (t WindowedTable[K, V]) ToStream[K2, V2 any](f func(window.Windowed[K], V) (K2, V2), opts ...StepOption) KStream[K2, V2] {
	name := t.b.step(plan.ToStream, opts)
	changes := t.b.plan.Add(operator.ToStream[window.Windowed[K], V](name), t.node)
	name = t.b.plan.Name("", plan.Map)
	t.b.require(name, f != nil, "the function is nil")
	return KStream[K2, V2]{b: t.b, node: t.b.plan.Add(operator.Map(name, f), changes).Rekeys(), rekeyed: true}
}
