package stream

import (
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream/internal/operator"
	"github.com/millrace-io/millrace/stream/internal/plan"
	"github.com/millrace-io/millrace/topology"
)

// To writes the stream to a topic, which must exist. Keys and values that are null are written as null; times and headers go
// along. The partition is that of the encoded key, as Kafka's default partitioner computes it (murmur2; a windowed
// key counts without its window), unless [PartitionBy] says otherwise; records without a key are spread over the partitions.
func (s KStream[K, V]) To(topic string, key serde.Serde[K], value serde.Serde[V], opts ...SinkOption) {
	name, options := sinkOptions[K, V](s.b, key != nil, value != nil, opts)
	if err := plan.Legal(topic); err != nil {
		s.b.plan.Fail("node %s: topic %q: %w", name, topic, err)
	}
	s.b.plan.Add(operator.Sink(name, topic, key, value, options...), s.node)
}

// ToTopics writes each record of the stream to the topic that choose returns, as [KStream.To] does. The topics must exist when they are
// chosen; a record for another one is a fault for the processing handler. choose sees the record, and where the record that is being
// processed came from. It stands for Kafka Streams' KStream.to with a TopicNameExtractor.
func (s KStream[K, V]) ToTopics(
	choose func(r *topology.Record[K, V], from topology.Coordinates) string, key serde.Serde[K], value serde.Serde[V], opts ...SinkOption,
) {
	name, options := sinkOptions[K, V](s.b, key != nil, value != nil, opts)
	s.b.require(name, choose != nil, "the function that chooses topics is nil")
	node := s.b.plan.Add(operator.DynamicSink(name, choose, key, value, options...), s.node)
	node.ReadsSource()
}

func sinkOptions[K, V any](b *Builder, key, value bool, opts []SinkOption) (name string, options []topology.SinkOption[K, V]) {
	var c sinkConfig
	for _, o := range opts {
		o.sink(&c)
	}
	name = b.plan.Name(c.take(b), plan.Sink)
	b.require(name, key, "the key serde is nil")
	b.require(name, value, "the value serde is nil")
	for _, p := range c.partitioners {
		o, ok := p.(topology.SinkOption[K, V])
		if !ok {
			b.plan.Fail("node %s: its partitioner is a %T, want %T", name, p, o)
			continue
		}
		options = append(options, o)
	}
	return name, options
}

// PartitionOption says how a sink chooses partitions. It is made by [PartitionBy] and [PartitionByMany].
type PartitionOption struct{ option any }

// PartitionBy makes a sink choose the partition of each record by p. A negative answer drops the record, counted, but for
// topology.ByKey, which leaves the choice to the default. It stands for the partitioner of Kafka Streams' Produced.
func PartitionBy[K, V any](p topology.Partitioner[K, V]) PartitionOption {
	return PartitionOption{topology.WithPartitioner(p)}
}

// PartitionByMany makes a sink write each record to all the partitions that m returns; none drops the record, counted. (KIP-837)
func PartitionByMany[K, V any](m topology.Multicast[K, V]) PartitionOption {
	return PartitionOption{topology.WithMulticast(m)}
}

func (o PartitionOption) sink(c *sinkConfig) { c.partitioners = append(c.partitioners, o.option) }
