package api

// InitProducerId, key 22, versions 0-5.
//
//	1  throttle time
//	2  flexible
//	3  producer id and epoch, to go on with the session (KIP-360)
//	4  PRODUCER_FENCED instead of INVALID_PRODUCER_EPOCH (KIP-588)
//	5  TRANSACTION_ABORTABLE (KIP-890)
//
// An open transaction of the transactional id is aborted before the answer, so that CONCURRENT_TRANSACTIONS is never
// given. Left out: two-phase commit (version 6, KIP-939).

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/server"
	"github.com/millrace-io/millrace/broker/internal/txn"
)

func (a *API) initProducerID(req *server.Request, r *kmsg.InitProducerIDRequest) server.Reply {
	resp := r.ResponseKind().(*kmsg.InitProducerIDResponse)
	if kerror := a.initDenied(req, r); kerror != nil {
		resp.ErrorCode, resp.ProducerID, resp.ProducerEpoch = kerror.Code, -1, -1
		return server.Now(resp)
	}
	p, kerror, lsn, err := a.coord.InitProducer(txn.InitRequest{
		TransactionalID: r.TransactionalID,
		Timeout:         time.Duration(r.TransactionTimeoutMillis) * time.Millisecond,
		Producer:        txn.Producer{ID: r.ProducerID, Epoch: r.ProducerEpoch},
	})
	resp.ErrorCode, resp.ProducerID, resp.ProducerEpoch = code(fenced(kerror, r.Version, 4)), p.ID, p.Epoch
	return a.durable(lsn, err, resp)
}

// initDenied returns why a client may not have a producer id: a producer without transactions has to be allowed to write to some topic
// (KIP-679).
func (a *API) initDenied(req *server.Request, r *kmsg.InitProducerIDRequest) *kerr.Error {
	switch {
	case r.TransactionalID != nil:
		return a.denied(req, opWrite, onTxn, *r.TransactionalID)
	case a.mayCluster(req, opIdempotentWrite) || a.mayAny(req, opWrite, onTopic):
		return nil
	}
	return kerr.ClusterAuthorizationFailed
}

// fenced gives PRODUCER_FENCED the code that a request knew before version since.
func fenced(err *kerr.Error, version, since int16) *kerr.Error {
	if err == kerr.ProducerFenced && version < since {
		return kerr.InvalidProducerEpoch
	}
	return err
}
