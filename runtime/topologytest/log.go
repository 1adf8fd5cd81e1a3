package topologytest

import (
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/runtime/internal/task"
	"github.com/millrace-io/millrace/topology"
)

// log is the log that the tasks write to and read from: one partition per topic, in memory.
type log struct {
	topics map[string][]topology.Raw // by full name
	sent   func(topic string, r topology.Raw)
}

func newLog() *log { return &log{topics: map[string][]topology.Raw{}} }

// append adds a copy of r to a topic and returns it, with its offset.
func (l *log) append(topic string, r *topology.Raw) topology.Raw {
	c := topology.Raw{
		Key:       slices.Clone(r.Key),
		Value:     slices.Clone(r.Value),
		Timestamp: r.Timestamp,
		Offset:    l.end(topic),
	}
	for _, h := range r.Headers {
		c.Headers = append(c.Headers, topology.Header{Key: h.Key, Value: slices.Clone(h.Value)})
	}
	l.topics[topic] = append(l.topics[topic], c)
	return c
}

func (l *log) end(topic string) int64 { return int64(len(l.topics[topic])) }

// Partitions implements task.Output.
func (l *log) Partitions(string) int32 { return 1 }

// Send implements task.Output.
func (l *log) Send(topic string, partition int32, r *topology.Raw, _ *task.Origin) error {
	if partition != 0 {
		return fmt.Errorf("partition %d: topics of the test driver have one partition", partition)
	}
	l.sent(topic, l.append(topic, r))
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
