package operator

import "github.com/millrace-io/millrace/topology"

// Filter passes on the records for which keep returns want (D-20). A null value that V cannot hold passes unasked, for
// Filter and FilterNot alike: a tombstone says that something is gone.
func Filter[K, V any](name string, keep func(K, V) bool, want bool) *topology.Node {
	return stateless(name, func(_ env, down topology.Emit[K, V]) topology.Emit[K, V] {
		sees := nilable[V]()
		return func(r topology.Record[K, V]) {
			if !sees && !r.HasValue() || keep(r.Key, r.Value) == want {
				down(r)
			}
		}
	})
}

// KeyFilter stands before a repartition topic and leaves out records without a key, which would belong to no partition
// . They are counted apart from dropped records; Kafka Streams does not count them at all.
func KeyFilter[K, V any](name string) *topology.Node {
	return stateless(name, func(e env, down topology.Emit[K, V]) topology.Emit[K, V] {
		nilableKey := nilable[K]()
		return func(r topology.Record[K, V]) {
			if !hasKey(&r, nilableKey) {
				e.drop(topology.ReasonUnkeyed)
				return
			}
			down(r)
		}
	})
}
