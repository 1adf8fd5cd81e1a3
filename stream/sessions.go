package stream

import (
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/stream/internal/operator"
	"github.com/millrace-io/millrace/stream/internal/plan"
	"github.com/millrace-io/millrace/stream/window"
)

// SessionStream is a grouped stream whose groups are cut into sessions. It stands for Kafka Streams' SessionWindowedKStream.
//
// A record joins all sessions of its key that end or begin within the gap around its time: they become one, which has new bounds and so
// a new key. The rows of those that were absorbed are deleted, then comes the new one; a table of sessions therefore shows deletes.
// Every change has the session's end as its time.
//
// Records with a null key are dropped. A record is late, and dropped, if the session that it would be part of has ended by more than gap and
// grace period before the highest event time that the operator has seen in its task.
type SessionStream[K, V any] struct {
	from    GroupedStream[K, V]
	windows window.Session
	emit    emission
}

// WindowedBySessions cuts each group into sessions of event time. It stands for Kafka Streams' windowedBy(SessionWindows).
func (g GroupedStream[K, V]) WindowedBySessions(w window.Session) SessionStream[K, V] {
	return SessionStream[K, V]{from: g, windows: w}
}

// Count counts the records of each session, those with a null value included.
func (w SessionStream[K, V]) Count(m Store[int64], opts ...AggregateOption) WindowedTable[K, int64] {
	return aggregateSessions(w, plan.Aggregate, operator.SessionCounter[K, V](), m, opts)
}

// Reduce combines the values of each session by f(aggregate, value); f also combines the aggregates of sessions that become one. The
// first value is taken as it is. For a V that can hold nil, a null value is handed to f, and returning nil deletes the session; else a
// null value is dropped.
func (w SessionStream[K, V]) Reduce(f func(aggregate, value V) V, m Store[V], opts ...AggregateOption) WindowedTable[K, V] {
	return aggregateSessions(w, plan.Reduce, operator.SessionReducer[K](f), m, opts, missing{f == nil, "the reducer is nil"})
}

// AggregateSessions folds the values of each session into an aggregate: init makes the first one, merge(key, a, b) combines it with that
// of each session that is absorbed, the earliest first, and add returns it with the value. All may change an aggregate that they are given.
// For an A that can hold nil, returning nil deletes the session. A null value is handed to add where V can hold nil, and dropped where it
// cannot.
//
// The store has one row per session, which it keeps for gap and grace period after the session's end in event time, and its changelog.
func AggregateSessions[K, V, A any](
	w SessionStream[K, V], init func() A, add func(key K, value V, aggregate A) A, merge func(key K, a, b A) A, m Store[A], opts ...AggregateOption,
) WindowedTable[K, A] {
	return aggregateSessions(w, plan.Aggregate, operator.SessionAdder(init, add, merge), m, opts,
		missing{init == nil, "the initialiser is nil"}, missing{add == nil, "the aggregator is nil"}, missing{merge == nil, "the merger is nil"})
}

func aggregateSessions[K, V, A any](
	w SessionStream[K, V], prefix string, fold operator.SessionFold[K, V, A], m Store[A], opts []AggregateOption, faults ...missing,
) WindowedTable[K, A] {
	g := w.from
	b := g.from.b
	store := b.plan.StoreName(m.name, prefix)
	name := aggregateName(b, prefix, opts, faults)
	m.check(b, name, g.grouped.key != nil)
	parent := g.parent(store)
	kept := b.store(store, m.uncached)
	w.emit.apply(kept)
	retention := keepSessions(b, name, kept, w.windows, g.grouped.key, m, false)
	node := b.plan.Add(operator.Session(name, kept, w.windows, retention.Milliseconds(), fold), parent)
	return tableOfSessions[K, A](b, node, kept, w.windows, g.grouped.key, m)
}

// keepSessions checks the sessions of an aggregation and adds its store. It returns how long sessions are kept.
func keepSessions[K, A any](b *Builder, name string, kept *operator.Store, w window.Session, key serde.Serde[K], m Store[A], shared bool) time.Duration {
	if err := w.Validate(); err != nil {
		b.plan.Fail("node %s: %w", name, err)
	}
	retention := b.retention(name, w.Keep(), m.retention)
	if shared {
		kept.Shared = retention.Milliseconds()
	}
	b.addStore(state.SessionSpec(kept.Name, key, m.value, retention, holdSegment(retention), m.options...))
	return retention
}

// tableOfSessions is what an aggregation of sessions gives.
func tableOfSessions[K, A any](
	b *Builder, node *plan.Node, kept *operator.Store, w window.Session, key serde.Serde[K], m Store[A],
) WindowedTable[K, A] {
	return WindowedTable[K, A]{
		b: b, node: node, key: window.SessionKeySerde(key), value: m.value, grace: w.Keep(), table: operator.SessionTable[K, A](kept),
	}
}

// holdSegment returns how much longer than their retention sessions are kept, and windows of a store that several nodes write: as long
// as Kafka Streams' stores hold a segment. A late record may still join such a session to one that lives.
func holdSegment(retention time.Duration) time.Duration { return max(retention/2, time.Minute) }
