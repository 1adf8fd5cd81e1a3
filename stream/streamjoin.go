package stream

import (
	"strings"
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/stream/internal/operator"
	"github.com/millrace-io/millrace/stream/internal/plan"
	"github.com/millrace-io/millrace/stream/window"
)

// StreamJoined says how a join of two streams is kept and called. It stands for Kafka Streams' StreamJoined.
type StreamJoined[K, V, W any] struct {
	key         serde.Serde[K]
	left        serde.Serde[V]
	right       serde.Serde[W]
	name, store string
	interval    time.Duration
	options     []state.SpecOption
}

// emitInterval is how often, by the wall clock, operators look for results that are due, unless they are told otherwise.
const emitInterval = time.Second

// StreamJoinedWith returns the serdes of a join: of the key, of the left values, of the right ones.
func StreamJoinedWith[K, V, W any](key serde.Serde[K], left serde.Serde[V], right serde.Serde[W]) StreamJoined[K, V, W] {
	return StreamJoined[K, V, W]{key: key, left: left, right: right, interval: emitInterval}
}

// Named names the join. Its nodes are called after it, and so are the repartition topics that it may need:
// "<application id>-<name>-left-repartition" and "…-right-repartition".
func (j StreamJoined[K, V, W]) Named(name string) StreamJoined[K, V, W] {
	j.name = name
	return j
}

// StoresNamed names the stores of the join: "<name>-this-join-store" and so on, and with them their changelogs.
func (j StreamJoined[K, V, W]) StoresNamed(name string) StreamJoined[K, V, W] {
	j.store = name
	return j
}

// EmitInterval sets how often, by the wall clock, a left or outer join looks for records whose time for a match is over. It is
// a second unless set; 0 looks with every record. The results are the same, they come sooner.
func (j StreamJoined[K, V, W]) EmitInterval(d time.Duration) StreamJoined[K, V, W] {
	j.interval = d
	return j
}

// With adds options of the stores, such as state.WithoutChangelog.
func (j StreamJoined[K, V, W]) With(options ...state.SpecOption) StreamJoined[K, V, W] {
	j.options = append(j.options[:len(j.options):len(j.options)], options...)
	return j
}

// Join joins two streams: for every two records of equal keys whose times are as close as w says, one result join(left, right). Both sides
// trigger. The result has the later of the two times, and the headers of the record that came last. Records that came earlier are met
// in the order of their times; several of one key and time all count.
//
// Records with a null key or a null value are dropped and counted. A late record still meets what is kept. A side whose key was
// changed goes through a repartition topic first; both inputs need the same number of partitions.
//
// Each side has a store of its records with a changelog, which keeps them for the windows' size and grace period: the recent ones
// in memory, the others on disk. It stands for Kafka Streams' KStream.join.
func Join[K, V, W, R any](
	left KStream[K, V], right KStream[K, W], join func(left V, right W) R, w window.Join, joined ...StreamJoined[K, V, W],
) KStream[K, R] {
	return joinStreams(left, right, inner, innerJoin(func(_ K, l V, r W) R { return join(l, r) }), join != nil, w, joined)
}

// JoinWithKey is [Join] with a joiner that sees the key as well.
func JoinWithKey[K, V, W, R any](
	left KStream[K, V], right KStream[K, W], join func(key K, left V, right W) R, w window.Join, joined ...StreamJoined[K, V, W],
) KStream[K, R] {
	return joinStreams(left, right, inner, innerJoin(join), join != nil, w, joined)
}

// LeftJoin is [Join] with a result also for a record of the left side that has no match, in which right is absent.
//
// Such a result does not come before its time for a match is over: once the stream time that both sides share has passed the end
// of its window and the grace period. It comes with a later record, which may be one of any key, and at most once in a second of the
// wall clock (see [StreamJoined.EmitInterval]). It has the unmatched record's time and the headers of the one that it comes with. A
// record that has no match and whose window has passed already gives its result at once, and so does one on the left with a null key.
//
// Unmatched records wait in a third store, ordered by time, with a changelog of its own. It stands for Kafka Streams'
// KStream.leftJoin.
func LeftJoin[K, V, W, R any](
	left KStream[K, V], right KStream[K, W], join func(left V, right serde.Maybe[W]) R, w window.Join, joined ...StreamJoined[K, V, W],
) KStream[K, R] {
	return joinStreams(left, right, leftOuter, leftJoin(func(_ K, l V, r serde.Maybe[W]) R { return join(l, r) }), join != nil, w, joined)
}

// LeftJoinWithKey is [LeftJoin] with a joiner that sees the key as well.
func LeftJoinWithKey[K, V, W, R any](
	left KStream[K, V], right KStream[K, W], join func(key K, left V, right serde.Maybe[W]) R, w window.Join, joined ...StreamJoined[K, V, W],
) KStream[K, R] {
	return joinStreams(left, right, leftOuter, leftJoin(join), join != nil, w, joined)
}

// OuterJoin is [LeftJoin] for both sides: a record of either that has no match has a result in which the other is absent. It stands for
// Kafka Streams' KStream.outerJoin.
func OuterJoin[K, V, W, R any](
	left KStream[K, V], right KStream[K, W], join func(left serde.Maybe[V], right serde.Maybe[W]) R, w window.Join, joined ...StreamJoined[K, V, W],
) KStream[K, R] {
	withKey := func(_ K, l serde.Maybe[V], r serde.Maybe[W]) R { return join(l, r) }
	return joinStreams(left, right, fullOuter, withKey, join != nil, w, joined)
}

// OuterJoinWithKey is [OuterJoin] with a joiner that sees the key as well.
func OuterJoinWithKey[K, V, W, R any](
	left KStream[K, V], right KStream[K, W], join func(key K, left serde.Maybe[V], right serde.Maybe[W]) R, w window.Join,
	joined ...StreamJoined[K, V, W],
) KStream[K, R] {
	return joinStreams(left, right, fullOuter, join, join != nil, w, joined)
}

func innerJoin[K, V, W, R any](join func(K, V, W) R) func(K, serde.Maybe[V], serde.Maybe[W]) R {
	return func(k K, l serde.Maybe[V], r serde.Maybe[W]) R {
		v, _ := l.Get()
		w, _ := r.Get()
		return join(k, v, w)
	}
}

func leftJoin[K, V, W, R any](join func(K, V, serde.Maybe[W]) R) func(K, serde.Maybe[V], serde.Maybe[W]) R {
	return func(k K, l serde.Maybe[V], r serde.Maybe[W]) R {
		v, _ := l.Get()
		return join(k, v, r)
	}
}

// joinKind says which sides have results without a match, and how Kafka Streams calls the parts of such a join.
type joinKind struct {
	left, right             bool
	this, other             string // prefixes of the nodes
	thisSuffix, otherSuffix string
	shared                  string // suffix of the store of unmatched records
}

var (
	inner     = joinKind{this: plan.StreamThis, other: plan.StreamOther, thisSuffix: "-this-join", otherSuffix: "-other-join"}
	leftOuter = joinKind{
		left: true, this: plan.StreamThis, other: plan.OuterOther,
		thisSuffix: "-this-join", otherSuffix: "-outer-other-join", shared: "-left-shared-join",
	}
	fullOuter = joinKind{
		left: true, right: true, this: plan.OuterThis, other: plan.OuterOther,
		thisSuffix: "-outer-this-join", otherSuffix: "-outer-other-join", shared: "-outer-shared-join",
	}
)

const storeSuffix = "-store"

// joinNames are the names of a join's nodes and stores.
type joinNames struct {
	keepThis, keepOther, this, other, merge string
	thisStore, otherStore, shared           string
}

func nameJoin(b *Builder, kind joinKind, given, store string) (n joinNames) {
	p := b.plan
	n.keepThis, n.keepOther = p.Suffixed(given, "-this-windowed", plan.StreamKeep), p.Suffixed(given, "-other-windowed", plan.StreamKeep)
	n.this, n.thisStore = p.NameBoth(given, kind.thisSuffix, kind.this)
	n.other, n.otherStore = p.NameBoth(given, kind.otherSuffix, kind.other)
	n.merge = p.Suffixed(given, "-merge", plan.Merge)
	if kind.left {
		n.shared = plan.OuterShared + strings.TrimPrefix(n.thisStore, kind.this)
	}
	if store != "" {
		n.thisStore, n.otherStore = store+kind.thisSuffix, store+kind.otherSuffix
		n.shared = store + kind.shared
	}
	n.thisStore, n.otherStore, n.shared = n.thisStore+storeSuffix, n.otherStore+storeSuffix, n.shared+storeSuffix
	return n
}

func joinStreams[K, V, W, R any](
	l KStream[K, V], r KStream[K, W], kind joinKind, join func(K, serde.Maybe[V], serde.Maybe[W]) R, given bool,
	w window.Join, joined []StreamJoined[K, V, W],
) KStream[K, R] {
	b := l.b
	c := StreamJoinedWith(l.key, l.value, r.value)
	if len(joined) > 0 {
		c = joined[0]
		l.key, l.value, r.key, r.value = c.key, c.left, c.key, c.right
	}
	if len(joined) > 1 {
		b.plan.Fail("join below %s: %d settings are given, want one", l.node.Name, len(joined))
	}
	if r.b != b {
		b.plan.Fail("join below %s: a stream of another builder is given to it", l.node.Name)
		return KStream[K, R]{b: b, node: l.node}
	}
	var leftTopic, rightTopic string
	if c.name != "" {
		leftTopic, rightTopic = c.name+"-left", c.name+"-right"
	}
	if l.rekeyed {
		l = l.repartitionForJoin(leftTopic)
	}
	if r.rekeyed {
		r = r.repartitionForJoin(rightTopic)
	}
	n := nameJoin(b, kind, c.name, c.store)
	const fix = "the join needs it: give it by StreamJoinedWith"
	b.require(n.this, c.key != nil, "the key serde is unknown; "+fix)
	b.require(n.this, c.left != nil && c.right != nil, "a value serde is unknown; "+fix)
	b.require(n.this, given, "the joiner is nil")
	if err := w.Validate(); err != nil {
		b.plan.Fail("node %s: %w", n.this, err)
	}
	retention := w.Size() + w.GracePeriod()
	if b.optimized && l.node == r.node && !kind.left {
		if self, ok := operator.SelfJoin(n.merge, n.thisStore, w, join); ok {
			b.plan.AddStore(state.JoinWindowSpec(n.thisStore, c.key, c.left, w.Size(), retention, c.options...))
			keep := b.plan.Add(operator.Keep[K, V](n.keepThis, n.thisStore), l.node)
			return KStream[K, R]{b: b, node: b.plan.Add(self, keep), key: c.key}
		}
	}
	j := &operator.StreamJoin[K, V, W, R]{
		Windows: w, LeftStore: n.thisStore, RightStore: n.otherStore, Outer: kind.right, EmitInterval: c.interval.Milliseconds(),
		Key: c.key, LeftValue: c.left, RightValue: c.right, Join: join,
	}
	b.plan.AddStore(state.JoinWindowSpec(n.thisStore, c.key, c.left, w.Size(), retention, c.options...))
	b.plan.AddStore(state.JoinWindowSpec(n.otherStore, c.key, c.right, w.Size(), retention, c.options...))
	if kind.left {
		j.Parked = n.shared
		b.plan.AddStore(j.ParkedSpec(c.options...))
	}
	keepThis := b.plan.Add(operator.Keep[K, V](n.keepThis, n.thisStore), l.node)
	keepOther := b.plan.Add(operator.Keep[K, W](n.keepOther, n.otherStore), r.node)
	this, other := b.plan.Add(j.Left(n.this), keepThis), b.plan.Add(j.Right(n.other), keepOther)
	if kind.left {
		this.TakesNullKeys()
	}
	if kind.right {
		other.TakesNullKeys()
	}
	merge := b.plan.Add(operator.Pass[K, R](n.merge), this, other)
	b.plan.Copartition(l.node, r.node)
	return KStream[K, R]{b: b, node: merge, key: c.key}
}
