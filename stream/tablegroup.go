package stream

import (
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/stream/internal/operator"
	"github.com/millrace-io/millrace/stream/internal/plan"
	"github.com/millrace-io/millrace/topology"
)

// GroupedTable is a table whose rows are grouped by a new key, ready to be aggregated. It stands for Kafka Streams' KGroupedTable.
type GroupedTable[K, V any] struct {
	b       *Builder
	node    *plan.Node
	grouped Grouped[K, V]
	via     **plan.Node // as in GroupedStream
}

// GroupTable groups the rows of a table by a new key: f returns the key and the value that a row has in its group. The rows go
// through a repartition topic in any case, and the table above gets a store if it has none, since a row that changes is
// taken out of its old group and put into its new one. f must be deterministic. Where K2 or V2 can hold nil, a row for which f returns nil
// belongs to no group.
//
// A row that moves between groups changes two aggregates, one after the other: a reader may see it in neither for a moment. It
// stands for Kafka Streams' KTable.groupBy.
func GroupTable[K, V, K2, V2 any](t KTable[K, V], f func(key K, row V) (K2, V2), g Grouped[K2, V2]) GroupedTable[K2, V2] {
	name := t.b.plan.Name(g.name, plan.TableSelect)
	t.b.require(name, f != nil, "the function is nil")
	t.b.require(name, g.key != nil, "the key serde is nil: give it by GroupedWith")
	t.b.require(name, g.value != nil, "the value serde is nil: give it by GroupedWith")
	node := t.b.plan.Add(operator.TableSelect(name, f, g.key, t.table), t.node)
	return GroupedTable[K2, V2]{b: t.b, node: node, grouped: g, via: new(*plan.Node)}
}

// Count counts the rows of each group. A group that loses its last row has the count 0; it stays. Its time is the largest of the
// changes that took part.
func (g GroupedTable[K, V]) Count(m Store[int64], opts ...AggregateOption) KTable[K, int64] {
	return aggregateTable(g, plan.TableAgg, operator.TableCounter[K, V](), m, opts)
}

// Reduce combines the values of each group: a changed row's old value is taken out by subtract(aggregate, old), then the
// new one put in by add(aggregate, new); the first value is taken as it is. Neither may change what it is given. For a V that can hold
// nil, returning nil leaves no aggregate. The result's time is the largest of those that took part.
func (g GroupedTable[K, V]) Reduce(add, subtract func(aggregate, value V) V, m Store[V], opts ...AggregateOption) KTable[K, V] {
	return aggregateTable(g, plan.TableReduce, operator.TableReducer[K](add, subtract), m, opts,
		missing{add == nil, "the adder is nil"}, missing{subtract == nil, "the subtractor is nil"})
}

// AggregateTable folds the rows of each group into an aggregate: init makes the first one; of a row that changed, subtract takes the
// old value out, then add puts the new one in. Either may change the aggregate that it is given and return it. For an A that
// can hold nil, returning nil deletes the aggregate. The result's time is the largest of those that took part. It stands for
// Kafka Streams' KGroupedTable.aggregate.
func AggregateTable[K, V, A any](
	g GroupedTable[K, V], init func() A, add, subtract func(key K, value V, aggregate A) A, m Store[A], opts ...AggregateOption,
) KTable[K, A] {
	return aggregateTable(g, plan.TableAgg, operator.TableAdder(init, add, subtract), m, opts,
		missing{init == nil, "the initialiser is nil"}, missing{add == nil, "the adder is nil"}, missing{subtract == nil, "the subtractor is nil"})
}

func aggregateTable[K, V, A any](
	g GroupedTable[K, V], prefix string, fold operator.TableFold[K, V, A], m Store[A], opts []AggregateOption, faults ...missing,
) KTable[K, A] {
	b := g.b
	store := b.plan.StoreName(m.name, prefix)
	var c stepConfig
	for _, o := range opts {
		o.aggregate(&c)
	}
	given := c.take(b)
	sink, source := b.plan.Suffixed(given, "-sink", plan.Sink), b.plan.Suffixed(given, "-source", plan.Source)
	name := b.plan.Name(given, prefix)
	for _, f := range faults {
		b.require(name, !f.is, f.fault)
	}
	m.check(b, name, g.grouped.key != nil)
	b.require(name, m.retention == 0, "Retention is for windows, and this aggregation has none")
	b.addStore(state.KeyValueSpec(store, g.grouped.key, m.value, m.options...))
	kept := b.store(store, m.uncached)
	node := b.plan.Add(operator.TableAggregate(name, kept, fold), g.parent(store, sink, source))
	return KTable[K, A]{b: b, node: node, key: g.grouped.key, value: m.value, table: operator.StoredTable[K, A](kept)}
}

// parent returns the repartition that an aggregation hangs below. The aggregations of a named grouping share one.
func (g GroupedTable[K, V]) parent(base, sink, source string) *plan.Node {
	if g.grouped.name != "" {
		base = g.grouped.name
	}
	if *g.via != nil && g.grouped.name != "" {
		return *g.via
	}
	topic := topology.RepartitionTopic{Name: base}
	changes := operator.Changes(g.grouped.value)
	*g.via = g.b.plan.AddRepartition(plan.Via{
		Topic:  topic,
		Sink:   operator.RepartitionSink(sink, topic.Topic(), g.grouped.key, changes),
		Source: topology.NewSource(source, []string{topic.Topic()}, g.grouped.key, changes),
	}, g.node)
	return *g.via
}
