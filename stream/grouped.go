package stream

import (
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream/internal/operator"
	"github.com/millrace-io/millrace/stream/internal/plan"
	"github.com/millrace-io/millrace/stream/window"
)

// Grouped says how a grouped stream is written to its repartition topic, if it needs one, and to the keys of its stores.
type Grouped[K, V any] struct {
	key   serde.Serde[K]
	value serde.Serde[V]
	name  string
}

// GroupedWith returns the serdes of a grouping. It stands for Kafka Streams' Grouped.
func GroupedWith[K, V any](key serde.Serde[K], value serde.Serde[V]) Grouped[K, V] {
	return Grouped[K, V]{key: key, value: value}
}

// Named names the grouping, and with it the repartition topic: "<application id>-<name>-repartition".
func (g Grouped[K, V]) Named(name string) Grouped[K, V] {
	g.name = name
	return g
}

// GroupedStream is a stream whose records are grouped by key, ready to be aggregated.
type GroupedStream[K, V any] struct {
	from    KStream[K, V]
	grouped Grouped[K, V]
	via     **plan.Node // the repartition that the aggregations of a named grouping share, once there is one
}

// GroupByKey groups the stream by its key. The serdes that the stream knows are used unless others are given. The stream goes
// through a repartition topic only if its key was changed.
//
// It is a function, as [GroupBy] is, and so is [ToTable], since a compiler compiles all methods of all streams of a program: aggregations,
// windows and tables, also for the streams that have none. That doubled the time to build a program.
func GroupByKey[K, V any](s KStream[K, V], grouped ...Grouped[K, V]) GroupedStream[K, V] {
	g := Grouped[K, V]{key: s.key, value: s.value}
	if len(grouped) > 0 {
		g = grouped[0]
	}
	if len(grouped) > 1 {
		s.b.plan.Fail("GroupByKey below %s: %d groupings are given, want one", s.node.Name, len(grouped))
	}
	return newGrouped(s, g)
}

// GroupBy groups the stream by a new key, f(key, value). It goes through a repartition topic.
func GroupBy[K, V, K2 any](s KStream[K, V], f func(key K, value V) K2, g Grouped[K2, V]) GroupedStream[K2, V] {
	name := s.b.plan.Name(g.name, plan.SelectKey)
	s.b.require(name, f != nil, "the key function is nil")
	node := s.b.plan.Add(operator.SelectKey(name, f), s.node).Rekeys()
	return newGrouped(KStream[K2, V]{b: s.b, node: node, rekeyed: true}, g)
}

func newGrouped[K, V any](s KStream[K, V], g Grouped[K, V]) GroupedStream[K, V] {
	return GroupedStream[K, V]{from: s, grouped: g, via: new(*plan.Node)}
}

// WindowedBy cuts each group into windows of event time: tumbling, hopping, sliding or unlimited ones.
func (g GroupedStream[K, V]) WindowedBy(w window.Windows) WindowedStream[K, V] {
	return WindowedStream[K, V]{from: g, windows: w}
}

// parent returns the node that an aggregation of the group hangs below, and adds the repartition if the stream needs one. base
// names its topic if the grouping does not: the name of the store.
func (g GroupedStream[K, V]) parent(base string) *plan.Node {
	if !g.from.rekeyed {
		return g.from.node
	}
	if g.grouped.name != "" {
		base = g.grouped.name
	}
	if *g.via == nil || g.grouped.name == "" {
		*g.via = repartitionBy(g.from.b, base, g.grouped.key, g.grouped.value, g.from.node)
	}
	return *g.via
}
