package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// DeleteRecords deletes the records below an offset of each partition, and returns where the logs start now. It tries again,
// while leaders move, until ctx ends; what was deleted before an error stays deleted. An offset above the high watermark is an error,
// one below the log start is not.
func (c *Client) DeleteRecords(ctx context.Context, before map[TopicPartition]int64) (map[TopicPartition]int64, error) {
	if len(before) == 0 {
		return map[TopicPartition]int64{}, nil
	}
	starts := make(map[TopicPartition]int64, len(before))
	left := maps.Clone(before)
	err := retry(ctx, func() error { return c.deleteRecords(ctx, left, starts) })
	return starts, doing(err, "delete records")
}

// deleteRecords takes out of left what is done, into starts.
func (c *Client) deleteRecords(ctx context.Context, left, starts map[TopicPartition]int64) error {
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.TimeoutMillis = int32(requestTimeout.Milliseconds())
	for topic, ps := range byTopic(sortedKeys(left)) {
		rt := kmsg.NewDeleteRecordsRequestTopic()
		rt.Topic = topic
		for _, p := range ps {
			rp := kmsg.NewDeleteRecordsRequestTopicPartition()
			rp.Partition, rp.Offset = p, left[TopicPartition{Topic: topic, Partition: p}]
			rt.Partitions = append(rt.Partitions, rp)
		}
		req.Topics = append(req.Topics, rt)
	}
	resp, err := req.RequestWith(ctx, c.conn)
	if err != nil {
		return answered(err, 0)
	}
	for _, rt := range resp.Topics {
		for _, rp := range rt.Partitions {
			if failure := kerr.ErrorForCode(rp.ErrorCode); failure != nil {
				failure = doing(failure, "%s-%d", rt.Topic, rp.Partition)
				if err == nil || ClassOf(err) == ClassRetry { // what asking again cannot help with comes first
					err = failure
				}
				continue
			}
			tp := TopicPartition{Topic: rt.Topic, Partition: rp.Partition}
			starts[tp] = rp.LowWatermark
			delete(left, tp)
		}
	}
	if err == nil && len(left) > 0 {
		return errNoAnswer
	}
	return err
}

// CreatePartitions gives a topic more partitions, count in all, and returns when the log's metadata shows them with leaders. A topic
// that has count partitions already is left as it is; one that has more is a *PartitionCountError.
func (c *Client) CreatePartitions(ctx context.Context, topic string, count int32) error {
	found, err := c.ExistingTopics(ctx, topic)
	if err != nil {
		return err
	}
	switch t, ok := found[topic]; {
	case !ok:
		return withClass(doing(errNoTopic, "create partitions of topic %q", topic), ClassFatal)
	case len(t.Partitions) > int(count):
		return withClass(&PartitionCountError{topic, int32(len(t.Partitions)), count}, ClassFatal)
	case len(t.Partitions) == int(count):
		return nil
	}
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.TimeoutMillis = int32(createTimeout.Milliseconds())
	rt := kmsg.NewCreatePartitionsRequestTopic()
	rt.Topic, rt.Count = topic, count
	req.Topics = append(req.Topics, rt)
	err = retry(ctx, func() error {
		resp, err := req.RequestWith(ctx, c.conn)
		if err != nil {
			return answered(err, 0)
		}
		for _, t := range resp.Topics {
			err = kerr.ErrorForCode(t.ErrorCode)
			if err != nil && t.ErrorMessage != nil && *t.ErrorMessage != "" {
				err = fmt.Errorf("%w (%s)", err, *t.ErrorMessage)
			}
		}
		return err
	})
	if err != nil && !errors.Is(err, kerr.InvalidPartitions) { // another one, or an earlier try, may have been faster
		return doing(err, "create partitions of topic %q", topic)
	}
	refused := err
	return retry(ctx, func() error {
		err := c.checkTopics(ctx, []NewTopic{{Name: topic, Partitions: count}})
		var have *PartitionCountError
		if errors.As(err, &have) && refused != nil {
			return withClass(doing(refused, "create partitions of topic %q", topic), ClassFatal)
		}
		if errors.As(err, &have) && have.Have < count {
			return doing(errNotVisible, "create partitions of topic %q", topic)
		}
		return err
	})
}

// Purger deletes the records of repartition topics that nobody needs any more, as they are below what their one reader has
// committed.
type Purger struct {
	c     *Client
	every time.Duration

	mu struct {
		sync.Mutex
		committed, purged map[TopicPartition]int64
	}
}

// NewPurger returns a Purger that deletes at most once in every interval (repartition.purge.interval.ms).
func NewPurger(c *Client, every time.Duration) *Purger {
	p := &Purger{c: c, every: every}
	p.mu.committed, p.mu.purged = make(map[TopicPartition]int64), make(map[TopicPartition]int64)
	return p
}

// Committed notes the offset below which tp is not needed any more. It does not wait, and is safe for use by several goroutines.
func (p *Purger) Committed(tp TopicPartition, offset int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.committed[tp] = max(offset, p.mu.committed[tp])
}

// Run deletes until ctx ends. What fails is logged and tried again later: nothing depends on it but space.
func (p *Purger) Run(ctx context.Context) {
	ticker := time.NewTicker(p.every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := p.Purge(ctx); err != nil && ctx.Err() == nil {
			p.c.log.Warn("purging repartition topics; it is tried again", "in", p.every, "err", err)
		}
	}
}

// Purge deletes what there is to delete now.
func (p *Purger) Purge(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.every)
	defer cancel()
	p.mu.Lock()
	due := make(map[TopicPartition]int64)
	for tp, offset := range p.mu.committed {
		if offset > p.mu.purged[tp] {
			due[tp] = offset
		}
	}
	p.mu.Unlock()
	starts, err := p.c.DeleteRecords(ctx, due)
	p.mu.Lock()
	defer p.mu.Unlock()
	for tp, start := range starts {
		p.mu.purged[tp] = max(start, p.mu.purged[tp])
	}
	return err
}
