package stream

import (
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream/internal/plan"
	"github.com/millrace-io/millrace/topology"
)

// ProcessOption is an option of [Process] and [ProcessValues].
type ProcessOption interface{ process(*processConfig) }

type processConfig struct {
	stepConfig
	stores []string
}

// StoresOption connects stores to a processor. It is made by [Stores].
type StoresOption struct{ names []string }

// Stores connects stores to a processor, so that their handles work in its Init, see [AddStore].
func Stores(stores ...interface{ Name() string }) StoresOption {
	var o StoresOption
	for _, s := range stores {
		o.names = append(o.names, s.Name())
	}
	return o
}

func (o StoresOption) process(c *processConfig) { c.stores = append(c.stores, o.names...) }

// Process runs a processor written by hand on each record. What it forwards becomes a stream; an aggregation of it goes
// through a repartition topic, since the key may have changed: use [ProcessValues] where it cannot. newProcessor is called once
// per task and returns a new instance each time.
func Process[P topology.Processor[K, V, K2, V2], K, V, K2, V2 any](
	s KStream[K, V], newProcessor func() P, opts ...ProcessOption,
) KStream[K2, V2] {
	name, stores := s.b.process(plan.Process, newProcessor != nil, opts)
	node := topology.NewProcessor[P, K, V, K2, V2](name, newProcessor)
	node.Stores = stores
	out := KStream[K2, V2]{b: s.b, node: s.b.plan.Add(node, s.node).Rekeys(), rekeyed: true}
	out.node.ReadsSource()
	return out
}

// ProcessValues runs a processor on each record that may forward any number of values under the record's key. Nothing is
// repartitioned.
func ProcessValues[P ValueProcessor[K, V, R], K, V, R any](
	s KStream[K, V], newProcessor func() P, opts ...ProcessOption,
) KStream[K, R] {
	name, stores := s.b.process(plan.ProcessVals, newProcessor != nil, opts)
	node := topology.NewProcessor[*fixedKey[K, V, R], K, V, K, R](name, func() *fixedKey[K, V, R] {
		return &fixedKey[K, V, R]{processor: newProcessor()}
	})
	node.Stores = stores
	out := then(s, node, serde.Serde[R](nil))
	out.node.ReadsSource()
	return out
}

// process resolves the options of a processor and names its node.
func (b *Builder) process(prefix string, constructor bool, opts []ProcessOption) (name string, stores []string) {
	var c processConfig
	for _, o := range opts {
		o.process(&c)
	}
	name = b.plan.NameUnburned(c.take(b), prefix)
	b.require(name, constructor, "the constructor of its processor is nil")
	return name, c.stores
}
