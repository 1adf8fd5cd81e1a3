package operator

import "github.com/millrace-io/millrace/topology"

// Peek calls f before the record moves on (D-17). A null value that V cannot hold passes on without a call.
func Peek[K, V any](name string, f func(K, V)) *topology.Node {
	return stateless(name, func(_ env, down topology.Emit[K, V]) topology.Emit[K, V] {
		sees := nilable[V]()
		return func(r topology.Record[K, V]) {
			if sees || r.HasValue() {
				f(r.Key, r.Value)
			}
			down(r)
		}
	})
}

// Foreach calls f and ends the stream (D-16). A null value that V cannot hold is dropped, counted.
func Foreach[K, V any](name string, f func(K, V)) *topology.Node {
	n := &topology.Node{Name: name, Kind: topology.KindProcessor, In: []topology.Edge{topology.EdgeOf[K, V]()}}
	n.Build = func(s topology.Scope, _ any) (topology.Instance, error) {
		e, sees := env{scope: s, node: n.ID}, nilable[V]()
		port := topology.Emit[K, V](func(r topology.Record[K, V]) {
			if !sees && !r.HasValue() {
				e.drop(topology.ReasonNullValue)
				return
			}
			f(r.Key, r.Value)
		})
		return topology.Instance{Ports: []any{port}}, nil
	}
	return n
}
