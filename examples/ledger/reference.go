package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// reference computes in one thread, with maps, what the bank must have made of its input: from the committed transfers and the
// committed credits alone. One thing they do not say is how the two inputs of an account met; that is taken from the entries,
// which must then be possible: every record once, each input in its order, every decision right for the balance at that
// point.
type reference struct {
	h *history
	v *verdict
	// states are the rows that each account has had; the index is the number of the last entry.
	states map[string][]balance
}

// order of payment or receipt, and what the log says came of it.
type item struct {
	from    place
	id      string
	account string // whose balance it concerns
	peer    string
	amount  int64
	time    int64
}

// account is one account's way through the run.
type ledgerOf struct {
	payments, receipts []item
	entries            []timed[entry]
	rejections         map[place]timed[rejection]
}

// timed is a message with its record's time and place.
type timed[T any] struct {
	message T
	time    int64
	at      place
}

// refold checks all that the bank wrote.
func (h *history) refold(v *verdict) *reference {
	ref := &reference{h: h, v: v, states: make(map[string][]balance)}
	accounts := make(map[string]*ledgerOf)
	for i := range h.accounts {
		accounts[account(i)] = &ledgerOf{rejections: make(map[place]timed[rejection])}
		ref.states[account(i)] = []balance{{Amount: openingBalance}}
	}
	ref.sortInput(accounts)
	ref.sortOutput(accounts)
	var accepted []item
	for i := range h.accounts {
		accepted = append(accepted, ref.fold(account(i), accounts[account(i)])...)
	}
	ref.checkCredits(accepted)
	return ref
}

// sortInput hands every record of the two inputs to the account that it concerns, and what is no transfer to the dead letters.
func (ref *reference) sortInput(accounts map[string]*ledgerOf) {
	dead := make(map[int][]item)
	for p, records := range ref.h.visible[ref.h.names.transfers()] {
		for _, r := range records {
			from := place{ref.h.names.transfers(), int32(p), r.Offset}
			ref.v.Checked[oracleRef]++
			if r.Timestamp < 0 {
				continue // dropped, and counted by the instance that did
			}
			t, wrong := ref.judge(r)
			if wrong != "" {
				dead[p] = append(dead[p], item{from: from, id: wrong + " " + digestOf(r.Key, r.Value), time: r.Timestamp})
				continue
			}
			a := accounts[t.From]
			a.payments = append(a.payments, item{from, t.id(), t.From, t.To, t.Amount, r.Timestamp})
		}
	}
	for p, records := range ref.h.visible[ref.h.names.credits()] {
		for _, r := range records {
			from := place{ref.h.names.credits(), int32(p), r.Offset}
			c, err := decode[credit](r)
			a, ok := accounts[c.To]
			if err != nil || !ok || string(r.Key) != c.To {
				ref.v.add(oracleRef, from.String(), "not a credit to an account: %v", err)
				continue
			}
			a.receipts = append(a.receipts, item{from, c.ID, c.To, c.From, c.Amount, r.Timestamp})
		}
	}
	ref.checkDead(dead)
}

// judge says what is wrong with an input record, in words that were agreed on; "" if nothing is.
func (ref *reference) judge(r record) (t transfer, wrong string) {
	if r.Key == nil {
		return t, "no key"
	}
	if r.Value == nil {
		return t, "no value"
	}
	if json.Unmarshal(r.Value, &t) != nil {
		return t, "not a transfer"
	}
	known := func(name string) bool {
		n, err := strconv.Atoi(strings.TrimPrefix(name, "account-"))
		return err == nil && n >= 0 && n < ref.h.accounts && name == account(n)
	}
	if t.Driver == "" {
		return t, "no driver"
	}
	if !known(t.From) || !known(t.To) {
		return t, "unknown account"
	}
	if string(r.Key) != t.From {
		return t, "another's account"
	}
	if t.From == t.To {
		return t, "to itself"
	}
	if t.Amount < 1 {
		return t, "amount"
	}
	return t, ""
}

// checkDead compares the dead letters of each input partition, in order.
func (ref *reference) checkDead(want map[int][]item) {
	got := make(map[int][]item)
	topic := ref.h.names.dead()
	for p, records := range ref.h.visible[topic] {
		for _, r := range records {
			d, err := decode[deadLetter](r)
			if err != nil || d.Source.Topic != ref.h.names.transfers() || string(r.Key) != strconv.Itoa(int(d.Source.Partition)) {
				ref.v.add(oracleRef, at(topic, p, r.Offset), "not a dead letter: %v", err)
				continue
			}
			from := int(d.Source.Partition)
			got[from] = append(got[from], item{from: d.Source, id: d.Reason + " " + d.Digest, time: r.Timestamp})
		}
	}
	for p := range ref.h.log[ref.h.names.transfers()] {
		if i, ok := differ(want[p], got[p]); ok {
			ref.v.add(oracleRef, fmt.Sprintf("%s of partition %d", topic, p), "letter %d: %s", i, difference(want[p], got[p], i))
		}
	}
}

// sortOutput hands entries and rejections to their accounts.
func (ref *reference) sortOutput(accounts map[string]*ledgerOf) {
	topic := ref.h.names.entries()
	for p, records := range ref.h.visible[topic] {
		for _, r := range records {
			e, err := decode[entry](r)
			a, ok := accounts[e.Account]
			if err != nil || !ok || string(r.Key) != e.Account {
				ref.v.add(oracleRef, at(topic, p, r.Offset), "not an entry of an account: %v", err)
				continue
			}
			a.entries = append(a.entries, timed[entry]{e, r.Timestamp, place{topic, int32(p), r.Offset}})
		}
	}
	topic = ref.h.names.rejected()
	for p, records := range ref.h.visible[topic] {
		for _, r := range records {
			x, err := decode[rejection](r)
			a, ok := accounts[x.Account]
			where := place{topic, int32(p), r.Offset}
			if err != nil || !ok || string(r.Key) != x.Account {
				ref.v.add(oracleRef, where.String(), "not a rejection: %v", err)
				continue
			}
			if other, twice := a.rejections[x.Source]; twice {
				ref.v.add(oracleRef, where.String(), "%s is rejected here and at %s", x.ID, other.at)
			}
			a.rejections[x.Source] = timed[rejection]{x, r.Timestamp, where}
		}
	}
}

// fold replays one account, and returns the payments that were accepted.
func (ref *reference) fold(name string, a *ledgerOf) (accepted []item) {
	row := ref.states[name][0]
	var rejected int
	reject := func() {
		for len(a.payments) > 0 {
			p := a.payments[0]
			x, ok := a.rejections[p.from]
			if !ok || x.message.Seq != row.Seq {
				return
			}
			want := rejection{Account: name, ID: p.id, Amount: p.amount, Seq: row.Seq, Balance: row.Amount, Source: p.from, stamp: x.message.stamp}
			if x.message != want || x.time != p.time || row.Amount >= p.amount {
				ref.v.add(oracleRef, x.at.String(), "rejection %+v, want %+v of a balance that is too small", x.message, want)
			}
			a.payments, rejected = a.payments[1:], rejected+1
		}
	}
	reject()
	for _, e := range a.entries {
		ref.v.Checked[oracleRef]++
		queue, kind, sign := &a.payments, debited, int64(-1)
		if e.message.Kind == credited {
			queue, kind, sign = &a.receipts, credited, 1
		}
		if len(*queue) == 0 || (*queue)[0].from != e.message.Source {
			next := "none"
			if len(*queue) > 0 {
				next = (*queue)[0].from.String()
			}
			ref.v.add(oracleRef, e.at.String(), "entry %d of %s is of %s, while the next %s of the account is %s",
				e.message.Seq, name, e.message.Source, kind, next)
			return accepted
		}
		i := (*queue)[0]
		*queue = (*queue)[1:]
		want := entry{Account: name, Seq: row.Seq + 1, Kind: kind, ID: i.id, Peer: i.peer, Amount: i.amount, Balance: row.Amount + sign*i.amount, Source: i.from}
		want.Digest, want.stamp = want.chain(row.Digest), e.message.stamp
		if e.message != want || e.time != i.time {
			ref.v.add(oracleRef, e.at.String(), "entry %+v at %d, want %+v at %d", e.message, e.time, want, i.time)
			return accepted
		}
		if kind == debited {
			if want.Balance < 0 {
				ref.v.add(oracleRef, e.at.String(), "%s paid %d of %d", name, i.amount, row.Amount)
			}
			accepted = append(accepted, i)
		}
		row = balance{want.Seq, want.Balance, want.Digest}
		ref.states[name] = append(ref.states[name], row)
		reject()
	}
	for _, left := range slices.Concat(a.payments, a.receipts) {
		ref.v.add(oracleRef, left.from.String(), "%s has not taken effect on %s", left.id, name)
	}
	if rejected != len(a.rejections) {
		ref.v.add(oracleRef, name, "%d rejections, of which %d can be", len(a.rejections), rejected)
	}
	return accepted
}

// checkCredits wants exactly one credit for each accepted payment, those of an input partition in its order.
func (ref *reference) checkCredits(accepted []item) {
	want := make(map[place]item)
	for _, i := range accepted {
		want[i.from] = i
	}
	topic := ref.h.names.credits()
	for p, records := range ref.h.visible[topic] {
		last := make(map[int32]int64)
		for _, r := range records {
			where := at(topic, p, r.Offset)
			c, err := decode[credit](r)
			if err != nil {
				continue // said already
			}
			i, ok := want[c.Source]
			delete(want, c.Source)
			if !ok || c.ID != i.id || c.From != i.account || c.To != i.peer || c.Amount != i.amount || r.Timestamp != i.time {
				ref.v.add(oracleRef, where, "credit %+v of an accepted transfer %+v", c, i)
			}
			if before, ok := last[c.Source.Partition]; ok && c.Source.Offset <= before {
				ref.v.add(oracleRef, where, "the credit of %s comes after that of %d", c.Source, before)
			}
			last[c.Source.Partition] = c.Source.Offset
		}
	}
	for from, i := range want {
		ref.v.add(oracleRef, from.String(), "the credit of %s is missing", i.id)
	}
}

// differ returns the first index at which two lists differ.
func differ[T comparable](want, got []T) (int, bool) {
	for i := range max(len(want), len(got)) {
		if i >= len(want) || i >= len(got) || want[i] != got[i] {
			return i, true
		}
	}
	return 0, false
}

// difference says what two lists have at an index.
func difference[T any](want, got []T, i int) string {
	text := func(list []T) string {
		if i >= len(list) {
			return "nothing"
		}
		return fmt.Sprintf("%+v", list[i])
	}
	return fmt.Sprintf("%s, want %s", text(got), text(want))
}
