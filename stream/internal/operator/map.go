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
			down(topology.WithValue(r, v)) // not by withValue: this is the commonest of operators, and a copy of the record less
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
			down(withKey(withValue(r, v, nilableValue), k, nilableKey))
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
			down(withKey(r, f(r.Key, r.Value), nilableKey))
		}
	})
}
