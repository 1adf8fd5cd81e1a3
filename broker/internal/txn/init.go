package txn

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// InitRequest is InitProducerId.
type InitRequest struct {
	// TransactionalID is nil for a producer that is idempotent only.
	TransactionalID *string
	Timeout         time.Duration
	// Producer is what the client has, or -1, -1 (version 3, KIP-360).
	Producer Producer
}

// Init handles InitProducerId. If the transactional id has an open transaction it is aborted in the same entry (T2).
func (c *Coordinator) Init(now time.Time, r InitRequest) (Producer, Effects, *kerr.Error) {
	var e Effects
	if r.TransactionalID == nil {
		return Producer{ID: c.allocate(&e)}, e, nil
	}
	switch {
	case *r.TransactionalID == "":
		return noProducer, e, kerr.InvalidRequest
	case r.Timeout <= 0 || r.Timeout > MaxTimeout:
		return noProducer, e, kerr.InvalidTransactionTimeout
	case (r.Producer.ID < 0) != (r.Producer.Epoch < 0):
		return noProducer, e, kerr.InvalidRequest
	}
	t := c.transactions[*r.TransactionalID]
	if t == nil {
		if len(c.transactions) >= maxTransactionalIDs {
			return noProducer, e, kerr.PolicyViolation
		}
		next := &transaction{
			id: *r.TransactionalID, producer: Producer{ID: c.allocate(&e)}, previous: noProducer, timeout: r.Timeout, ended: noEnd,
			used: now.UnixMilli(),
		}
		e.Records = append(e.Records, next.record())
		return next.producer, e, nil
	}
	return c.reinit(now, t, r, e)
}

// reinit begins a new session of a known transactional id.
func (c *Coordinator) reinit(now time.Time, t *transaction, r InitRequest, e Effects) (Producer, Effects, *kerr.Error) {
	next := *t
	next.timeout, next.ended, next.used = r.Timeout, noEnd, now.UnixMilli()
	switch {
	case r.Producer.ID < 0:
		next.previous = noProducer
	case r.Producer == t.producer:
		next.previous = t.producer
	case r.Producer == t.previous && !t.open:
		// The answer to the first try was lost, or that to an EndTxn which raised the epoch: the same answer again. With a
		// transaction open it was not, since the client would not have had the epoch to open it with.
		e.Records = append(e.Records, next.record())
		return t.producer, e, nil
	default:
		return noProducer, e, kerr.ProducerFenced
	}
	if t.open {
		e.Ends = append(e.Ends, t.end(t.producer.Epoch+1, false))
	}
	next.producer = c.bumped(t.producer, &e)
	e.Records = append(e.Records, next.record())
	return next.producer, e, nil
}
