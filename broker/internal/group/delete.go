package group

import (
	"container/heap"
	"encoding/binary"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/broker/internal/fields"
)

// Delete handles DeleteGroups for one group: the record removes it with all its offsets, also those that an open transaction
// has staged.
func (c *Coordinator) Delete(name string) (record []byte, err *kerr.Error) {
	switch g := c.groups[name]; {
	case name == "":
		return nil, kerr.InvalidGroupID
	case g == nil:
		return nil, kerr.GroupIDNotFound
	case !g.empty():
		return nil, kerr.NonEmptyGroup
	}
	return encodeDelete(name), nil
}

// NamedPartition is a partition with its topic's name, which subscriptions have.
type NamedPartition struct {
	Partition
	Topic string
}

// DeleteOffsets handles OffsetDelete. It returns one result for each partition, and a record if any offset goes. A partition
// without an offset is no error.
func (c *Coordinator) DeleteOffsets(name string, partitions []NamedPartition) (record []byte, results []*kerr.Error, groupErr *kerr.Error) {
	g := c.groups[name]
	switch {
	case name == "":
		return nil, nil, kerr.InvalidGroupID
	case g == nil:
		return nil, nil, kerr.GroupIDNotFound
	case g.state != Empty && g.protocolType != consumerProtocol:
		return nil, nil, kerr.NonEmptyGroup
	}
	results = make([]*kerr.Error, len(partitions))
	var gone []Partition
	for i, p := range partitions {
		if g.subscribed(p.Topic) {
			results[i] = kerr.GroupSubscribedToTopic
		} else if _, ok := g.offsets[p.Partition]; ok {
			gone = append(gone, p.Partition)
		}
	}
	if len(gone) > 0 {
		record = encodeDeleteOffsets(name, gone)
	}
	return record, results, nil
}

// subscribed reports whether a member of a consumer group subscribes to the topic. A subscription that cannot be read counts as one
// to everything.
func (g *group) subscribed(topic string) bool {
	if g.consumer != nil {
		return g.consumer.subscribed(topic)
	}
	if g.protocolType != consumerProtocol {
		return false
	}
	for _, m := range g.members {
		for _, p := range m.protocols {
			if named, ok := subscribesTo(p.Metadata, topic); named || !ok {
				return true
			}
		}
	}
	return false
}

func encodeDelete(name string) []byte { return fields.AppendString([]byte{recordDelete}, name) }

func encodeDeleteOffsets(name string, partitions []Partition) []byte {
	b := fields.AppendString([]byte{recordDeleteOffsets}, name)
	b = binary.AppendVarint(b, int64(len(partitions)))
	for _, p := range partitions {
		b = append(b, p.Topic[:]...)
		b = binary.AppendVarint(b, int64(p.Index))
	}
	return b
}

// replayDelete removes a group, whatever state it is in: that it was Empty was decided before.
func (c *Coordinator) replayDelete(name string) {
	if g := c.groups[name]; g != nil {
		heap.Remove(&c.timers, g.heapIndex)
		delete(c.groups, name)
	}
	for producerID, groups := range c.staged {
		if delete(groups, name); len(groups) == 0 {
			delete(c.staged, producerID)
		}
	}
}

func (c *Coordinator) replayDeleteOffsets(d *fields.Decoder) error {
	name := d.String()
	var gone []Partition
	for range d.Count(1) {
		gone = append(gone, Partition{Topic: d.ID(), Index: int32(d.Int())})
	}
	if err := d.End(); err != nil {
		return err
	}
	if g := c.groups[name]; g != nil {
		for _, p := range gone {
			delete(g.offsets, p)
		}
	}
	return nil
}
