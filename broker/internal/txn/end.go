package txn

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// EndRequest is EndTxn.
type EndRequest struct {
	ID       string
	Producer Producer
	Commit   bool
	// Bump: the client speaks transaction version 2 (EndTxn version 5), and gets a new epoch.
	Bump bool
}

// End handles EndTxn. It returns what the producer goes on with.
//
//	state    request          version 1                         version 2
//	Ongoing  either           ended                             ended, epoch raised
//	ended    the same again   success                           success, the present id and epoch (one epoch back)
//	ended    other decision   INVALID_TXN_STATE                 INVALID_TXN_STATE (one epoch back)
//	not open abort            INVALID_TXN_STATE                 success, epoch raised
//	not open commit           INVALID_TXN_STATE                 INVALID_TXN_STATE
func (c *Coordinator) End(now time.Time, r EndRequest) (Producer, Effects, *kerr.Error) {
	var e Effects
	t := c.transactions[r.ID]
	if t == nil {
		return noProducer, e, kerr.InvalidProducerIDMapping
	}
	if !t.open && r.Producer.ID != none && t.ended.producer == r.Producer && (t.producer == r.Producer) != r.Bump {
		if t.ended.commit != r.Commit {
			return noProducer, e, kerr.InvalidTxnState
		}
		return t.producer, e, nil
	}
	if _, err := c.sender(r.ID, r.Producer); err != nil {
		return noProducer, e, err
	}
	if !t.open && (!r.Bump || r.Commit) {
		return noProducer, e, kerr.InvalidTxnState
	}
	next := *t
	next.ended, next.used = lastEnd{r.Producer, r.Commit}, now.UnixMilli()
	next.previous = noProducer
	markerEpoch := t.producer.Epoch
	if r.Bump {
		markerEpoch++
		next.producer, next.previous = c.bumped(t.producer, &e), t.producer
	}
	if t.open {
		e.Ends = append(e.Ends, t.end(markerEpoch, r.Commit))
	}
	e.Records = append(e.Records, next.record())
	return next.producer, e, nil
}
