package stream

import (
	"fmt"
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/stream/internal/operator"
	"github.com/millrace-io/millrace/stream/internal/plan"
)

// Joined says how a stream is joined with a table. It is made by [JoinedWith].
type Joined[K, V any] struct {
	key   serde.Serde[K]
	value serde.Serde[V]
}

// JoinedWith gives the serdes of a stream that is joined, for the repartition topic that it goes through if its key was changed.
// It stands for Kafka Streams' Joined.
func JoinedWith[K, V any](key serde.Serde[K], value serde.Serde[V]) Joined[K, V] {
	return Joined[K, V]{key: key, value: value}
}

// StreamJoinOption is an option of the joins of a stream with a table: [Named], [JoinedWith] and [JoinGrace].
type StreamJoinOption interface{ streamJoin(*streamJoinConfig) }

type streamJoinConfig struct {
	stepConfig
	joined []any           // Joined[K, V] of some K and V
	grace  []time.Duration // at most one
}

// GraceOption lets a join of a stream with a table wait. It is made by [JoinGrace].
type GraceOption struct{ grace time.Duration }

// JoinGrace makes a join of a stream with a versioned table hold back the stream's records: each one joins, with the row as it was at its
// time, when the highest event time of the stream has reached its own plus d, which may be 0. So a change of the table counts though it
// comes later than the record. Records join in the order of time, then encoded key, then arrival; one that is late by more than d joins at
// once. The table's history must be at least d. What waits is kept in a store with a changelog, which is called after the join.
// It stands for the grace period of Kafka Streams' Joined.
func JoinGrace(d time.Duration) GraceOption { return GraceOption{d} }

func (g GraceOption) streamJoin(c *streamJoinConfig) { c.grace = append(c.grace, g.grace) }

func (n NameOption) streamJoin(c *streamJoinConfig)   { n.step(&c.stepConfig) }
func (j Joined[K, V]) streamJoin(c *streamJoinConfig) { c.joined = append(c.joined, j) }

// JoinTable joins each record of a stream with the table's row of its key, and drops records for which there is none. The
// result has the record's key, time and headers. Only the stream triggers: a change of the table changes later results. A record with a
// null key or value is dropped and counted.
//
// If the stream's key was changed, it goes through a repartition topic, which is called after the join or else after the operator
// that changed the key. Topics of the two sides must have equal partition counts, and should be written by the same
// partitioner. The table gets a store if its rows are not stored above. It stands for Kafka Streams' KStream.join with a KTable.
func JoinTable[K, V, W, R any](s KStream[K, V], t KTable[K, W], join func(value V, row W) R, opts ...StreamJoinOption) KStream[K, R] {
	return joinTable(s, t, false, func(_ K, v V, row serde.Maybe[W]) R {
		w, _ := row.Get()
		return join(v, w)
	}, join != nil, opts)
}

// JoinTableWithKey is [JoinTable] with a joiner that sees the key as well.
func JoinTableWithKey[K, V, W, R any](s KStream[K, V], t KTable[K, W], join func(key K, value V, row W) R, opts ...StreamJoinOption) KStream[K, R] {
	return joinTable(s, t, false, func(k K, v V, row serde.Maybe[W]) R {
		w, _ := row.Get()
		return join(k, v, w)
	}, join != nil, opts)
}

// LeftJoinTable is [JoinTable] with a result for every record that has a value: where the table has no row for the key, or the key is
// null, row is absent. It stands for Kafka Streams' KStream.leftJoin with a KTable.
func LeftJoinTable[K, V, W, R any](
	s KStream[K, V], t KTable[K, W], join func(value V, row serde.Maybe[W]) R, opts ...StreamJoinOption,
) KStream[K, R] {
	return joinTable(s, t, true, func(_ K, v V, row serde.Maybe[W]) R { return join(v, row) }, join != nil, opts)
}

// LeftJoinTableWithKey is [LeftJoinTable] with a joiner that sees the key as well.
func LeftJoinTableWithKey[K, V, W, R any](
	s KStream[K, V], t KTable[K, W], join func(key K, value V, row serde.Maybe[W]) R, opts ...StreamJoinOption,
) KStream[K, R] {
	return joinTable(s, t, true, join, join != nil, opts)
}

func joinTable[K, V, W, R any](
	s KStream[K, V], t KTable[K, W], left bool, join func(K, V, serde.Maybe[W]) R, given bool, opts []StreamJoinOption,
) KStream[K, R] {
	b := s.b
	var c streamJoinConfig
	for _, o := range opts {
		o.streamJoin(&c)
	}
	s, ok := joinedWith(s, c.joined)
	name := c.take(b)
	if s.rekeyed {
		s = s.repartitionForJoin(name)
	}
	prefix := plan.Join
	if left {
		prefix = plan.LeftJoin
	}
	name = b.plan.Name(name, prefix)
	b.require(name, ok, "JoinedWith is given serdes of other types than the stream's")
	b.require(name, given, "the joiner is nil")
	b.require(name, t.b == b, "a table of another builder is given to it")
	j := &operator.StreamTable[K, V, W, R]{Table: t.table, Left: left, Join: join}
	if len(c.grace) > 0 {
		buffer(b, name, j, s, c.grace)
	}
	node := b.plan.Add(j.Node(name), s.node)
	if left {
		node.TakesNullKeys()
	}
	b.plan.Copartition(s.node, t.node)
	return KStream[K, R]{b: b, node: node, key: s.key}
}

const bufferSuffix = "-Buffer"

// buffer adds the buffer of a join with a grace period.
func buffer[K, V, W, R any](b *Builder, name string, j *operator.StreamTable[K, V, W, R], s KStream[K, V], grace []time.Duration) {
	d := grace[0]
	j.Buffer, j.Grace = name+bufferSuffix, d.Milliseconds()
	b.require(name, len(grace) == 1, "JoinGrace is given more than once")
	b.require(name, d >= 0, fmt.Sprintf("the grace period %v is negative", d))
	b.require(name, j.Table.Versioned, "a grace period needs the rows of the past: make the table versioned by Materialized and Versioned")
	b.require(name, !j.Table.Versioned || j.Table.History >= j.Grace, fmt.Sprintf("the grace period %v is longer than the table's history, %v",
		d, time.Duration(j.Table.History)*time.Millisecond))
	b.require(name, s.key != nil && s.value != nil, "a serde of the stream is unknown, and the buffer needs it: give it by JoinedWith")
	b.plan.AddStore(state.RecordBufferSpec(j.Buffer, s.key, s.value))
}

// joinedWith returns the stream with the serdes that the options of a join give.
func joinedWith[K, V any](s KStream[K, V], given []any) (KStream[K, V], bool) {
	for _, g := range given {
		j, ok := g.(Joined[K, V])
		if !ok {
			return s, false
		}
		s.key, s.value = j.key, j.value
	}
	return s, true
}

// repartitionForJoin sends a stream whose key was changed through a topic that is called after the join, or else after the
// operator that the stream came out of.
func (s KStream[K, V]) repartitionForJoin(join string) KStream[K, V] {
	base := join
	if base == "" {
		base = s.node.Name
	}
	return KStream[K, V]{b: s.b, node: repartitionBy(s.b, base, s.key, s.value, s.node), key: s.key, value: s.value}
}
