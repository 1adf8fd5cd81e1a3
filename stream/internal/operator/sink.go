package operator

import (
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/topology"
)

// partitionBytes is implemented by a key serde of whose bytes only a part decides the partition: a windowed key is
// partitioned by the inner key (D-13).
type partitionBytes interface{ PartitionBytes(encoded []byte) []byte }

// Sink writes to a topic. Nil keys and values become null whoever made the record.
func Sink[K, V any](name, topic string, key serde.Serde[K], value serde.Serde[V]) *topology.Node {
	var opts []topology.SinkOption[K, V]
	if part, ok := key.(partitionBytes); ok {
		opts = append(opts, topology.WithPartitioner(func(_ string, r *topology.Record[K, V], encoded []byte, n int32) int32 {
			if encoded == nil {
				return 0 // a windowed key is never null; without one any partition is as good
			}
			return topology.PartitionOf(part.PartitionBytes(encoded), n)
		}))
	}
	return topology.NewSink(name, topic, key, value, opts...)
}
