package client

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/runtime/internal/planted"
)

// OffsetSpec says which offset ListOffsets looks up: one of these, or that of the first record from a time on, see Since.
type OffsetSpec int64

// Offsets that can be looked up.
const (
	HighWatermark OffsetSpec = -1 // the end of what is replicated (read_uncommitted)
	LogStart      OffsetSpec = -2 // the earliest offset that can be read
	LastStable    OffsetSpec = -3 // the end of what read_committed may read
)

// Since looks up the first record that has this time or a later one; the last stable offset if there is none.
func Since(t time.Time) OffsetSpec { return OffsetSpec(max(t.UnixMilli(), 0)) }

// noOffset is answered where no record is of the time that was asked for, or of a later one.
const noOffset = -1

// ListOffsets looks up one offset for each partition. Every partition is in the map, or there is an error. It tries again,
// while leaders move, until ctx ends.
func (c *Client) ListOffsets(ctx context.Context, spec OffsetSpec, partitions []TopicPartition) (map[TopicPartition]int64, error) {
	if len(partitions) == 0 {
		return map[TopicPartition]int64{}, nil
	}
	var offsets map[TopicPartition]int64
	err := retry(ctx, func() (err error) {
		offsets, err = c.listOffsets(ctx, spec, partitions)
		return err
	})
	if err != nil {
		return nil, err
	}
	late := slices.DeleteFunc(slices.Clone(partitions), func(tp TopicPartition) bool { return offsets[tp] != noOffset })
	ends, err := c.ListOffsets(ctx, LastStable, late)
	maps.Copy(offsets, ends)
	return offsets, err
}

func (c *Client) listOffsets(ctx context.Context, spec OffsetSpec, partitions []TopicPartition) (map[TopicPartition]int64, error) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	timestamp := int64(spec)
	if spec == LastStable {
		timestamp, req.IsolationLevel = int64(HighWatermark), isolationCommitted
	}
	for topic, ps := range byTopic(partitions) {
		rt := kmsg.NewListOffsetsRequestTopic()
		rt.Topic = topic
		for _, p := range ps {
			rp := kmsg.NewListOffsetsRequestTopicPartition()
			rp.Partition, rp.Timestamp = p, timestamp
			rt.Partitions = append(rt.Partitions, rp)
		}
		req.Topics = append(req.Topics, rt)
	}
	resp, err := req.RequestWith(ctx, c.conn)
	if err != nil {
		return nil, doing(answered(err, 0), "list offsets")
	}
	offsets := make(map[TopicPartition]int64, len(partitions))
	for _, rt := range resp.Topics {
		for _, rp := range rt.Partitions {
			if err := kerr.ErrorForCode(rp.ErrorCode); err != nil {
				return nil, doing(err, "list offsets of %s-%d", rt.Topic, rp.Partition)
			}
			offsets[TopicPartition{Topic: rt.Topic, Partition: rp.Partition}] = rp.Offset
		}
	}
	for _, tp := range partitions {
		if _, ok := offsets[tp]; !ok {
			return nil, doing(kerr.UnknownTopicOrPartition, "list offsets of %s-%d", tp.Topic, tp.Partition)
		}
	}
	return offsets, nil
}

// CommittedOffsets returns the group's committed offsets. It asks for stable ones (KIP-447) and, while an open
// transaction holds one, asks again until ctx ends. A partition without a committed offset is missing in the map.
func (c *Client) CommittedOffsets(ctx context.Context, group string, partitions []TopicPartition) (map[TopicPartition]Committed, error) {
	if len(partitions) == 0 {
		return map[TopicPartition]Committed{}, nil
	}
	var offsets map[TopicPartition]Committed
	err := retry(ctx, func() (err error) {
		offsets, err = c.committedOffsets(ctx, group, partitions, !planted.Is(planted.UnstableOffsets))
		return err
	})
	return offsets, doing(err, "fetch committed offsets of group %q", group)
}

// LastCommitted is as CommittedOffsets, but does not wait for open transactions: what they hold may be committed at any time. It is for
// those who only look, and tries once.
func (c *Client) LastCommitted(ctx context.Context, group string, partitions []TopicPartition) (map[TopicPartition]Committed, error) {
	offsets, err := c.committedOffsets(ctx, group, partitions, false)
	return offsets, doing(err, "look at committed offsets of group %q", group)
}

func (c *Client) committedOffsets(ctx context.Context, group string, partitions []TopicPartition, stable bool) (map[TopicPartition]Committed, error) {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.RequireStable = stable
	rg := kmsg.NewOffsetFetchRequestGroup()
	rg.Group = group
	for topic, ps := range byTopic(partitions) {
		rt := kmsg.NewOffsetFetchRequestGroupTopic()
		rt.Topic, rt.Partitions = topic, ps
		rg.Topics = append(rg.Topics, rt)
	}
	req.Groups = append(req.Groups, rg)
	resp, err := req.RequestWith(ctx, c.conn)
	if err != nil {
		return nil, answered(err, 0)
	}
	if len(resp.Groups) != 1 {
		return nil, fmt.Errorf("answer holds %d groups", len(resp.Groups))
	}
	if err := kerr.ErrorForCode(resp.Groups[0].ErrorCode); err != nil {
		return nil, err
	}
	offsets := make(map[TopicPartition]Committed, len(partitions))
	for _, rt := range resp.Groups[0].Topics {
		for _, rp := range rt.Partitions {
			if err := kerr.ErrorForCode(rp.ErrorCode); err != nil {
				return nil, doing(err, "%s-%d", rt.Topic, rp.Partition)
			}
			if rp.Offset < 0 {
				continue
			}
			committed := Committed{Offset: rp.Offset, LeaderEpoch: rp.LeaderEpoch}
			if rp.Metadata != nil {
				committed.Metadata = *rp.Metadata
			}
			offsets[TopicPartition{Topic: rt.Topic, Partition: rp.Partition}] = committed
		}
	}
	return offsets, nil
}

// CommitOffsets commits offsets outside of any transaction.
func (c *Client) CommitOffsets(ctx context.Context, id Identity, offsets map[TopicPartition]Committed) error {
	if len(offsets) == 0 {
		return nil
	}
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.MemberID, req.Generation, req.InstanceID = id.Group, id.MemberID, id.Generation, id.instanceID()
	for topic, ps := range byTopic(sortedKeys(offsets)) {
		rt := kmsg.NewOffsetCommitRequestTopic()
		rt.Topic = topic
		for _, p := range ps {
			o := offsets[TopicPartition{Topic: topic, Partition: p}]
			rp := kmsg.NewOffsetCommitRequestTopicPartition()
			rp.Partition, rp.Offset, rp.LeaderEpoch, rp.Metadata = p, o.Offset, o.LeaderEpoch, kmsg.StringPtr(o.Metadata)
			rt.Partitions = append(rt.Partitions, rp)
		}
		req.Topics = append(req.Topics, rt)
	}
	err := retry(ctx, func() error {
		resp, err := req.RequestWith(ctx, c.conn)
		if err != nil {
			return answered(err, 0)
		}
		for _, rt := range resp.Topics {
			for _, rp := range rt.Partitions {
				if err := kerr.ErrorForCode(rp.ErrorCode); err != nil {
					return doing(err, "%s-%d", rt.Topic, rp.Partition)
				}
			}
		}
		return nil
	})
	return doing(err, "commit offsets of group %q", id.Group)
}
