package stream

import (
	"strconv"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/stream/internal/operator"
	"github.com/millrace-io/millrace/stream/internal/plan"
	"github.com/millrace-io/millrace/stream/window"
	"github.com/millrace-io/millrace/topology"
)

// CogroupedStream is several grouped streams of different values that are folded into one aggregate, each by its own function. It stands
// for Kafka Streams' CogroupedKStream.
type CogroupedStream[K, A any] struct{ parts []cogroup[K, A] }

// cogroup is one of the grouped streams, its values' type hidden.
type cogroup[K, A any] struct {
	b       *Builder
	key     serde.Serde[K]
	given   bool                         // the aggregator is
	parent  func(base string) *plan.Node // adds the repartition, if the stream needs one
	plain   func(name string, kept *operator.Store, init func() A) *topology.Node
	windows func(name string, kept *operator.Store, w window.Windows, init func() A) *topology.Node
	session func(name string, kept *operator.Store, w window.Session, retention int64, init func() A, merge func(K, A, A) A) *topology.Node
}

// Cogroup begins an aggregation of several grouped streams into one table:
//
//	stream.Cogroup(clicks, addClick).With(stream.Cogroup(orders, addOrder)).Aggregate(newProfile, stream.Materialized("profiles", profiles))
//
// add folds a record of this stream into the aggregate of its key; see [Aggregate] for what it may do, and for null.
func Cogroup[K, V, A any](g GroupedStream[K, V], add func(key K, value V, aggregate A) A) CogroupedStream[K, A] {
	return CogroupedStream[K, A]{[]cogroup[K, A]{{
		b: g.from.b, key: g.grouped.key, given: add != nil, parent: g.parent,
		plain: func(name string, kept *operator.Store, init func() A) *topology.Node {
			return operator.Aggregate(name, kept, operator.Adder(init, add))
		},
		windows: func(name string, kept *operator.Store, w window.Windows, init func() A) *topology.Node {
			return windowNode(name, kept, w, operator.Adder(init, add))
		},
		session: func(name string, kept *operator.Store, w window.Session, retention int64, init func() A, merge func(K, A, A) A) *topology.Node {
			return operator.Session(name, kept, w, retention, operator.SessionAdder(init, add, merge))
		},
	}}}
}

// With returns c and the streams of another one together.
func (c CogroupedStream[K, A]) With(other CogroupedStream[K, A]) CogroupedStream[K, A] {
	return CogroupedStream[K, A]{append(c.parts[:len(c.parts):len(c.parts)], other.parts...)}
}

// Aggregate folds the values of each key, from all streams, into one aggregate: init makes the first one. For an A that can hold nil, an
// aggregator that returns nil deletes the aggregate. Records with a null key or value are dropped. The result's time is the largest of the
// records folded in.
//
// A stream whose key was changed goes through a repartition topic of its own; name all but one of several such groupings
// ([Grouped.Named]). All inputs need the same number of partitions. There is one store.
func (c CogroupedStream[K, A]) Aggregate(init func() A, m Store[A], opts ...AggregateOption) KTable[K, A] {
	b, kept, given := c.begin(m, opts, missing{init == nil, "the initialiser is nil"})
	b.addStore(state.KeyValueSpec(kept.Name, c.parts[0].key, m.value, m.options...))
	node := c.merge(given, kept, operator.Pass[K, state.Change[A]], func(p cogroup[K, A], name string) *topology.Node {
		return p.plain(name, kept, init)
	})
	b.require(node.Name, m.retention == 0, "Retention is for windows, and this aggregation has none")
	return KTable[K, A]{b: b, node: node, key: c.parts[0].key, value: m.value, table: operator.StoredTable[K, A](kept)}
}

// WindowedBy cuts each group into windows of event time, as [GroupedStream.WindowedBy] does. Each of the streams has a time of its own.
func (c CogroupedStream[K, A]) WindowedBy(w window.Windows) CogroupedWindows[K, A] {
	return CogroupedWindows[K, A]{from: c, windows: w}
}

// WindowedBySessions cuts each group into sessions, as [GroupedStream.WindowedBySessions] does.
func (c CogroupedStream[K, A]) WindowedBySessions(w window.Session) CogroupedSessions[K, A] {
	return CogroupedSessions[K, A]{from: c, windows: w}
}

// CogroupedWindows is a [CogroupedStream] that is cut into windows. It stands for Kafka Streams' TimeWindowedCogroupedKStream.
type CogroupedWindows[K, A any] struct {
	from    CogroupedStream[K, A]
	windows window.Windows
}

// Aggregate folds the values of each key and window, as [CogroupedStream.Aggregate] does. Null values and late records are treated as
// [AggregateWindows] does.
func (c CogroupedWindows[K, A]) Aggregate(init func() A, m Store[A], opts ...AggregateOption) WindowedTable[K, A] {
	key := c.from.parts[0].key
	b, kept, given := c.from.begin(m, opts, missing{init == nil, "the initialiser is nil"})
	if !keepWindows(b, given, kept, c.windows, key, m, true) {
		return WindowedTable[K, A]{b: b, node: c.from.parts[0].parent(kept.Name)}
	}
	node := c.from.merge(given, kept, operator.Pass[window.Windowed[K], state.Change[A]], func(p cogroup[K, A], name string) *topology.Node {
		return p.windows(name, kept, c.windows, init)
	})
	return tableOfWindows[K, A](b, node, kept, c.windows, key, m)
}

// CogroupedSessions is a [CogroupedStream] that is cut into sessions. It stands for Kafka Streams' SessionWindowedCogroupedKStream.
type CogroupedSessions[K, A any] struct {
	from    CogroupedStream[K, A]
	windows window.Session
}

// Aggregate folds the values of each session, as [AggregateSessions] does.
func (c CogroupedSessions[K, A]) Aggregate(
	init func() A, merge func(key K, a, b A) A, m Store[A], opts ...AggregateOption,
) WindowedTable[K, A] {
	key := c.from.parts[0].key
	b, kept, given := c.from.begin(m, opts, missing{init == nil, "the initialiser is nil"}, missing{merge == nil, "the merger is nil"})
	retention := keepSessions(b, given, kept, c.windows, key, m, true).Milliseconds()
	node := c.from.merge(given, kept, operator.Pass[window.Windowed[K], state.Change[A]], func(p cogroup[K, A], name string) *topology.Node {
		return p.session(name, kept, c.windows, retention, init, merge)
	})
	return tableOfSessions[K, A](b, node, kept, c.windows, key, m)
}

// begin names the store of a cogrouped aggregation, and returns the name that the operator was given. Faults are recorded.
func (c CogroupedStream[K, A]) begin(m Store[A], opts []AggregateOption, faults ...missing) (b *Builder, kept *operator.Store, given string) {
	b = c.parts[0].b
	var config stepConfig
	for _, o := range opts {
		o.aggregate(&config)
	}
	given = config.take(b)
	store := b.plan.StoreName(m.name, plan.Cogroup)
	for _, f := range faults {
		b.require(store, !f.is, f.fault)
	}
	m.check(b, store, true)
	for _, p := range c.parts {
		b.require(store, p.given, "an aggregator is nil")
		b.require(store, p.b == b, "a stream of another builder is given to it")
		b.require(store, p.key != nil, "a key serde is unknown, and the store needs it: give it by GroupedWith")
	}
	return b, b.store(store, m.uncached), given
}

// merge adds the node of each stream, and the one that brings their changes together.
func (c CogroupedStream[K, A]) merge(
	given string, kept *operator.Store, pass func(name string) *topology.Node, make func(p cogroup[K, A], name string) *topology.Node,
) *plan.Node {
	b := c.parts[0].b
	parents, nodes := []*plan.Node{}, []*plan.Node{}
	for _, p := range c.parts {
		parents = append(parents, p.parent(kept.Name))
	}
	for i, p := range c.parts {
		name := b.plan.Suffixed(given, "-cogroup-agg-"+strconv.Itoa(i), plan.Cogroup)
		nodes = append(nodes, b.plan.Add(make(p, name), parents[i]))
	}
	b.plan.Copartition(parents...)
	return b.plan.Add(pass(b.plan.Suffixed(given, "-cogroup-merge", plan.CogroupAll)), nodes...)
}
