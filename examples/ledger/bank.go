package main

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// bank builds the application under test by hand, with the Processor API:
//
//	transfers ─► debit ─┬─► entries, rejected, dead, receipts
//	               │    └─► credits ─► credit ─► entries, receipts
//	               └─── balances ─────────┘
//
// Credits go through a topic like any other, not through a repartition topic, which would be purged of what has been
// read: they are evidence. Both processors use the store of balances, so one task takes an account's transfers and the credits that come to it, and
// its two inputs meet in an order that only the log of entries tells afterwards.
func bank(n names, accounts int) (*topology.Topology, error) {
	b := topology.NewBuilder()
	balances := topology.AddStore[*balanceStore](b, state.KeyValueSpec(balancesName, serde.String, serde.JSON[balance]()))

	transfers := topology.AddSource(b, "transfers", n.transfers(), serde.Bytes, serde.Bytes,
		topology.WithExtractor(eventTime[[]byte, []byte]))
	debits := topology.AddProcessor(b, "debit", func() *debit {
		return &debit{accounts: accounts, balances: balances}
	}, transfers, balances)

	credits := topology.AddSource(b, "credits", n.credits(), serde.String, serde.Bytes)
	b.Copartition(n.transfers(), n.credits())
	booked := topology.AddProcessor(b, "credit", func() *creditor {
		return &creditor{balances: balances}
	}, credits, balances)

	for _, out := range []struct {
		route route
		name  string
		topic string
	}{
		{toEntries, "entries", n.entries()},
		{toCredits, "credit-requests", n.credits()},
		{toRejected, "rejected", n.rejected()},
		{toDead, "dead", n.dead()},
		{toReceipts, "receipts", n.receipts()},
	} {
		picked := pick(b, out.route, "pick-"+out.name, debits.And(booked))
		topology.AddSink(b, out.name, out.topic, serde.String, serde.Bytes, picked)
	}
	return b.Build()
}

type balanceStore = state.KeyValue[string, balance]

// eventTime takes the log's time, also where it is missing: such a record is dropped and counted, and does not stop the task.
func eventTime[K, V any](r topology.Record[K, V], _ topology.Coordinates, _ int64) (int64, error) {
	return r.Timestamp, nil
}

// route is where a message goes.
type route int

const (
	toEntries route = iota
	toCredits
	toRejected
	toDead
	toReceipts
)

// message is what the processors forward: encoded, and addressed.
type message struct {
	route route
	body  []byte
}

// picker passes the messages of one route on.
type picker struct {
	route route
	ctx   *topology.Context[string, []byte]
}

func pick(b *topology.Builder, r route, name string, parent topology.Output[string, message]) topology.Output[string, []byte] {
	return topology.AddProcessor(b, name, func() *picker { return &picker{route: r} }, parent)
}

// Init implements topology.Processor.
func (p *picker) Init(ctx *topology.Context[string, []byte]) error {
	p.ctx = ctx
	return nil
}

// Process implements topology.Processor.
func (p *picker) Process(r topology.Record[string, message]) error {
	if r.Value.route == p.route {
		p.ctx.Forward(topology.WithValue(r, r.Value.body))
	}
	return nil
}

// Close implements topology.Processor.
func (p *picker) Close() error { return nil }

// send encodes v and forwards it.
func send(ctx *topology.Context[string, message], to route, key string, v any, timestamp int64) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	ctx.Forward(topology.NewRecord(key, message{to, body}, timestamp))
	return nil
}

// isAccount reports whether name is one of n accounts.
func isAccount(name string, n int) bool {
	digits, ok := strings.CutPrefix(name, "account-")
	i, err := strconv.Atoi(digits)
	return ok && err == nil && 0 <= i && i < n && account(i) == name
}
