//go:build planted

package worker

import (
	"errors"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/task"
	"github.com/millrace-io/millrace/topology"
)

// SendOutside is a planted bug: it writes a record outside of the open transaction, with a producer that can.
func (c *Collector) SendOutside(topic string, partition int32, r *topology.Raw, _ *task.Origin) error {
	o, ok := c.sender.(interface {
		SendOutside(tp client.TopicPartition, r *topology.Raw) error
	})
	if !ok {
		return errors.New("this producer writes nothing outside of transactions")
	}
	return o.SendOutside(client.TopicPartition{Topic: topic, Partition: partition}, r)
}
