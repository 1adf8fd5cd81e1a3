package coordinator

import (
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/group"
)

// ConsumerHeartbeat handles ConsumerGroupHeartbeat. The result may be told when the LSN is durable.
func (c *Coordinator) ConsumerHeartbeat(r group.ConsumerHeartbeatRequest) (group.ConsumerHeartbeatResult, commitlog.LSN, error) {
	c.groups.Lock()
	defer c.groups.Unlock()
	e, res := c.groups.ConsumerHeartbeat(c.now(), c.topics(), r)
	err := c.performLocked(e)
	c.groups.alarm.set(c.groups.Next())
	return res, c.log.Enqueued(), err
}

// DescribeConsumerGroup returns a KIP-848 group; ok is false if there is none. It may be told when the LSN is durable.
func (c *Coordinator) DescribeConsumerGroup(name string) (d group.ConsumerDescription, ok bool, lsn commitlog.LSN) {
	c.groups.Lock()
	defer c.groups.Unlock()
	d, ok = c.groups.DescribeConsumer(name)
	return d, ok, c.log.Enqueued()
}

// MayFetchOffsets returns the error of a member of a KIP-848 group that may not fetch its offsets, or nil.
func (c *Coordinator) MayFetchOffsets(name string, memberID *string, epoch int32) *kerr.Error {
	c.groups.Lock()
	defer c.groups.Unlock()
	return c.groups.MayFetch(name, memberID, epoch)
}

// topics are the log's topics, as a group sees them. The version is asked for first, so that what changes meanwhile is looked at again.
type topics struct {
	log     *commitlog.Log
	version uint64
}

func (c *Coordinator) topics() topics { return topics{c.log, c.log.TopicsVersion()} }

func (t topics) Version() uint64 { return t.version }

func (t topics) Topic(name string) (group.TopicID, int32, bool) {
	x, ok := t.log.Topic(name)
	return x.ID, x.Partitions, ok
}

func (t topics) Name(id group.TopicID) (string, bool) {
	x, ok := t.log.TopicByID(id)
	return x.Name, ok
}

func (t topics) Matching(match func(name string) bool) (names []string) {
	for _, x := range t.log.Topics() {
		if match(x.Name) {
			names = append(names, x.Name)
		}
	}
	return names
}
