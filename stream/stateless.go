package stream

import (
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream/internal/operator"
	"github.com/millrace-io/millrace/stream/internal/plan"
)

// MapValues replaces each value by f(value). The key stays, so nothing is repartitioned.
func MapValues[K, V, R any](s KStream[K, V], f func(value V) R, opts ...StepOption) KStream[K, R] {
	name := s.b.step(plan.MapValues, opts)
	s.b.require(name, f != nil, "the function is nil")
	return then(s, operator.MapValues(name, func(_ K, v V) R { return f(v) }), serde.Serde[R](nil))
}

// MapValuesWithKey is [MapValues] with a function that sees the key as well.
func MapValuesWithKey[K, V, R any](s KStream[K, V], f func(key K, value V) R, opts ...StepOption) KStream[K, R] {
	name := s.b.step(plan.MapValues, opts)
	s.b.require(name, f != nil, "the function is nil")
	return then(s, operator.MapValues(name, f), serde.Serde[R](nil))
}

// Map replaces each key and value by f(key, value). An aggregation below goes through a repartition topic; use [MapValues]
// where the key stays.
func Map[K, V, K2, V2 any](s KStream[K, V], f func(key K, value V) (K2, V2), opts ...StepOption) KStream[K2, V2] {
	name := s.b.step(plan.Map, opts)
	s.b.require(name, f != nil, "the function is nil")
	return KStream[K2, V2]{b: s.b, node: s.b.plan.Add(operator.Map(name, f), s.node).Rekeys(), rekeyed: true}
}

// SelectKey replaces each key by f(key, value). An aggregation below goes through a repartition topic, even if no key
// changes.
func SelectKey[K, V, K2 any](s KStream[K, V], f func(key K, value V) K2, opts ...StepOption) KStream[K2, V] {
	name := s.b.step(plan.SelectKey, opts)
	s.b.require(name, f != nil, "the function is nil")
	return KStream[K2, V]{b: s.b, node: s.b.plan.Add(operator.SelectKey(name, f), s.node).Rekeys(), rekeyed: true, value: s.value}
}

// FlatMap makes any number of records of each one: those that f emits, in that order, with the time and headers of the
// original. emit is valid until f returns. An aggregation below goes through a repartition topic.
func FlatMap[K, V, K2, V2 any](s KStream[K, V], f func(key K, value V, emit func(K2, V2)), opts ...StepOption) KStream[K2, V2] {
	name := s.b.step(plan.FlatMap, opts)
	s.b.require(name, f != nil, "the function is nil")
	return KStream[K2, V2]{b: s.b, node: s.b.plan.Add(operator.FlatMap(name, f), s.node).Rekeys(), rekeyed: true}
}

// FlatMapValues makes any number of values of each one: those that f emits, in that order, under the same key. emit is
// valid until f returns.
func FlatMapValues[K, V, R any](s KStream[K, V], f func(value V, emit func(R)), opts ...StepOption) KStream[K, R] {
	name := s.b.step(plan.FlatMapVals, opts)
	s.b.require(name, f != nil, "the function is nil")
	node := operator.FlatMapValues(name, func(_ K, v V, emit func(R)) { f(v, emit) })
	return then(s, node, serde.Serde[R](nil))
}

// FlatMapValuesWithKey is [FlatMapValues] with a function that sees the key as well.
func FlatMapValuesWithKey[K, V, R any](s KStream[K, V], f func(key K, value V, emit func(R)), opts ...StepOption) KStream[K, R] {
	name := s.b.step(plan.FlatMapVals, opts)
	s.b.require(name, f != nil, "the function is nil")
	return then(s, operator.FlatMapValues(name, f), serde.Serde[R](nil))
}
