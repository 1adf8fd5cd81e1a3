package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/topology"
)

// stamper numbers the messages of one incarnation of a processor, transaction by transaction.
type stamper struct {
	ctx *topology.Context[string, message]
	run string
	txn int64
	n   int
}

// open begins a new incarnation. Its name is drawn at random: a task that is built anew after a failure is another one, and
// nothing that the lost one stamped may ever be seen.
func (s *stamper) open(ctx *topology.Context[string, message], name string) {
	*s = stamper{ctx: ctx, run: fmt.Sprintf("%s-%016x", name, rand.Uint64())}
}

func (s *stamper) next() stamp {
	at := stamp{s.run, s.txn, s.n}
	s.n++
	return at
}

// Flush writes the receipt of the transaction that is about to be committed.
func (s *stamper) Flush() error {
	if s.n == 0 {
		return nil
	}
	r := receipt{s.run, s.txn, s.n}
	s.txn, s.n = s.txn+1, 0
	return send(s.ctx, toReceipts, r.Run, r, max(0, s.ctx.StreamTime()))
}

// debit checks transfers against the balance of the account that pays.
type debit struct {
	stamper
	accounts int
	balances topology.Store[*balanceStore]
	rows     *balanceStore
}

// Init implements topology.Processor.
func (d *debit) Init(ctx *topology.Context[string, message]) (err error) {
	d.open(ctx, "debit")
	d.rows, err = d.balances.In(ctx)
	return err
}

// Process implements topology.Processor.
func (d *debit) Process(r topology.Record[[]byte, []byte]) error {
	at := place(d.ctx.Metadata())
	t, reason := d.parse(r)
	if reason != "" {
		return send(d.ctx, toDead, fmt.Sprintf("%d", at.Partition), deadLetter{
			Reason: reason, Digest: digestOf(r.Key, r.Value), Source: at, stamp: d.next(),
		}, r.Timestamp)
	}
	row, err := row(d.rows, t.From)
	if err != nil {
		return err
	}
	if row.Amount < t.Amount {
		return send(d.ctx, toRejected, t.From, rejection{
			Account: t.From, ID: t.id(), Amount: t.Amount, Seq: row.Seq, Balance: row.Amount, Source: at, stamp: d.next(),
		}, r.Timestamp)
	}
	e := entry{Account: t.From, Kind: debited, ID: t.id(), Peer: t.To, Amount: t.Amount, Source: at}
	if err := book(d.rows, row, &e, &d.stamper, r.Timestamp); err != nil {
		return err
	}
	return send(d.ctx, toCredits, t.To, credit{
		ID: t.id(), From: t.From, To: t.To, Amount: t.Amount, Source: at, stamp: d.next(),
	}, r.Timestamp)
}

// Close implements topology.Processor.
func (d *debit) Close() error { return nil }

// parse returns the transfer in a record, or why there is none.
func (d *debit) parse(r topology.Record[[]byte, []byte]) (*transfer, string) {
	if !r.HasKey() {
		return nil, "no key"
	}
	if !r.HasValue() {
		return nil, "no value"
	}
	var t transfer
	if err := json.Unmarshal(r.Value, &t); err != nil {
		return nil, "not a transfer"
	}
	switch {
	case t.Driver == "":
		return nil, "no driver"
	case !isAccount(t.From, d.accounts) || !isAccount(t.To, d.accounts):
		return nil, "unknown account"
	case t.From != string(r.Key):
		return nil, "another's account"
	case t.From == t.To:
		return nil, "to itself"
	case t.Amount <= 0:
		return nil, "amount"
	}
	return &t, ""
}

// creditor gives credits to the account that receives.
type creditor struct {
	stamper
	balances topology.Store[*balanceStore]
	rows     *balanceStore
}

// Init implements topology.Processor.
func (c *creditor) Init(ctx *topology.Context[string, message]) (err error) {
	c.open(ctx, "credit")
	c.rows, err = c.balances.In(ctx)
	return err
}

// Process implements topology.Processor.
func (c *creditor) Process(r topology.Record[string, []byte]) error {
	cr, err := serde.JSON[credit]().Decode(r.Value)
	if err != nil {
		return err
	}
	row, err := row(c.rows, cr.To)
	if err != nil {
		return err
	}
	e := entry{Account: cr.To, Kind: credited, ID: cr.ID, Peer: cr.From, Amount: cr.Amount, Source: place(c.ctx.Metadata())}
	return book(c.rows, row, &e, &c.stamper, r.Timestamp)
}

// Close implements topology.Processor.
func (c *creditor) Close() error { return nil }

// row returns the row of an account; every account has one, whether it is stored yet or not.
func row(rows *balanceStore, account string) (balance, error) {
	b, _, ok, err := rows.Get(account)
	if err == nil && !ok {
		b = balance{Amount: openingBalance}
	}
	return b, err
}

// book adds a line to an account.
func book(rows *balanceStore, b balance, e *entry, s *stamper, timestamp int64) error {
	e.Seq, e.Balance, e.stamp = b.Seq+1, b.Amount+e.Amount, s.next()
	if e.Kind == debited {
		e.Balance = b.Amount - e.Amount
	}
	e.Digest = e.chain(b.Digest)
	if err := rows.Put(e.Account, balance{e.Seq, e.Balance, e.Digest}, timestamp, serde.Headers{}); err != nil {
		return err
	}
	return send(s.ctx, toEntries, e.Account, e, timestamp)
}
