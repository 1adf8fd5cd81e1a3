package api

// ListTransactions, key 66, versions 0-2.
//
//	1  those that have been open for longer than a duration (KIP-994)
//	2  those whose transactional id matches a pattern (KIP-1152)
//
// A pattern is one of RE2, of at most 4 KiB, and matches the whole id.

import (
	"regexp"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/server"
	"github.com/millrace-io/millrace/broker/internal/txn"
)

const maxPattern = 4096 // in bytes: every id is matched

// txnStates are Kafka's names of states, which a filter may have.
var txnStates = []string{txn.StateEmpty, txn.StateOngoing, "PrepareCommit", "PrepareAbort", txn.StateCompleteCommit, txn.StateCompleteAbort,
	"PrepareEpochFence", "Dead"}

func (a *API) listTransactions(req *server.Request, r *kmsg.ListTransactionsRequest) server.Reply {
	resp := r.ResponseKind().(*kmsg.ListTransactionsResponse)
	for _, s := range r.StateFilters {
		if !slices.Contains(txnStates, s) {
			resp.UnknownStateFilters = append(resp.UnknownStateFilters, s)
		}
	}
	var pattern *regexp.Regexp
	if s := or(r.TransactionalIDPattern, ""); s != "" {
		var err error
		if pattern, err = regexp.Compile(`^(?:` + s + `)$`); err != nil || len(s) > maxPattern {
			resp.ErrorCode = kerr.InvalidRegularExpression.Code
			return server.Now(resp)
		}
	}
	states, producers := set(r.StateFilters), set(r.ProducerIDFilters)
	all, now, lsn := a.coord.Transactions()
	for _, d := range all {
		switch {
		case len(states) > 0 && !states[d.State]:
		case len(producers) > 0 && !producers[d.Producer.ID]:
		case r.Version >= 1 && r.DurationFilterMillis >= 0 && (d.Started < 0 || now-d.Started <= r.DurationFilterMillis):
		case !a.may(req, opDescribe, onTxn, d.ID):
		case pattern != nil && !pattern.MatchString(d.ID):
		default:
			out := kmsg.NewListTransactionsResponseTransactionState()
			out.TransactionalID, out.ProducerID, out.TransactionState = d.ID, d.Producer.ID, d.State
			resp.TransactionStates = append(resp.TransactionStates, out)
		}
	}
	return a.durable(lsn, nil, resp)
}

// set returns the elements of a filter, which may be as long as a request.
func set[E comparable](elements []E) map[E]bool {
	m := make(map[E]bool, len(elements))
	for _, e := range elements {
		m[e] = true
	}
	return m
}
