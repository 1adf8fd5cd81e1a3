package operator

import "github.com/millrace-io/millrace/topology"

// MapValues replaces the value (D-22). A null value that V cannot hold passes on as null.
func MapValues[K, V, R any](name string, f func(K, V) R) *topology.Node {
	return stateless(name, func(_ env, down topology.Emit[K, R]) topology.Emit[K, V] {
		sees, nilableResult := nilable[V](), nilable[R]()
		return func(r topology.Record[K, V]) {
			if !sees && !r.HasValue() {
				down(topology.WithoutValueAs[R](r))
				return
			}
			v := f(r.Key, r.Value)
			if nilableResult && isNil(v) {
				down(topology.WithoutValueAs[R](r))
				return
			}
			var out topology.Record[K, R]
			topology.SetValue(&out, &r, v)
			down(out)
		}
	})
}

// Map replaces key and value (D-21). A null value that V cannot hold is dropped, since no key can be computed.
func Map[K, V, K2, V2 any](name string, f func(K, V) (K2, V2)) *topology.Node {
	return stateless(name, func(e env, down topology.Emit[K2, V2]) topology.Emit[K, V] {
		sees, nilableKey, nilableValue := nilable[V](), nilable[K2](), nilable[V2]()
		return func(r topology.Record[K, V]) {
			if !sees && !r.HasValue() {
				e.drop(topology.ReasonNullValue)
				return
			}
			k, v := f(r.Key, r.Value)
			out := withPair(&r, k, v)
			if nilableKey || nilableValue {
				flag(&out, nilableKey, nilableValue)
			}
			down(out)
		}
	})
}

// SelectKey replaces the key (D-25). A null value that V cannot hold is dropped, since no key can be computed.
func SelectKey[K, V, K2 any](name string, f func(K, V) K2) *topology.Node {
	return stateless(name, func(e env, down topology.Emit[K2, V]) topology.Emit[K, V] {
		sees, nilableKey := nilable[V](), nilable[K2]()
		return func(r topology.Record[K, V]) {
			if !sees && !r.HasValue() {
				e.drop(topology.ReasonNullValue)
				return
			}
			var out topology.Record[K2, V]
			topology.SetKey(&out, &r, f(r.Key, r.Value))
			if nilableKey {
				flag(&out, true, false)
			}
			down(out)
		}
	})
}
