package stream

import (
	"regexp"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream/internal/operator"
	"github.com/millrace-io/millrace/stream/internal/plan"
	"github.com/millrace-io/millrace/topology"
)

// Repartitioned says how a stream goes through a repartition topic. It stands for Kafka Streams' Repartitioned.
type Repartitioned[K, V any] struct {
	key        serde.Serde[K]
	value      serde.Serde[V]
	name       string
	partitions int32
	partition  topology.Partitioner[K, V]
	automatic  bool // an operator needs it, nobody asked for it
}

// RepartitionedWith returns the serdes of a repartition.
func RepartitionedWith[K, V any](key serde.Serde[K], value serde.Serde[V]) Repartitioned[K, V] {
	return Repartitioned[K, V]{key: key, value: value}
}

// Named names the repartition topic: "<application id>-<name>-repartition".
func (r Repartitioned[K, V]) Named(name string) Repartitioned[K, V] {
	r.name = name
	return r
}

// Partitions sets the number of partitions of the topic. Without it there are as many as the stream's source has.
func (r Repartitioned[K, V]) Partitions(n int32) Repartitioned[K, V] {
	r.partitions = n
	return r
}

// PartitionBy chooses the partition of each record by p, in place of the hash of the key. What is joined or aggregated below must be
// partitioned in the same way. A negative answer drops the record, counted, but for topology.ByKey. It stands for the partitioner
// of Kafka Streams' Repartitioned.
func (r Repartitioned[K, V]) PartitionBy(p topology.Partitioner[K, V]) Repartitioned[K, V] {
	r.partition = p
	return r
}

// sinkOptions returns the options of the sink that writes to the topic.
func (r Repartitioned[K, V]) sinkOptions() []topology.SinkOption[K, V] {
	if r.partition == nil {
		return nil
	}
	return []topology.SinkOption[K, V]{topology.WithPartitioner(r.partition)}
}

// Repartition sends the stream through an internal topic, partitioned by the key, even if nothing asks for it: to spread work
// over more tasks, or to cut a topology. Records without a key do not pass; they are counted apart from dropped ones. The
// serdes that the stream knows are used unless others are given.
func (s KStream[K, V]) Repartition(repartitioned ...Repartitioned[K, V]) KStream[K, V] {
	r := Repartitioned[K, V]{key: s.key, value: s.value}
	if len(repartitioned) > 0 {
		r = repartitioned[0]
	}
	if len(repartitioned) > 1 {
		s.b.plan.Fail("Repartition below %s: %d settings are given, want one", s.node.Name, len(repartitioned))
	}
	name := s.b.plan.NameUnburned(r.name, plan.Repartition)
	node := repartition(s.b, name, r, s.node)
	return KStream[K, V]{b: s.b, node: node, key: r.key, value: r.value}
}

// generated matches a base name that nobody chose; the nodes of such a repartition get generated names too.
var generated = regexp.MustCompile(`^KSTREAM.*-[0-9]{10}$`)

// repartitionBy adds the repartition that an operator below parent needs: one that may be merged with others.
func repartitionBy[K, V any](b *Builder, base string, key serde.Serde[K], value serde.Serde[V], parent *plan.Node) *plan.Node {
	return repartition(b, base, Repartitioned[K, V]{key: key, value: value, automatic: true}, parent)
}

// repartition adds a logical repartition below parent. Its three nodes burn a number each, in Kafka Streams' order.
func repartition[K, V any](b *Builder, base string, r Repartitioned[K, V], parent *plan.Node) *plan.Node {
	sink, filter, source := "", "", ""
	if !generated.MatchString(base) {
		sink, filter, source = base+"-repartition-sink", base+"-repartition-filter", base+"-repartition-source"
	}
	sink, filter, source = b.plan.Name(sink, plan.Sink), b.plan.Name(filter, plan.Filter), b.plan.Name(source, plan.Source)
	topic := topology.RepartitionTopic{Name: base, Partitions: r.partitions}
	const fix = "the repartition topic needs it: give it by GroupedWith or RepartitionedWith"
	b.require(topic.Topic(), r.key != nil, "the key serde is unknown; "+fix)
	b.require(topic.Topic(), r.value != nil, "the value serde is unknown; "+fix)
	return b.plan.AddRepartition(plan.Via{
		Topic:     topic,
		Automatic: r.automatic,

		Filter:  operator.KeyFilter[K, V](filter),
		Relaxed: operator.Pass[K, V](filter),
		Sink:    operator.RepartitionSink(sink, topic.Topic(), r.key, r.value, r.sinkOptions()...),
		Source:  topology.NewSource(source, []string{topic.Topic()}, r.key, r.value),
	}, parent)
}
