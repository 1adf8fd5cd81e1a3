package api

// AddPartitionsToTxn, key 24, versions 0-3.
//
//	1  throttle time
//	2  PRODUCER_FENCED (KIP-588)
//	3  flexible
//
// If one partition is unknown none is added, and the others get OPERATION_NOT_ATTEMPTED. Left out: versions 4 and 5, which
// brokers send to each other.

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/server"
	"github.com/millrace-io/millrace/broker/internal/txn"
)

func (a *API) addPartitionsToTxn(req *server.Request, r *kmsg.AddPartitionsToTxnRequest) server.Reply {
	resp := r.ResponseKind().(*kmsg.AddPartitionsToTxnResponse)
	var partitions []txn.Partition
	unknown := false
	refused := a.denied(req, opWrite, onTxn, r.TransactionalID)
	for i := range r.Topics {
		rt := &r.Topics[i]
		t, terr := a.topicNamed(req, opWrite, rt.Topic)
		if refused != nil {
			terr = refused
		}
		out := kmsg.NewAddPartitionsToTxnResponseTopic()
		out.Topic = rt.Topic
		for _, index := range rt.Partitions {
			op := kmsg.NewAddPartitionsToTxnResponseTopicPartition()
			op.Partition, op.ErrorCode = index, code(known(t, index, terr))
			unknown = unknown || op.ErrorCode != 0
			partitions = append(partitions, txn.Partition{Topic: t.ID, Index: index})
			out.Partitions = append(out.Partitions, op)
		}
		resp.Topics = append(resp.Topics, out)
	}
	if unknown {
		setAll(resp, kerr.OperationNotAttempted)
		return server.Now(resp)
	}
	kerror, lsn, err := a.coord.AddPartitions(r.TransactionalID, txn.Producer{ID: r.ProducerID, Epoch: r.ProducerEpoch}, partitions)
	setAll(resp, fenced(kerror, r.Version, 2))
	return a.durable(lsn, err, resp)
}

// setAll gives err to every partition that has no error.
func setAll(resp *kmsg.AddPartitionsToTxnResponse, err *kerr.Error) {
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			if p := &resp.Topics[i].Partitions[j]; p.ErrorCode == 0 {
				p.ErrorCode = code(err)
			}
		}
	}
}
