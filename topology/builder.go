package topology

import (
	"errors"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
)

// Builder collects the nodes, stores and topics of a topology. Nodes are joined by typed handles, so that a parent of
// another type does not compile. Faults are collected; Build reports all of them.
type Builder struct {
	t    Topology
	errs []error
}

// NewBuilder returns an empty builder.
func NewBuilder() *Builder { return &Builder{} }

// Output is the output of one node, or of several taken together (And), that carries Record[K, V].
type Output[K, V any] struct {
	b   *Builder
	ids []NodeID
}

// And returns an output that stands for o and others together: a child of it gets the records of all of them.
func (o Output[K, V]) And(others ...Output[K, V]) Output[K, V] {
	ids := append([]NodeID(nil), o.ids...)
	for _, other := range others {
		if other.b != o.b {
			o.b.fail(errors.New(at(Where(), "outputs of two builders cannot be joined")))
			continue
		}
		ids = append(ids, other.ids...)
	}
	return Output[K, V]{b: o.b, ids: ids}
}

// AddSource adds a node that reads topics, decoding keys and values (P-01).
func AddSource[K, V any](b *Builder, name, topic string, key serde.Serde[K], value serde.Serde[V], options ...SourceOption[K, V]) Output[K, V] {
	return AddSourceOf(b, name, []string{topic}, key, value, options...)
}

// AddSourceOf is AddSource over several topics.
func AddSourceOf[K, V any](b *Builder, name string, topics []string, key serde.Serde[K], value serde.Serde[V], options ...SourceOption[K, V]) Output[K, V] {
	n := NewSource(name, topics, key, value, options...)
	return Output[K, V]{b: b, ids: []NodeID{b.Add(n)}}
}

// AddProcessor adds a node that runs a Processor. newProcessor is called once per task and must return a new instance each
// time (P-03).
func AddProcessor[P Processor[KIn, VIn, KOut, VOut], KIn, VIn, KOut, VOut any](
	b *Builder, name string, newProcessor func() P, parent Output[KIn, VIn], stores ...AnyStore,
) Output[KOut, VOut] {
	n := NewProcessor[P, KIn, VIn, KOut, VOut](name, newProcessor)
	for _, s := range stores {
		n.Stores = append(n.Stores, s.storeSpec().Name)
	}
	id := b.Add(n)
	connect(b, parent, id)
	return Output[KOut, VOut]{b: b, ids: []NodeID{id}}
}

// AddSink adds a node that writes a topic, encoding keys and values. The partition is that of the key's bytes, as Kafka's
// default partitioner computes it, unless an option says otherwise.
func AddSink[K, V any](b *Builder, name, topic string, key serde.Serde[K], value serde.Serde[V], parent Output[K, V], options ...SinkOption[K, V]) {
	connect(b, parent, b.Add(NewSink(name, topic, key, value, options...)))
}

// AddDynamicSink is AddSink for a sink that writes each record to the topic that choose returns (P-29).
func AddDynamicSink[K, V any](
	b *Builder, name string, choose Chooser[K, V], key serde.Serde[K], value serde.Serde[V], parent Output[K, V], options ...SinkOption[K, V],
) {
	connect(b, parent, b.Add(NewDynamicSink(name, choose, key, value, options...)))
}

// Repartition sends parent through an internal topic, partitioned by the key, and returns the source that reads it. name
// is the base name; partitions may be 0, see RepartitionTopic. Records without a key are not written (they could not be
// found by it).
func Repartition[K, V any](b *Builder, name string, partitions int32, key serde.Serde[K], value serde.Serde[V], parent Output[K, V]) Output[K, V] {
	r := RepartitionTopic{Name: name, Partitions: partitions}
	b.t.Repartition = append(b.t.Repartition, r)
	AddSink(b, name+"-sink", r.Topic(), key, value, parent, KeyedOnly[K, V]())
	return AddSource(b, name+"-source", r.Topic(), key, value)
}

// AnyStore is a Store handle of any type.
type AnyStore interface{ storeSpec() *state.Spec }

// AddStore adds a store. S is the type of the layer that spec opens; Store.In checks it when a task is built.
func AddStore[S state.Layer](b *Builder, spec *state.Spec) Store[S] {
	b.t.Stores = append(b.t.Stores, spec)
	return Store[S]{spec: spec}
}

// AddGlobalTable adds a table of which every instance holds all partitions. Every processor may read its store; passing it to
// AddProcessor says so in the description of the topology, and connects nothing.
func AddGlobalTable[S state.GlobalLayer](b *Builder, name, topic string, spec *state.Spec) Store[S] {
	b.t.Globals = append(b.t.Globals, GlobalTable{Name: name, Topic: topic, Store: spec.Name, After: len(b.t.Nodes)})
	return AddStore[S](b, spec)
}

// Copartition demands that topics have equal partition counts.
func (b *Builder) Copartition(topics ...string) {
	b.t.Copartitioned = append(b.t.Copartitioned, topics)
}

// Add adds a node, gives it its id and returns it. It is for layers above, such as the DSL, that make their own nodes.
func (b *Builder) Add(n *Node) NodeID {
	n.ID = NodeID(len(b.t.Nodes))
	if n.Line == "" {
		n.Line = Where()
	}
	b.t.Nodes = append(b.t.Nodes, n)
	return n.ID
}

// Connect makes parent's output feed a port of child.
func (b *Builder) Connect(parent, child NodeID, port int) {
	p, c := b.t.Nodes[parent], b.t.Nodes[child]
	p.Children = append(p.Children, child)
	c.Parents = append(c.Parents, parent)
	c.Ports = append(c.Ports, port)
}

func connect[K, V any](b *Builder, parent Output[K, V], child NodeID) {
	if parent.b != b {
		n := b.t.Nodes[child]
		b.fail(errors.New(at(n.Line, "node "+n.Name+": its parent belongs to another builder")))
		return
	}
	for _, id := range parent.ids {
		b.Connect(id, child, 0)
	}
}

func (b *Builder) fail(err error) {
	if b != nil {
		b.errs = append(b.errs, err)
	}
}

// Build returns the topology. It reports every fault at once, see Topology.Validate.
func (b *Builder) Build() (*Topology, error) {
	t := b.t
	if err := errors.Join(append(b.errs, t.Validate())...); err != nil {
		return nil, err
	}
	return &t, nil
}
