package client

import (
	"context"
	"fmt"
)

// NewTopic is a topic to create.
type NewTopic struct {
	Name              string
	Partitions        int32
	ReplicationFactor int16 // 0: the broker's default
	Configs           map[string]string
}

// PartitionCountError says that a topic exists with another number of partitions than is needed.
type PartitionCountError struct {
	Topic      string
	Have, Want int32
}

// Error implements error.
func (e *PartitionCountError) Error() string {
	return fmt.Sprintf("topic %q has %d partitions, %d are needed", e.Topic, e.Have, e.Want)
}

// CreateTopics creates the topics that do not exist, and returns when the log's metadata shows all of them. A topic that
// exists is left as it is; if its number of partitions differs the error is a *PartitionCountError.
func (c *Client) CreateTopics(ctx context.Context, topics ...NewTopic) error { return errPending }

// OffsetSpec says which offset ListOffsets looks up.
type OffsetSpec uint8

// Offsets that can be looked up.
const (
	LogStart      OffsetSpec = iota // the earliest offset that can be read
	HighWatermark                   // the end of what is replicated (read_uncommitted)
	LastStable                      // the end of what read_committed may read
)

// ListOffsets looks up one offset for each partition. Every partition is in the map, or there is an error.
func (c *Client) ListOffsets(ctx context.Context, spec OffsetSpec, partitions []TopicPartition) (map[TopicPartition]int64, error) {
	return nil, errPending
}

// CommittedOffsets returns the group's committed offsets. It asks for stable ones (KIP-447) and, while an open
// transaction holds one, asks again until ctx ends. A partition without a committed offset is missing in the map.
func (c *Client) CommittedOffsets(ctx context.Context, group string, partitions []TopicPartition) (map[TopicPartition]Committed, error) {
	return nil, errPending
}

// CommitOffsets commits offsets outside of any transaction.
func (c *Client) CommitOffsets(ctx context.Context, id Identity, offsets map[TopicPartition]Committed) error {
	return errPending
}
