package operator

import (
	"errors"
	"fmt"

	"github.com/millrace-io/millrace/topology"
)

// env is what an operator's code reaches in one task.
type env struct {
	scope  topology.Scope
	node   topology.NodeID
	closer *[]func() error // what is to be called when the task closes
}

func newEnv(s topology.Scope, node topology.NodeID) env { return env{s, node, new([]func() error)} }

// atClose has f called when the task closes; f may be nil.
func (e env) atClose(f func() error) {
	if f != nil {
		*e.closer = append(*e.closer, f)
	}
}

// close returns what closes the node, nil if nothing is to be done.
func (e env) close() func() error {
	if len(*e.closer) == 0 {
		return nil
	}
	return func() error {
		var errs []error
		for _, f := range *e.closer {
			errs = append(errs, f())
		}
		return errors.Join(errs...)
	}
}

// abandon closes what a node that could not be built has opened.
func (e env) abandon() error {
	if f := e.close(); f != nil {
		return f()
	}
	return nil
}

// failed hands err, if it is one, to the processing handler, which decides; a refusal is sticky in the task.
func (e env) failed(err error) {
	if err != nil {
		_ = e.scope.Fail(e.node, err)
	}
}

// drop counts and logs the record that is being processed as left out by this operator.
func (e env) drop(reason topology.Reason) { e.scope.Drop(e.node, reason, nil) }

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
		emit, err := downstream[K2, V2](down)
		if err != nil {
			return topology.Instance{}, err
		}
		e := newEnv(s, n.ID)
		port, flush, err := open(e, emit)
		if err != nil {
			return topology.Instance{}, errors.Join(err, e.abandon())
		}
		return topology.Instance{Ports: []any{port}, Flush: flush, Close: e.close()}, nil
	}
	return n
}

// downstream returns what a node was built with.
func downstream[K, V any](down any) (topology.Emit[K, V], error) {
	emit, ok := down.(topology.Emit[K, V])
	if !ok {
		return nil, fmt.Errorf("built with %T, want %T", down, emit)
	}
	return emit, nil
}

// stateless is processor without stores, flush and failure.
func stateless[K, V, K2, V2 any](name string, open func(e env, down topology.Emit[K2, V2]) topology.Emit[K, V]) *topology.Node {
	return processor(name, nil, func(e env, down topology.Emit[K2, V2]) (topology.Emit[K, V], func() error, error) {
		return open(e, down), nil, nil
	})
}

// encodesAtOnce is a store that can be told to fail while the record is at hand that brings what it cannot encode.
type encodesAtOnce interface{ EncodeAtOnce() }

// store returns the layer of a store of this task, which must be an S.
func store[S any](e env, name string) (S, error) {
	layer := e.scope.Store(name)
	s, ok := layer.(S)
	if !ok {
		return s, fmt.Errorf("store %s is a %T, want %T", name, layer, s)
	}
	if eager, ok := layer.(encodesAtOnce); ok && e.scope.Guarded() {
		eager.EncodeAtOnce()
	}
	return s, nil
}
