package api

// EndTxn, key 26, versions 0-5.
//
//	1  throttle time
//	2  PRODUCER_FENCED (KIP-588)
//	3  flexible
//	4  TRANSACTION_ABORTABLE (KIP-890 part 1)
//	5  the epoch is raised, and the answer has the producer id and epoch to go on with (KIP-890 part 2)
//
// When it is answered the markers are written and the offsets are visible.

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/server"
	"github.com/millrace-io/millrace/broker/internal/txn"
)

func (a *API) endTxn(req *server.Request, r *kmsg.EndTxnRequest) server.Reply {
	resp := r.ResponseKind().(*kmsg.EndTxnResponse)
	if kerror := a.denied(req, opWrite, onTxn, r.TransactionalID); kerror != nil {
		resp.ErrorCode = kerror.Code
		return server.Now(resp)
	}
	p, kerror, lsn, err := a.coord.EndTxn(txn.EndRequest{
		ID: r.TransactionalID, Producer: txn.Producer{ID: r.ProducerID, Epoch: r.ProducerEpoch}, Commit: r.Commit, Bump: r.Version >= 5,
	})
	resp.ErrorCode, resp.ProducerID, resp.ProducerEpoch = code(fenced(kerror, r.Version, 2)), p.ID, p.Epoch
	return a.durable(lsn, err, resp)
}
