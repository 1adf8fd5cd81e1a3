package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Topic is what the log says of a topic.
type Topic struct {
	Name       string
	ID         [16]byte
	Internal   bool              // one of the log's own
	Partitions []PartitionLeader // index = partition
}

// PartitionLeader says who serves a partition.
type PartitionLeader struct {
	Leader      int32 // node id, -1 if there is none now
	LeaderEpoch int32 // -1 if unknown
}

// leader returns who serves partition p, with node -1 if that is not known.
func (t *Topic) leader(p int32) PartitionLeader {
	if p < 0 || int(p) >= len(t.Partitions) {
		return PartitionLeader{-1, -1}
	}
	return t.Partitions[p]
}

// ofLeader reports whether a failure may mean that another node leads the partition now: what the broker says so, and every
// failure to reach it.
func ofLeader(err error) bool {
	k, ok := errors.AsType[*kerr.Error](err)
	if !ok {
		return true
	}
	switch k {
	case kerr.ConcurrentTransactions, kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable, kerr.NotCoordinator,
		kerr.NotEnoughReplicas, kerr.NotEnoughReplicasAfterAppend, kerr.ThrottlingQuotaExceeded:
		return false
	}
	return true
}

// Topics returns the topics of these names, from memory where known. A topic that does not exist is missing in the map.
func (c *Client) Topics(ctx context.Context, names ...string) (map[string]Topic, error) {
	found := make(map[string]Topic, len(names))
	var unknown []string
	c.mu.Lock()
	for _, name := range names {
		if t, ok := c.mu.topics[name]; ok {
			found[name] = t
		} else {
			unknown = append(unknown, name)
		}
	}
	c.mu.Unlock()
	if len(unknown) == 0 {
		return found, nil
	}
	asked, err := c.RefreshTopics(ctx, unknown...)
	if err != nil {
		return nil, err
	}
	for name, t := range asked {
		found[name] = t
	}
	return found, nil
}

// RefreshTopics is as Topics, and asks the log for each of them.
func (c *Client) RefreshTopics(ctx context.Context, names ...string) (map[string]Topic, error) {
	return c.refreshTopics(ctx, c.conn, names)
}

// AllTopics returns all topics that the client may see. It asks the log, in one request: what it says of the topics is of one moment.
func (c *Client) AllTopics(ctx context.Context) (map[string]Topic, error) {
	var all map[string]Topic
	err := retry(ctx, func() error {
		req := kmsg.NewPtrMetadataRequest() // of no topics in particular: of all
		resp, err := req.RequestWith(ctx, c.conn)
		if err != nil {
			return answered(err, 0)
		}
		all = make(map[string]Topic, len(resp.Topics))
		for i := range resp.Topics {
			if rt := &resp.Topics[i]; rt.Topic != nil && rt.ErrorCode == 0 {
				all[*rt.Topic] = topicOf(rt)
			}
		}
		return nil
	})
	if err != nil {
		return nil, doing(err, "list topics")
	}
	c.mu.Lock()
	for name := range c.mu.topics {
		if t, ok := all[name]; ok {
			c.mu.topics[name] = t
		} else {
			delete(c.mu.topics, name)
		}
	}
	c.mu.Unlock()
	return all, nil
}

// Renew asks the log again for the topics that are remembered, but for those that own says are the application's: the count of partitions of
// others may grow. One that the log does not tell of now, because it is gone or forbidden, is remembered as it was: who uses it finds out.
func (c *Client) Renew(ctx context.Context, own func(topic string) bool) error {
	c.mu.Lock()
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(c.mu.topics)), own)
	c.mu.Unlock()
	if len(names) == 0 {
		return nil
	}
	resp, err := askMetadata(ctx, c.conn, names)
	if err != nil {
		return doing(err, "look up topics %q", names)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range resp.Topics {
		rt := &resp.Topics[i]
		if rt.Topic == nil || rt.ErrorCode != 0 {
			continue
		}
		if _, ok := c.mu.topics[*rt.Topic]; ok {
			c.mu.topics[*rt.Topic] = topicOf(rt)
		}
	}
	return nil
}

// refreshTopics asks over conn, which thereby learns the addresses of the leaders.
func (c *Client) refreshTopics(ctx context.Context, conn *kgo.Client, names []string) (map[string]Topic, error) {
	if len(names) == 0 {
		return map[string]Topic{}, nil
	}
	var found map[string]Topic
	err := retry(ctx, func() (err error) {
		found, err = requestTopics(ctx, conn, names)
		return err
	})
	if err != nil {
		return nil, doing(err, "look up topics %q", names)
	}
	c.mu.Lock()
	for _, name := range names {
		if t, ok := found[name]; ok {
			c.mu.topics[name] = t
		} else {
			delete(c.mu.topics, name)
		}
	}
	c.mu.Unlock()
	return found, nil
}

func requestTopics(ctx context.Context, conn *kgo.Client, names []string) (map[string]Topic, error) {
	resp, err := requestMetadata(ctx, conn, names)
	if err != nil {
		return nil, err
	}
	found := make(map[string]Topic, len(names))
	for i := range resp.Topics {
		if rt := &resp.Topics[i]; rt.Topic != nil && rt.ErrorCode == 0 {
			found[*rt.Topic] = topicOf(rt)
		}
	}
	return found, nil
}

// requestMetadata returns what the log says of these topics, and of its brokers. That there is no such topic is no error, all else that it says
// against a topic is.
func requestMetadata(ctx context.Context, conn *kgo.Client, names []string) (*kmsg.MetadataResponse, error) {
	resp, err := askMetadata(ctx, conn, names)
	if err != nil {
		return nil, err
	}
	for i := range resp.Topics {
		rt := &resp.Topics[i]
		if err := kerr.ErrorForCode(rt.ErrorCode); rt.Topic != nil && err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
			return nil, &topicError{*rt.Topic, err}
		}
	}
	return resp, nil
}

func askMetadata(ctx context.Context, conn *kgo.Client, names []string) (*kmsg.MetadataResponse, error) {
	req := kmsg.NewPtrMetadataRequest()
	for _, name := range names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, conn)
	return resp, answered(err, 0)
}

// topicError is what the log says against one of the topics that it was asked about.
type topicError struct {
	topic string
	err   error
}

func (e *topicError) Error() string { return fmt.Sprintf("topic %q: %v", e.topic, e.err) }
func (e *topicError) Unwrap() error { return e.err }

func topicOf(rt *kmsg.MetadataResponseTopic) Topic {
	t := Topic{Name: *rt.Topic, ID: rt.TopicID, Internal: rt.IsInternal, Partitions: make([]PartitionLeader, len(rt.Partitions))}
	for i := range t.Partitions {
		t.Partitions[i] = PartitionLeader{-1, -1}
	}
	for _, rp := range rt.Partitions {
		if rp.Partition >= 0 && int(rp.Partition) < len(t.Partitions) && rp.ErrorCode == 0 {
			t.Partitions[rp.Partition] = PartitionLeader{rp.Leader, rp.LeaderEpoch}
		}
	}
	return t
}
