package api

// ListTransactions, key 66, versions 0-2.
//
//	1  those that have been open for longer than a duration (KIP-994)
//	2  those whose transactional id matches a pattern (KIP-1152)
//
// A pattern is one of RE2, and matches the whole id.

import (
	"regexp"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/server"
	"github.com/millrace-io/millrace/broker/internal/txn"
)

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
		if pattern, err = regexp.Compile(`^(?:` + s + `)$`); err != nil {
			resp.ErrorCode = kerr.InvalidRegularExpression.Code
			return server.Now(resp)
		}
	}
	all, now, lsn := a.coord.Transactions()
	for _, d := range all {
		switch {
		case len(r.StateFilters) > 0 && !slices.Contains(r.StateFilters, d.State):
		case len(r.ProducerIDFilters) > 0 && !slices.Contains(r.ProducerIDFilters, d.Producer.ID):
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
