package operator

import "github.com/millrace-io/millrace/topology"

// FlatMap emits any number of records for one (D-23), in the order in which f emits them. A null value that V cannot hold
// is dropped, since no key can be computed.
func FlatMap[K, V, K2, V2 any](name string, f func(key K, value V, emit func(K2, V2))) *topology.Node {
	return stateless(name, func(e env, down topology.Emit[K2, V2]) topology.Emit[K, V] {
		sees, nilableKey, nilableValue := nilable[V](), nilable[K2](), nilable[V2]()
		// One emit function serves all records, so that none is made per record. A node cannot be entered again before it
		// returns, since the graph has no cycles.
		var current topology.Record[K, V]
		emit := func(k K2, v V2) {
			out := withPair(&current, k, v)
			if nilableKey || nilableValue {
				flag(&out, nilableKey, nilableValue)
			}
			down(out)
		}
		return func(r topology.Record[K, V]) {
			if !sees && !r.HasValue() {
				e.drop(topology.ReasonNullValue)
				return
			}
			current = r
			f(r.Key, r.Value, emit)
		}
	})
}

// FlatMapValues emits any number of values for one, under the same key (D-24). A null value that V cannot hold passes on
// as null.
func FlatMapValues[K, V, R any](name string, f func(key K, value V, emit func(R))) *topology.Node {
	return stateless(name, func(_ env, down topology.Emit[K, R]) topology.Emit[K, V] {
		sees, nilableValue := nilable[V](), nilable[R]()
		var current topology.Record[K, V] // see FlatMap
		emit := func(v R) {
			var out topology.Record[K, R]
			topology.SetValue(&out, &current, v)
			if nilableValue {
				flag(&out, false, true)
			}
			down(out)
		}
		return func(r topology.Record[K, V]) {
			if !sees && !r.HasValue() {
				down(topology.WithoutValueAs[R](r))
				return
			}
			current = r
			f(r.Key, r.Value, emit)
		}
	})
}
