package client

import "context"

// Topic is what the log says of a topic.
type Topic struct {
	Name       string
	ID         [16]byte
	Partitions []PartitionLeader // index = partition
}

// PartitionLeader says who serves a partition.
type PartitionLeader struct {
	Leader      int32 // node id, -1 if there is none now
	LeaderEpoch int32
}

// Topics returns the topics of these names, from memory where known. A topic that does not exist is missing in the map.
func (c *Client) Topics(ctx context.Context, names ...string) (map[string]Topic, error) {
	return nil, errPending
}

// RefreshTopics is as Topics, and asks the log for each of them.
func (c *Client) RefreshTopics(ctx context.Context, names ...string) (map[string]Topic, error) {
	return nil, errPending
}
