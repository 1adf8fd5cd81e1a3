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
	kept := b.store(store, m.uncached)
	w.emit.apply(kept)
	if !keepWindows(b, name, kept, w.windows, g.grouped.key, m, false) {
		return WindowedTable[K, A]{b: b, node: g.from.node}
	}
	parent := g.parent(store)
	node := b.plan.Add(windowNode(name, kept, w.windows, fold), parent)
	return tableOfWindows[K, A](b, node, kept, w.windows, g.grouped.key, m)
}

// keepWindows checks the windows of an aggregation and adds its store, which several nodes may share. It returns false for windows that nothing can be made of.
func keepWindows[K, A any](b *Builder, name string, kept *operator.Store, w window.Windows, key serde.Serde[K], m Store[A], shared bool) bool {
	if w == nil {
		b.plan.Fail("node %s: the windows are nil", name)
		return false
	}
	if err := w.Validate(); err != nil {
		b.plan.Fail("node %s: %w", name, err)
	}
	var size time.Duration
	switch w := w.(type) {
	case window.Sliding:
		size = w.Difference()
	case window.Unlimited:
		b.require(name, !kept.OnClose, "an unlimited window never closes: it cannot be emitted then")
	case window.Time:
		size = w.Size()
	}
	spec := state.WindowSpec(kept.Name, key, m.value, size, b.retention(name, w.Keep(), m.retention), m.options...)
	if shared {
		kept.Shared = spec.Retention.Milliseconds()
	}
	if kept.OnClose {
		spec.Hold = holdClosed
	} else if sliding, ok := w.(window.Sliding); ok && !kept.Uncached {
		spec.Hold = sliding.Difference() + time.Millisecond // a record counts every closed window that it would have been in
	}
	if shared {
		spec.Hold = max(spec.Hold, holdSegment(spec.Retention))
	}
	b.addStore(spec)
	return true
}

// windowNode makes the node of a windowed aggregation.
func windowNode[K, V, A any](name string, kept *operator.Store, w window.Windows, fold operator.Fold[K, V, A]) *topology.Node {
	switch w := w.(type) {
	case window.Sliding:
		return operator.Sliding(name, kept, w, fold)
	case window.Unlimited:
		return operator.Unlimited(name, kept, w, fold)
	}
	t, _ := w.(window.Time)
	return operator.Windowed(name, kept, t, fold)
}

// windowKeys returns the serde of the keys of windows.
func windowKeys[K any](w window.Windows, key serde.Serde[K]) serde.Serde[window.Windowed[K]] {
	switch w := w.(type) {
	case window.Sliding:
		return window.KeySerde(key, w.Difference())
	case window.Time:
		return window.KeySerde(key, w.Size())
	}
	return window.UnlimitedKeySerde(key)
}

// tableOfWindows is what a windowed aggregation gives.
func tableOfWindows[K, A any](
	b *Builder, node *plan.Node, kept *operator.Store, w window.Windows, key serde.Serde[K], m Store[A],
) WindowedTable[K, A] {
	return WindowedTable[K, A]{
		b: b, node: node, key: windowKeys(w, key), value: m.value, grace: w.GracePeriod(), table: operator.WindowTable[K, A](kept),
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
