package stream

import (
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/stream/internal/operator"
	"github.com/millrace-io/millrace/stream/internal/plan"
)

// Count counts the records of each key. Records with a null key or value are dropped and counted as such.
func (g GroupedStream[K, V]) Count(m Store[int64], opts ...AggregateOption) KTable[K, int64] {
	return aggregate(g, plan.Aggregate, operator.Counter[K, V](), m, opts)
}

// Reduce combines the values of each key by f(aggregate, value), which must not change either. The first value is taken as it
// is. For a V that can hold nil, returning nil deletes the key. Records with a null key or value are dropped.
func (g GroupedStream[K, V]) Reduce(f func(aggregate, value V) V, m Store[V], opts ...AggregateOption) KTable[K, V] {
	return aggregate(g, plan.Reduce, operator.Reducer[K](f), m, opts, missing{f == nil, "the reducer is nil"})
}

// Aggregate folds the values of each key into an aggregate: init makes the first one, add returns the next. add may change
// the aggregate that it is given and return it; an A that can be changed in place must not be the value itself, which
// others see too. For an A that can hold nil (serde.Nullable), returning nil deletes the key.
// Records with a null key or value are dropped.
func Aggregate[K, V, A any](
	g GroupedStream[K, V], init func() A, add func(key K, value V, aggregate A) A, m Store[A], opts ...AggregateOption,
) KTable[K, A] {
	return aggregate(g, plan.Aggregate, operator.Adder(init, add), m, opts,
		missing{init == nil, "the initialiser is nil"}, missing{add == nil, "the aggregator is nil"})
}

func aggregate[K, V, A any](
	g GroupedStream[K, V], prefix string, fold operator.Fold[K, V, A], m Store[A], opts []AggregateOption, faults ...missing,
) KTable[K, A] {
	b := g.from.b
	store := b.plan.StoreName(m.name, prefix)
	name := aggregateName(b, prefix, opts, faults)
	m.check(b, name, g.grouped.key != nil)
	b.require(name, m.retention == 0, "Retention is for windows, and this aggregation has none")
	parent := g.parent(store)
	b.addStore(state.KeyValueSpec(store, g.grouped.key, m.value, m.options...))
	kept := b.store(store, m.uncached)
	node := b.plan.Add(operator.Aggregate(name, kept, fold), parent)
	return KTable[K, A]{b: b, node: node, key: g.grouped.key, value: m.value, table: operator.StoredTable[K, A](kept)}
}

// missing is a fault of an aggregation, if it is one, that is found before its node has a name.
type missing struct {
	is    bool
	fault string
}

// aggregateName resolves the options of an aggregation, names its node and records its faults.
func aggregateName(b *Builder, prefix string, opts []AggregateOption, faults []missing) string {
	var c stepConfig
	for _, o := range opts {
		o.aggregate(&c)
	}
	name := b.plan.Name(c.take(b), prefix)
	for _, f := range faults {
		b.require(name, !f.is, f.fault)
	}
	return name
}

// check records what a store lacks.
func (m Store[V]) check(b *Builder, node string, key bool) {
	b.require(node, m.value != nil, "the store has no value serde: give it by Materialized")
	b.require(node, !m.versioned, "versioned stores are for tables, and this is an aggregation")
	b.require(node, key, "the key serde is unknown, and the store needs it: give it by GroupedWith")
}
