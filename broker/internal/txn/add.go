package txn

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// AddPartitions handles AddPartitionsToTxn, and the implicit add of a transactional Produce (version 12): it opens the
// producer's transaction on partitions. Those that are in it already cost nothing: without new ones Effects is empty.
func (c *Coordinator) AddPartitions(now time.Time, id string, p Producer, partitions []Partition) (Effects, *kerr.Error) {
	t, err := c.sender(id, p)
	if err != nil {
		return Effects{}, err
	}
	var added []Partition
	for _, tp := range partitions {
		if _, ok := t.partitions[tp]; !ok || !t.open {
			added = append(added, tp)
		}
	}
	if len(added) == 0 {
		return Effects{}, nil
	}
	return Effects{Records: [][]byte{encodeAdd(id, now.UnixMilli(), added, "")}, Begin: added, Producer: p}, nil
}

// Has reports whether p's open transaction has the partition. It allocates nothing.
func (c *Coordinator) Has(id string, p Producer, tp Partition) (bool, *kerr.Error) {
	t, err := c.sender(id, p)
	if err != nil || !t.open {
		return false, err
	}
	_, ok := t.partitions[tp]
	return ok, nil
}

// AddOffsets handles AddOffsetsToTxn, and the implicit add of TxnOffsetCommit (version 5).
func (c *Coordinator) AddOffsets(now time.Time, id string, p Producer, group string) (Effects, *kerr.Error) {
	t, err := c.sender(id, p)
	if err != nil {
		return Effects{}, err
	}
	if group == "" {
		return Effects{}, kerr.InvalidGroupID
	}
	if _, ok := t.groups[group]; ok && t.open {
		return Effects{}, nil
	}
	return Effects{Records: [][]byte{encodeAdd(id, now.UnixMilli(), nil, group)}}, nil
}

// HasOffsets checks that p's open transaction has the group: what TxnOffsetCommit below version 5 needs.
func (c *Coordinator) HasOffsets(id string, p Producer, group string) *kerr.Error {
	t, err := c.sender(id, p)
	if err != nil {
		return err
	}
	if _, ok := t.groups[group]; !ok || !t.open {
		return kerr.InvalidTxnState
	}
	return nil
}
