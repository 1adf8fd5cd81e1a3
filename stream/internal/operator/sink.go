package operator

import (
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/topology"
)

// partitionBytes is implemented by a key serde of whose bytes only a part decides the partition: a windowed key is
// partitioned by the inner key (D-13).
type partitionBytes interface{ PartitionBytes(encoded []byte) []byte }

// Sink writes to a topic of the user's. A nil key or value is written as null even if a processor did not flag it.
func Sink[K, V any](name, topic string, key serde.Serde[K], value serde.Serde[V], opts ...topology.SinkOption[K, V]) *topology.Node {
	return flagNil[K, V](topology.NewSink(name, topic, key, value, byInnerKey(key, opts)...))
}

// DynamicSink is Sink for topics that are chosen for each record.
func DynamicSink[K, V any](
	name string, choose topology.Chooser[K, V], key serde.Serde[K], value serde.Serde[V], opts ...topology.SinkOption[K, V],
) *topology.Node {
	return flagNil[K, V](topology.NewDynamicSink(name, choose, key, value, byInnerKey(key, opts)...))
}

// byInnerKey puts the default partitioner of a windowed key before the options, which may bring another one.
func byInnerKey[K, V any](key serde.Serde[K], opts []topology.SinkOption[K, V]) []topology.SinkOption[K, V] {
	if part, ok := key.(partitionBytes); ok {
		opts = append([]topology.SinkOption[K, V]{topology.WithPartitioner(func(_ string, _ *topology.Record[K, V], encoded []byte, n int32) int32 {
			return topology.PartitionOf(part.PartitionBytes(encoded), n)
		})}, opts...)
	}
	return opts
}

// RepartitionSink writes to a repartition topic. Windowed keys are partitioned as a whole there, as in Kafka Streams.
func RepartitionSink[K, V any](name, topic string, key serde.Serde[K], value serde.Serde[V], opts ...topology.SinkOption[K, V]) *topology.Node {
	return flagNil[K, V](topology.NewSink(name, topic, key, value, opts...))
}

// flagNil makes a node see null where a key or value is nil.
func flagNil[K, V any](n *topology.Node) *topology.Node {
	nilableKey, nilableValue := nilable[K](), nilable[V]()
	if !nilableKey && !nilableValue {
		return n
	}
	build := n.Build
	n.Build = func(s topology.Scope, down any) (topology.Instance, error) {
		inst, err := build(s, down)
		if err != nil {
			return inst, err
		}
		port := inst.Ports[0].(topology.Emit[K, V])
		inst.Ports = []any{topology.Emit[K, V](func(r topology.Record[K, V]) {
			flag(&r, nilableKey, nilableValue)
			port(r)
		})}
		return inst, nil
	}
	return n
}
