package topologytest

import (
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/runtime/internal/task"
	"github.com/millrace-io/millrace/topology"
)

// log is the log that the tasks write to and read from, in memory.
type log struct {
	topics map[string][]written // by full name, all partitions, in the order in which they were written
	ends   map[task.Input]int64
	counts map[string]int32 // partitions by full name; 0: others
	others int32            // partitions of topics that only sinks write
	sent   func(in task.Input, r topology.Raw)
}

// written is a record of a topic.
type written struct {
	topology.Raw
	partition int32
}

func newLog() *log {
	return &log{topics: map[string][]written{}, ends: map[task.Input]int64{}, counts: map[string]int32{}, others: 1}
}

// append adds a copy of r to a partition and returns it, with its offset.
func (l *log) append(in task.Input, r *topology.Raw) topology.Raw {
	c := topology.Raw{
		Key:       slices.Clone(r.Key),
		Value:     slices.Clone(r.Value),
		Timestamp: r.Timestamp,
		Offset:    l.ends[in],
	}
	for _, h := range r.Headers {
		c.Headers = append(c.Headers, topology.Header{Key: h.Key, Value: slices.Clone(h.Value)})
	}
	l.topics[in.Topic] = append(l.topics[in.Topic], written{c, in.Partition})
	l.ends[in]++
	return c
}

// Partitions implements task.Output.
func (l *log) Partitions(topic string) int32 {
	if n := l.counts[topic]; n > 0 {
		return n
	}
	return l.others
}

// Send implements task.Output.
func (l *log) Send(topic string, partition int32, r *topology.Raw, _ *task.Origin) error {
	if n := l.Partitions(topic); partition < 0 || partition >= n {
		return fmt.Errorf("topic %s has %d partitions in this test, and a record was sent to partition %d: see Partitions", topic, n, partition)
	}
	in := task.Input{Topic: topic, Partition: partition}
	l.sent(in, l.append(in, r))
	return nil
}

// single is a batch of one record.
type single struct {
	record topology.Raw
	read   bool
}

var _ task.Batch = (*single)(nil)

func (b *single) Next(r *topology.Raw) (bool, error) {
	if b.read {
		return false, nil
	}
	*r, b.read = b.record, true
	return true, nil
}

func (b *single) End() int64         { return b.record.Offset + 1 }
func (b *single) LeaderEpoch() int32 { return -1 }
func (b *single) Bytes() int         { return len(b.record.Key) + len(b.record.Value) }
func (b *single) Release()           {}
