package operator

import (
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// ToStream turns the changes of a table into records: the new value, or null for a delete (D-43).
func ToStream[K, V any](name string) *topology.Node {
	return stateless(name, func(_ env, down topology.Emit[K, V]) topology.Emit[K, state.Change[V]] {
		return func(r topology.Record[K, state.Change[V]]) {
			if v, ok := r.Value.New.Get(); ok {
				down(topology.WithValue(r, v))
				return
			}
			down(topology.WithoutValueAs[V](r))
		}
	})
}
