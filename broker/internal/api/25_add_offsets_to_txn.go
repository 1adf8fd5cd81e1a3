package api

// AddOffsetsToTxn, key 25, versions 0-4.
//
//	1  throttle time
//	2  PRODUCER_FENCED (KIP-588)
//	3  flexible
//	4  TRANSACTION_ABORTABLE (KIP-890)

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/server"
	"github.com/millrace-io/millrace/broker/internal/txn"
)

func (a *API) addOffsetsToTxn(req *server.Request, r *kmsg.AddOffsetsToTxnRequest) server.Reply {
	resp := r.ResponseKind().(*kmsg.AddOffsetsToTxnResponse)
	refused := a.denied(req, opWrite, onTxn, r.TransactionalID)
	if refused == nil {
		refused = a.denied(req, opRead, onGroup, r.Group)
	}
	if refused != nil {
		resp.ErrorCode = refused.Code
		return server.Now(resp)
	}
	kerror, lsn, err := a.coord.AddOffsets(r.TransactionalID, txn.Producer{ID: r.ProducerID, Epoch: r.ProducerEpoch}, r.Group)
	resp.ErrorCode = code(fenced(kerror, r.Version, 2))
	return a.durable(lsn, err, resp)
}
