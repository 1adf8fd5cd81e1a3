package api

// TxnOffsetCommit, key 28, versions 0-5.
//
//	1  throttle time
//	2  leader epochs (KIP-320)
//	3  flexible; generation, member and instance, which are checked (KIP-447)
//	4  TRANSACTION_ABORTABLE (KIP-890 part 1)
//	5  adds the group to the transaction (KIP-890 part 2)
//
// The offsets become visible by EndTxn. Left out: version 6, topic ids.

import (
	"cmp"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/group"
	"github.com/millrace-io/millrace/broker/internal/server"
	"github.com/millrace-io/millrace/broker/internal/txn"
)

func (a *API) txnOffsetCommit(req *server.Request, r *kmsg.TxnOffsetCommitRequest) server.Reply {
	resp := r.ResponseKind().(*kmsg.TxnOffsetCommitResponse)
	c := committing{CommitRequest: group.CommitRequest{Group: r.Group, MemberID: r.MemberID, InstanceID: or(r.InstanceID, ""), Generation: r.Generation}}
	refused := cmp.Or(a.denied(req, opWrite, onTxn, r.TransactionalID), a.denied(req, opRead, onGroup, r.Group))
	for i := range r.Topics {
		rt := &r.Topics[i]
		t, terr := a.topicNamed(req, opRead, rt.Topic)
		out := kmsg.NewTxnOffsetCommitResponseTopic()
		out.Topic = rt.Topic
		out.Partitions = make([]kmsg.TxnOffsetCommitResponseTopicPartition, len(rt.Partitions))
		for j := range rt.Partitions {
			rp, op := &rt.Partitions[j], &out.Partitions[j]
			op.Partition = rp.Partition
			c.add(t, cmp.Or(refused, terr), rp.Partition, rp.Offset, rp.LeaderEpoch, rp.Metadata, &op.ErrorCode)
		}
		resp.Topics = append(resp.Topics, out)
	}
	if len(c.Offsets) == 0 { // nothing is asked of the transaction, which is not begun by it either
		return server.Now(resp)
	}
	producer := txn.Producer{ID: r.ProducerID, Epoch: r.ProducerEpoch}
	results, txnErr, lsn, err := a.coord.StageOffsets(r.TransactionalID, producer, r.Version >= 5, c.CommitRequest)
	switch {
	case txnErr == kerr.ProducerFenced: // this key never had that code
		txnErr = kerr.InvalidProducerEpoch
	case txnErr == kerr.InvalidTxnState && r.Version >= 4: // the group was not added: an abort mends it
		txnErr = kerr.TransactionAbortable
	}
	if txnErr != nil {
		results = slices.Repeat([]*kerr.Error{txnErr}, len(c.codes))
	}
	c.tell(results)
	return a.durable(lsn, err, resp)
}
