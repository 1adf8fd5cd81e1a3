package api

// DescribeTransactions, key 65, versions 0-0.
//
// Of Kafka's states there are Empty, Ongoing, CompleteCommit and CompleteAbort: a transaction ends in one step.

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/server"
)

func (a *API) describeTransactions(req *server.Request, r *kmsg.DescribeTransactionsRequest) server.Reply {
	resp := r.ResponseKind().(*kmsg.DescribeTransactionsResponse)
	var last commitlog.LSN
	for _, id := range r.TransactionalIDs {
		out := kmsg.NewDescribeTransactionsResponseTransactionState()
		out.TransactionalID = id
		if kerror := a.denied(req, opDescribe, onTxn, id); kerror != nil {
			out.ErrorCode = kerror.Code
			resp.TransactionStates = append(resp.TransactionStates, out)
			continue
		}
		d, ok, lsn := a.coord.DescribeTransaction(id)
		last = max(last, lsn)
		switch {
		case id == "":
			out.ErrorCode = kerr.InvalidRequest.Code
		case !ok:
			out.ErrorCode = kerr.TransactionalIDNotFound.Code
		default:
			out.State, out.TimeoutMillis, out.StartTimestamp = d.State, int32(d.Timeout.Milliseconds()), d.Started
			out.ProducerID, out.ProducerEpoch = d.Producer.ID, d.Producer.Epoch
		}
		for _, p := range d.Partitions { // in the order of topic ids
			t, ok := a.log.TopicByID(p.Topic)
			if !ok || !a.may(req, opDescribe, onTopic, t.Name) {
				continue // deleted meanwhile, or not theirs to know
			}
			if n := len(out.Topics); n == 0 || out.Topics[n-1].Topic != t.Name {
				ot := kmsg.NewDescribeTransactionsResponseTransactionStateTopic()
				ot.Topic = t.Name
				out.Topics = append(out.Topics, ot)
			}
			ot := &out.Topics[len(out.Topics)-1]
			ot.Partitions = append(ot.Partitions, p.Index)
		}
		resp.TransactionStates = append(resp.TransactionStates, out)
	}
	return a.durable(last, nil, resp)
}
