package client

import (
	"cmp"
	"iter"
	"maps"
	"slices"
)

func compare(a, b TopicPartition) int {
	return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
}

// byTopic yields the topics in order, each with its partitions in order. Requests are made of it, so that equal calls make
// equal requests.
func byTopic(partitions []TopicPartition) iter.Seq2[string, []int32] {
	return func(yield func(string, []int32) bool) {
		sorted := slices.SortedFunc(slices.Values(partitions), compare)
		for len(sorted) > 0 {
			topic := sorted[0].Topic
			var ps []int32
			for len(sorted) > 0 && sorted[0].Topic == topic {
				ps = append(ps, sorted[0].Partition)
				sorted = sorted[1:]
			}
			if !yield(topic, ps) {
				return
			}
		}
	}
}

func sortedKeys[V any](m map[TopicPartition]V) []TopicPartition {
	return slices.SortedFunc(maps.Keys(m), compare)
}
