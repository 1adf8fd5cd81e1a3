package client

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Racks returns in which racks the replicas of the partitions of these topics are, sorted (broker.rack, KIP-36). It asks the log. Of a partition
// that the log does not show, or none of whose replicas is on a broker that runs and has a rack, there is nothing.
func (c *Client) Racks(ctx context.Context, topics ...string) (map[TopicPartition][]string, error) {
	racks := make(map[TopicPartition][]string)
	if len(topics) == 0 {
		return racks, nil
	}
	var resp *kmsg.MetadataResponse
	err := retry(ctx, func() (err error) {
		resp, err = requestMetadata(ctx, c.conn, topics)
		return err
	})
	if err != nil {
		return nil, doing(err, "look up the racks of topics %q", topics)
	}
	of := make(map[int32]string)
	for _, b := range resp.Brokers {
		if b.Rack != nil {
			of[b.NodeID] = *b.Rack
		}
	}
	for _, t := range resp.Topics {
		if t.Topic == nil || t.ErrorCode != 0 { // there is no such topic
			continue
		}
		for _, p := range t.Partitions {
			tp := TopicPartition{Topic: *t.Topic, Partition: p.Partition}
			for _, node := range p.Replicas {
				if rack := of[node]; rack != "" && !slices.Contains(racks[tp], rack) {
					racks[tp] = append(racks[tp], rack)
				}
			}
			slices.Sort(racks[tp])
		}
	}
	return racks, nil
}
