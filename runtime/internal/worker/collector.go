package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/commit"
	"github.com/millrace-io/millrace/runtime/internal/recordbatch"
	"github.com/millrace-io/millrace/runtime/internal/task"
	"github.com/millrace-io/millrace/topology"
)

// sendBytes, unless the worker is configured otherwise, is the size from which a batch is sent before the commit: large enough that its overhead does not count, small
// enough that the log works while the worker does.
const sendBytes = 128 << 10

// sender is what the collector needs of a producer.
type sender interface {
	Builder() *recordbatch.Builder
	Send(ctx context.Context, tp client.TopicPartition, b *recordbatch.Builder) error
}

// Collector builds the record batches of what a worker's tasks write in the open transaction, and sends them when they are
// large or when the commit wants them sent. It implements task.Output for all tasks of one worker and belongs to the worker's
// goroutine.
//
// A record that is larger than its topic allows is no failure: it is not written, and the node that wanted to write it asks the
// production handler; nor is one for a partition that was given up. What the log refuses later is decided by Worker.judge. Any other
// failure is sticky: the producer is shared, so no task may go on as if its records were written.
type Collector struct {
	ctx     context.Context // the worker's: Send waits under it while too much is under way
	sender  sender
	counts  func(topic string) int32
	limits  func(topic string) int // nil: none but the builders' own
	full    int                    // bytes from which a batch is sent
	topics  []*outTopic
	last    *outTopic
	err     error
	records int64 // since Discard or the last commit
	// Partitions that could not be written, and that a handler wants done without: until the next commit, however often the transaction
	// is begun anew.
	givenUp map[client.TopicPartition]error
}

// outTopic holds the open batches of one topic.
type outTopic struct {
	name    string
	count   int32                  // of partitions; 0: it does not exist, -1: it cannot be looked up
	counted bool                   // in the open transaction
	limit   int                    // of a batch, 0: the builders' own
	open    []*recordbatch.Builder // by partition; nil: none
	dirty   []int32                // partitions with an open batch, in the order of their first record
	records int64                  // in the open transaction
	total   int64                  // committed
}

// NewCollector returns an empty collector. partitions returns the partition count of a topic, as task.Output does.
func NewCollector(ctx context.Context, s sender, partitions func(topic string) int32) *Collector {
	return &Collector{ctx: ctx, sender: s, counts: partitions, full: sendBytes}
}

// Partitions implements task.Output.
func (c *Collector) Partitions(topic string) int32 { return c.topic(topic).count }

// Send implements task.Output.
func (c *Collector) Send(topic string, partition int32, r *topology.Raw, from *task.Origin) error {
	if c.err != nil {
		return c.err
	}
	t := c.topic(topic)
	if partition < 0 || int(partition) >= len(t.open) {
		return c.fail(commit.Fatal(fmt.Errorf("write to topic %s: partition %d of %d does not exist", topic, partition, len(t.open))))
	}
	if len(c.givenUp) > 0 && from.Node >= 0 {
		if err := c.givenUp[client.TopicPartition{Topic: t.name, Partition: partition}]; err != nil {
			return &topology.WriteError{Topic: topic, Partition: partition, Err: err, Retriable: true}
		}
	}
	b := t.open[partition]
	if b == nil {
		b = c.begin(t, partition)
	}
	err := b.Append(r.Key, r.Value, r.Timestamp, r.Headers)
	if errors.Is(err, recordbatch.ErrFull) {
		if err = c.flush(t, partition); err != nil {
			return err
		}
		b = c.begin(t, partition)
		err = b.Append(r.Key, r.Value, r.Timestamp, r.Headers)
	}
	if err != nil {
		return &topology.WriteError{Topic: topic, Partition: partition, Err: tooLarge(t, r, err)}
	}
	b.Note(from)
	t.records++
	c.records++
	if b.Bytes() >= c.full {
		return c.flush(t, partition)
	}
	return nil
}

// tooLarge says of a record that does not fit into a batch what is to be done.
func tooLarge(t *outTopic, r *topology.Raw, err error) error {
	limit := t.limit
	if limit == 0 {
		limit = recordbatch.DefaultMaxBytes
	}
	return fmt.Errorf("key of %d bytes, value of %d bytes: %w; the topic's max.message.bytes, or Config.MaxRecordBytes, allows a batch of %d bytes",
		len(r.Key), len(r.Value), err, limit)
}

// Flush sends every open batch, in the order in which topics and partitions were first written. It does not wait for the
// answers.
func (c *Collector) Flush() error {
	if c.err != nil {
		return c.err
	}
	for _, t := range c.topics {
		for len(t.dirty) > 0 {
			if err := c.flush(t, t.dirty[0]); err != nil {
				return err
			}
		}
	}
	return nil
}

// GiveUp does without a partition until the next commit.
func (c *Collector) GiveUp(tp client.TopicPartition, err error) {
	if c.givenUp == nil {
		c.givenUp = make(map[client.TopicPartition]error)
	}
	c.givenUp[tp] = err
}

// Withdraw takes the open batch of a partition away, nil if there is none.
func (c *Collector) Withdraw(tp client.TopicPartition) *recordbatch.Builder {
	t := c.topic(tp.Topic)
	if int(tp.Partition) >= len(t.open) {
		return nil
	}
	b := t.open[tp.Partition]
	c.close(t, tp.Partition)
	return b
}

// Forgive takes GiveUp back: those partitions are tried again.
func (c *Collector) Forgive() { c.givenUp = nil }

// Dropped notes that n records of a topic, which were written, are left out.
func (c *Collector) Dropped(topic string, n int) {
	c.topic(topic).records -= int64(n)
	c.records -= int64(n)
}

// Records returns how many records were written since the last Committed or Discard.
func (c *Collector) Records() int64 { return c.records }

// Err returns the failure that stuck.
func (c *Collector) Err() error { return c.err }

// Committed notes that what was written is committed. Partition counts are asked for anew: topics may have been made, or have grown.
func (c *Collector) Committed() {
	for _, t := range c.topics {
		t.total += t.records
		t.records, t.counted = 0, false
	}
	c.last, c.records, c.givenUp = nil, 0, nil
}

// Discard drops the open batches and the failure: the transaction is over and lost. Partition counts are asked for anew.
func (c *Collector) Discard() {
	for _, t := range c.topics {
		t.open, t.dirty, t.records, t.counted = nil, nil, 0, false
	}
	c.last, c.err, c.records = nil, nil, 0
}

// Written calls f with the committed record count of each topic.
func (c *Collector) Written(f func(topic string, records int64)) {
	for _, t := range c.topics {
		f(t.name, t.total)
	}
}

// topic finds a topic's batches. Tasks hold one string per topic, so that comparing it with the last one costs a pointer.
func (c *Collector) topic(name string) *outTopic {
	if t := c.last; t != nil && t.name == name {
		return t
	}
	t := c.find(name)
	if !t.counted || len(t.open) == 0 {
		c.count(t)
	}
	c.last = t
	return t
}

// count asks for a topic's partitions. A topic that had some keeps as many if that cannot be told now.
func (c *Collector) count(t *outTopic) {
	n, first := c.counts(t.name), len(t.open) == 0
	t.counted = true
	if !first && (n <= 0 || n == t.count) {
		return
	}
	t.count = n
	t.open = make([]*recordbatch.Builder, max(n, 0))
	if first && c.limits != nil {
		t.limit = c.limits(t.name)
	}
}

func (c *Collector) find(name string) *outTopic {
	for _, t := range c.topics {
		if t.name == name {
			return t
		}
	}
	t := &outTopic{name: name}
	c.topics = append(c.topics, t)
	return t
}

func (c *Collector) begin(t *outTopic, partition int32) *recordbatch.Builder {
	b := c.sender.Builder()
	if t.limit > 0 {
		b.Limit(t.limit)
	}
	t.open[partition] = b
	t.dirty = append(t.dirty, partition)
	return b
}

// flush sends the open batch of one partition.
func (c *Collector) flush(t *outTopic, partition int32) error {
	b := t.open[partition]
	c.close(t, partition)
	if b.Len() == 0 {
		return nil
	}
	if err := c.sender.Send(c.ctx, client.TopicPartition{Topic: t.name, Partition: partition}, b); err != nil {
		return c.fail(err)
	}
	return nil
}

// close takes the open batch of a partition away.
func (c *Collector) close(t *outTopic, partition int32) {
	t.open[partition] = nil
	for i, p := range t.dirty {
		if p == partition {
			t.dirty = append(t.dirty[:i], t.dirty[i+1:]...)
			break
		}
	}
}

func (c *Collector) fail(err error) error {
	if c.err == nil {
		c.err = err
	}
	return err
}
