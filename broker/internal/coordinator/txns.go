package coordinator

import (
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/group"
	"github.com/millrace-io/millrace/broker/internal/txn"
)

// commitTxn makes the effects of a transaction request durable, as one entry (C2). The caller holds the transaction
// machine's lock.
func (c *Coordinator) commitTxn(e txn.Effects) (commitlog.LSN, error) {
	if len(e.Records) == 0 {
		return c.log.Enqueued(), nil
	}
	u := commitlog.Update{Records: records(txnMachineID, e.Records...)}
	for _, p := range e.Begin {
		u.Begin = append(u.Begin, commitlog.Begin{
			TopicPartition: topicPartition(p), ProducerID: e.Producer.ID, ProducerEpoch: e.Producer.Epoch,
		})
	}
	if len(e.Ends) > 0 {
		c.groups.Lock() // C1
		defer c.groups.Unlock()
	}
	for _, end := range e.Ends {
		u.Records = append(u.Records, records(groupMachineID, c.groups.EndTransaction(end.Producer.ID, end.Commit))...)
		for _, p := range end.Partitions {
			u.Markers = append(u.Markers, commitlog.Marker{
				TopicPartition: topicPartition(p), ProducerID: end.Producer.ID, ProducerEpoch: end.Producer.Epoch, Commit: end.Commit,
			})
		}
	}
	lsn, _, err := c.log.Commit(u)
	return lsn, err
}

func topicPartition(p txn.Partition) commitlog.TopicPartition {
	return commitlog.TopicPartition{Topic: p.Topic, Partition: p.Index}
}

// InitProducer handles InitProducerId. The result may be told when the LSN is durable, here and below.
func (c *Coordinator) InitProducer(r txn.InitRequest) (txn.Producer, *kerr.Error, commitlog.LSN, error) {
	c.txns.Lock()
	defer c.txns.Unlock()
	p, e, kerror := c.txns.Init(c.now(), r)
	lsn, err := c.commitTxn(e)
	return p, kerror, lsn, err
}

// AddPartitions handles AddPartitionsToTxn.
func (c *Coordinator) AddPartitions(id string, p txn.Producer, partitions []txn.Partition) (*kerr.Error, commitlog.LSN, error) {
	c.txns.Lock()
	defer c.txns.Unlock()
	e, kerror := c.txns.AddPartitions(c.now(), id, p, partitions)
	lsn, err := c.commitTxn(e)
	c.txns.alarm.set(c.txns.Next())
	return kerror, lsn, err
}

// AddOffsets handles AddOffsetsToTxn.
func (c *Coordinator) AddOffsets(id string, p txn.Producer, name string) (*kerr.Error, commitlog.LSN, error) {
	c.txns.Lock()
	defer c.txns.Unlock()
	e, kerror := c.txns.AddOffsets(c.now(), id, p, name)
	lsn, err := c.commitTxn(e)
	c.txns.alarm.set(c.txns.Next())
	return kerror, lsn, err
}

// EndTxn handles EndTxn.
func (c *Coordinator) EndTxn(r txn.EndRequest) (txn.Producer, *kerr.Error, commitlog.LSN, error) {
	c.txns.Lock()
	defer c.txns.Unlock()
	p, e, kerror := c.txns.End(c.now(), r)
	lsn, err := c.commitTxn(e)
	return p, kerror, lsn, err
}

// StageOffsets handles TxnOffsetCommit: it adds the group to the transaction if implicit is set (version 5), and stages
// the offsets in the same entry. txnErr is set if the transaction refuses.
func (c *Coordinator) StageOffsets(id string, p txn.Producer, implicit bool, r group.CommitRequest) (results []*kerr.Error, txnErr *kerr.Error, lsn commitlog.LSN, err error) {
	c.txns.Lock()
	defer c.txns.Unlock()
	var e txn.Effects
	if implicit {
		e, txnErr = c.txns.AddOffsets(c.now(), id, p, r.Group)
	} else {
		txnErr = c.txns.HasOffsets(id, p, r.Group)
	}
	if txnErr != nil {
		return nil, txnErr, c.log.Enqueued(), nil
	}
	c.groups.Lock() // C1
	defer c.groups.Unlock()
	record, results := c.groups.StageOffsets(c.now(), p.ID, r)
	if record == nil {
		return results, nil, c.log.Enqueued(), nil
	}
	u := commitlog.Update{Records: append(records(txnMachineID, e.Records...), records(groupMachineID, record)...)}
	lsn, _, err = c.log.Commit(u)
	c.txns.alarm.set(c.txns.Next())
	return results, nil, lsn, err
}

// CheckProducer returns what a transaction request of producer p would be refused with because of who it is from, or nil.
func (c *Coordinator) CheckProducer(id string, p txn.Producer) *kerr.Error {
	c.txns.Lock()
	defer c.txns.Unlock()
	_, err := c.txns.Has(id, p, txn.Partition{})
	return err
}

// Append appends a transactional batch of producer p to a partition, and adds the partition to the open transaction of id
// if it is not there yet, or opens one (transaction version 2, C3). txnErr is set if the transaction refuses.
func (c *Coordinator) Append(part *commitlog.Partition, tp txn.Partition, id string, p txn.Producer, raw []byte) (res commitlog.AppendResult, txnErr *kerr.Error, err error) {
	c.txns.Lock()
	has, txnErr := c.txns.Has(id, p, tp)
	c.txns.Unlock()
	switch {
	case txnErr != nil:
		return res, txnErr, nil
	case has:
		res, err = part.Append(raw, commitlog.AppendOptions{})
		return res, nil, err
	}
	return c.appendFirst(part, tp, id, p, raw)
}

// appendFirst appends the first batch of a transaction to a partition.
func (c *Coordinator) appendFirst(part *commitlog.Partition, tp txn.Partition, id string, p txn.Producer, raw []byte) (res commitlog.AppendResult, txnErr *kerr.Error, err error) {
	c.txns.Lock()
	defer c.txns.Unlock()
	e, txnErr := c.txns.AddPartitions(c.now(), id, p, []txn.Partition{tp})
	if txnErr != nil {
		return res, txnErr, nil
	}
	res, err = part.Append(raw, commitlog.AppendOptions{Begin: true, Records: records(txnMachineID, e.Records...)})
	c.txns.alarm.set(c.txns.Next())
	return res, nil, err
}
