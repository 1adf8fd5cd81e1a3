package txn

import (
	"fmt"

	"github.com/millrace-io/millrace/broker/internal/fields"
	"github.com/millrace-io/millrace/broker/internal/inspect"
)

// Describe says what a record means.
func Describe(record []byte) (inspect.Item, error) {
	c := New()
	d := fields.NewDecoder(record)
	switch kind := d.Byte(); kind {
	case recordReserve:
		it := inspect.New("txn.reserve", "producerIdsBelow", d.Int())
		return it, d.End()
	case recordState:
		if err := c.Replay(record); err != nil {
			return inspect.Item{}, err
		}
		for _, t := range c.transactions {
			return inspect.New("txn.state", "transactionalId", t.id, "producerId", t.producer.ID, "producerEpoch", t.producer.Epoch,
				"previousId", t.previous.ID, "previousEpoch", t.previous.Epoch, "timeout", t.timeout.String(),
				"endedId", t.ended.producer.ID, "endedEpoch", t.ended.producer.Epoch, "endedCommit", t.ended.commit, "used", t.used), nil
		}
	case recordExpire:
		it := inspect.New("txn.expire", "transactionalId", d.String())
		return it, d.End()
	case recordAdd:
		it := inspect.New("txn.add", "transactionalId", d.String(), "time", d.Int())
		partitions := []string{}
		for range d.Count(partitionSize) {
			p := Partition{d.ID(), int32(d.Int())}
			partitions = append(partitions, fmt.Sprintf("%s-%d", inspect.ID(p.Topic), p.Index))
		}
		it.Add("partitions", partitions, "group", d.String())
		return it, d.End()
	}
	return inspect.Item{}, fields.ErrDamaged
}
