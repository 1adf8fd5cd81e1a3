package stream

import (
	"fmt"
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/stream/internal/operator"
	"github.com/millrace-io/millrace/stream/internal/plan"
	"github.com/millrace-io/millrace/stream/window"
	"github.com/millrace-io/millrace/topology"
)

// WindowedStream is a grouped stream whose groups are cut into windows. It stands for Kafka Streams' TimeWindowedKStream.
//
// In all aggregations a record with a null key is dropped. A record that comes after a window has closed is left out of that
// window and counted as late: a window closes when the highest event time that the operator has seen in its task, over
// all keys, reaches the window's end plus the grace period.
type WindowedStream[K, V any] struct {
	from    GroupedStream[K, V]
	windows window.Windows
	emit    emission
}

// Count counts the records of each key and window, those with a null value included.
func (w WindowedStream[K, V]) Count(m Store[int64], opts ...AggregateOption) WindowedTable[K, int64] {
	return aggregateWindows(w, plan.Aggregate, operator.Counter[K, V](), m, opts)
}

// Reduce combines the values of each key and window as [GroupedStream.Reduce] does. A null value is handed to f where V can
// hold nil, and dropped where it cannot.
func (w WindowedStream[K, V]) Reduce(f func(aggregate, value V) V, m Store[V], opts ...AggregateOption) WindowedTable[K, V] {
	return aggregateWindows(w, plan.Reduce, operator.Reducer[K](f), m, opts, missing{f == nil, "the reducer is nil"})
}

// AggregateWindows folds the values of each key and window as [Aggregate] does. A null value is handed to add where V can hold
// nil, and dropped where it cannot.
func AggregateWindows[K, V, A any](
	w WindowedStream[K, V], init func() A, add func(key K, value V, aggregate A) A, m Store[A], opts ...AggregateOption,
) WindowedTable[K, A] {
	return aggregateWindows(w, plan.Aggregate, operator.Adder(init, add), m, opts,
		missing{init == nil, "the initialiser is nil"}, missing{add == nil, "the aggregator is nil"})
}

func aggregateWindows[K, V, A any](
	w WindowedStream[K, V], prefix string, fold operator.Fold[K, V, A], m Store[A], opts []AggregateOption, faults ...missing,
) WindowedTable[K, A] {
	g := w.from
	b := g.from.b
	store := b.plan.StoreName(m.name, prefix)
	name := aggregateName(b, prefix, opts, faults)
	m.check(b, name, g.grouped.key != nil)
	if w.windows == nil {
		b.plan.Fail("node %s: the windows are nil", name)
		return WindowedTable[K, A]{b: b, node: g.from.node}
	}
	if err := w.windows.Validate(); err != nil {
		b.plan.Fail("node %s: %w", name, err)
	}
	parent := g.parent(store)
	kept := b.store(store, m.uncached)
	w.emit.apply(kept)
	node, key, size := windowNode(b, w, name, kept, fold)
	spec := state.WindowSpec(store, g.grouped.key, m.value, size, b.retention(name, w.windows.Keep(), m.retention), m.options...)
	if w.emit.onClose {
		spec.Hold = holdClosed
	} else if sliding, ok := w.windows.(window.Sliding); ok && !kept.Uncached {
		spec.Hold = sliding.Difference() + time.Millisecond // a record counts every closed window that it would have been in
	}
	b.plan.AddStore(spec)
	return WindowedTable[K, A]{
		b: b, node: b.plan.Add(node, parent), key: key, value: m.value, grace: w.windows.GracePeriod(), table: operator.WindowTable[K, A](kept),
	}
}

// windowNode makes the node of a windowed aggregation. It returns the serde of its keys too, and the size of its windows.
func windowNode[K, V, A any](
	b *Builder, w WindowedStream[K, V], name string, kept *operator.Store, fold operator.Fold[K, V, A],
) (*topology.Node, serde.Serde[window.Windowed[K]], time.Duration) {
	key := w.from.grouped.key
	switch windows := w.windows.(type) {
	case window.Sliding:
		return operator.Sliding(name, kept, windows, fold), window.KeySerde(key, windows.Difference()), windows.Difference()
	case window.Unlimited:
		b.require(name, !w.emit.onClose, "an unlimited window never closes: it cannot be emitted then")
		return operator.Unlimited(name, kept, windows, fold), window.UnlimitedKeySerde(key), 0
	default:
		time, _ := windows.(window.Time)
		return operator.Windowed(name, kept, time, fold), window.KeySerde(key, time.Size()), time.Size()
	}
}

// retention returns how long a store keeps windows: what they need, or what the user asks for, which must not be less.
func (b *Builder) retention(node string, least, asked time.Duration) time.Duration {
	if asked == 0 {
		return least
	}
	b.require(node, asked >= least, fmt.Sprintf("the retention %v is less than size and grace period, %v", asked, least))
	return asked
}
