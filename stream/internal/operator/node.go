package operator

import (
	"fmt"

	"github.com/millrace-io/millrace/topology"
)

// env is what an operator's code reaches in one task.
type env struct {
	topology.Scope
	node topology.NodeID
}

// drop counts and logs the record that is being processed as left out by this operator.
func (e env) drop(reason topology.Reason) { e.Scope.Drop(e.node, reason, nil) }

// processor makes a node that takes Record[K, V] on one port and emits Record[K2, V2].
func processor[K, V, K2, V2 any](
	name string, stores []string, open func(e env, down topology.Emit[K2, V2]) (topology.Emit[K, V], func() error, error),
) *topology.Node {
	n := &topology.Node{
		Name:   name,
		Kind:   topology.KindProcessor,
		In:     []topology.Edge{topology.EdgeOf[K, V]()},
		Out:    topology.EdgeOf[K2, V2](),
		Stores: stores,
		Fan:    topology.Fan[K2, V2],
	}
	n.Build = func(s topology.Scope, down any) (topology.Instance, error) {
		emit, ok := down.(topology.Emit[K2, V2])
		if !ok {
			return topology.Instance{}, fmt.Errorf("built with %T, want %T", down, emit)
		}
		port, flush, err := open(env{Scope: s, node: n.ID}, emit)
		if err != nil {
			return topology.Instance{}, err
		}
		return topology.Instance{Ports: []any{port}, Flush: flush}, nil
	}
	return n
}

// stateless is processor without stores, flush and failure.
func stateless[K, V, K2, V2 any](name string, open func(e env, down topology.Emit[K2, V2]) topology.Emit[K, V]) *topology.Node {
	return processor(name, nil, func(e env, down topology.Emit[K2, V2]) (topology.Emit[K, V], func() error, error) {
		return open(e, down), nil, nil
	})
}

// store returns the layer of a store of this task, which must be an S.
func store[S any](e env, name string) (S, error) {
	layer := e.Store(name)
	s, ok := layer.(S)
	if !ok {
		return s, fmt.Errorf("store %s is a %T, want %T", name, layer, s)
	}
	return s, nil
}
