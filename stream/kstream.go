package stream

import (
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream/internal/operator"
	"github.com/millrace-io/millrace/stream/internal/plan"
	"github.com/millrace-io/millrace/topology"
)

// KStream is a stream of records: each one a fact of its own. It is a small value, a handle of a node in its builder, and may
// be used any number of times: every use gets all records, in the order of the uses.
//
// It knows the serdes of its keys and values as long as an operator cannot have changed their types, and whether its key was
// changed since it was last partitioned by it; an aggregation of such a stream goes through a repartition topic first.
type KStream[K, V any] struct {
	b       *Builder
	node    *plan.Node
	rekeyed bool // "repartition required"
	key     serde.Serde[K]
	value   serde.Serde[V]
}

// then returns the stream that comes out of node, with the same key.
func then[K, V, R any](s KStream[K, V], node *topology.Node, value serde.Serde[R]) KStream[K, R] {
	return KStream[K, R]{b: s.b, node: s.b.plan.Add(node, s.node), rekeyed: s.rekeyed, key: s.key, value: value}
}

// kept returns the stream that comes out of node, which passes records on or leaves them out.
func kept[K, V any](s KStream[K, V], node *topology.Node) KStream[K, V] {
	s.node = s.b.plan.Add(node, s.node).Keeps()
	return s
}

// Filter keeps the records for which keep returns true.
func (s KStream[K, V]) Filter(keep func(key K, value V) bool, opts ...StepOption) KStream[K, V] {
	name := s.b.step(plan.Filter, opts)
	s.b.require(name, keep != nil, "the predicate is nil")
	return kept(s, operator.Filter(name, keep, true))
}

// FilterNot keeps the records for which drop returns false.
func (s KStream[K, V]) FilterNot(drop func(key K, value V) bool, opts ...StepOption) KStream[K, V] {
	name := s.b.step(plan.Filter, opts)
	s.b.require(name, drop != nil, "the predicate is nil")
	return kept(s, operator.Filter(name, drop, false))
}

// Peek calls f with each record before it moves on.
func (s KStream[K, V]) Peek(f func(key K, value V), opts ...StepOption) KStream[K, V] {
	name := s.b.step(plan.Peek, opts)
	s.b.require(name, f != nil, "the function is nil")
	return kept(s, operator.Peek(name, f))
}

// Foreach calls f with each record and ends the stream.
func (s KStream[K, V]) Foreach(f func(key K, value V), opts ...StepOption) {
	name := s.b.step(plan.Foreach, opts)
	s.b.require(name, f != nil, "the function is nil")
	s.b.plan.Add(operator.Foreach(name, f), s.node)
}

// Merge joins the records of two streams of the same types into one. The order within each stay; between the two
// there is none.
func (s KStream[K, V]) Merge(other KStream[K, V], opts ...StepOption) KStream[K, V] {
	name := s.b.step(plan.Merge, opts)
	s.b.require(name, other.b == s.b, "a stream of another builder is given to it")
	node := s.b.plan.Add(operator.Pass[K, V](name), s.node, other.node).Keeps()
	return KStream[K, V]{b: s.b, node: node, rekeyed: s.rekeyed || other.rekeyed, key: s.key, value: s.value}
}
