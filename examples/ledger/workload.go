package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
)

// workload makes the input of one driver: the same for the same seed.
type workload struct {
	driver   string
	accounts int
	base     int64 // event time of the first record
	step     int64 // milliseconds of event time from one to the next
	rng      *rand.Rand
	seq      int64
}

func newWorkload(seed uint64, number, accounts int, base, step int64) *workload {
	return &workload{
		driver: fmt.Sprintf("driver-%d", number), accounts: accounts, base: base, step: step,
		rng: rand.New(rand.NewPCG(seed, uint64(number))),
	}
}

// input is a record to be sent. ID is unique; it travels as a header, for records that are no transfers have no name.
type input struct {
	ID         string
	Key, Value []byte
	Timestamp  int64 // negative: none
	Headers    map[string][]byte
	Kind       string // "transfer", or what is wrong with it
}

// next makes a record. batch and size name the transaction that it is to be part of.
func (w *workload) next(batch string, size int) input {
	w.seq++
	from := w.rng.IntN(w.accounts)
	if w.rng.IntN(4) == 0 {
		from = w.rng.IntN(1 + w.accounts/16) // some accounts are busier
	}
	to := (from + 1 + w.rng.IntN(w.accounts-1)) % w.accounts
	t := transfer{
		Driver: w.driver, Seq: w.seq, From: account(from), To: account(to), Amount: 1 + w.rng.Int64N(openingBalance/4),
		Batch: batch, Size: size,
	}
	in := input{ID: t.id(), Key: []byte(t.From), Timestamp: w.time(), Kind: "transfer"}
	if w.rng.IntN(20) == 0 {
		w.spoil(&in, &t)
	}
	if in.Value == nil && in.Kind != noValue {
		b, err := json.Marshal(t)
		if err != nil {
			panic(err) // a struct of strings and numbers
		}
		in.Value = b
	}
	if in.Kind == "cut off" {
		in.Value = in.Value[:len(in.Value)/2]
	}
	return in
}

// time is about as far from the base as the number of records says. A few are early, and a few so late that no window
// waits for them.
func (w *workload) time() int64 {
	t := w.base + w.seq*w.step + w.rng.Int64N(500)
	if w.rng.IntN(40) == 0 {
		t -= w.rng.Int64N(3 * windowGrace.Milliseconds())
	}
	return t
}

const noValue = "no value"

// hostile are the kinds of records that are wrong, or right and uncommon.
var hostile = []string{
	"no key", noValue, "empty", "not JSON", "cut off", "not text", "unknown account", "another's key", "to itself",
	"no amount", "overflow", "no time", "large headers", "large value",
}

// spoil turns a transfer into one of the hostile kinds.
func (w *workload) spoil(in *input, t *transfer) {
	in.Kind = hostile[w.rng.IntN(len(hostile))]
	switch in.Kind {
	case "no key":
		in.Key = nil
	case "empty":
		in.Value = []byte{}
	case "not JSON":
		in.Value = []byte("transfer one hundred to whom it may concern")
	case "not text":
		in.Value = []byte{0xff, 0xfe, 0, '{', 0x80, '}'}
	case "unknown account":
		t.To = "account-of-nobody"
	case "another's key":
		in.Key = []byte(t.To)
	case "to itself":
		t.To = t.From
	case "no amount":
		t.Amount = -t.Amount
	case "overflow":
		in.Value = fmt.Appendf(nil, `{"driver":%q,"seq":%d,"from":%q,"to":%q,"amount":99999999999999999999}`, t.Driver, t.Seq, t.From, t.To)
	case "no time":
		in.Timestamp = -1
	case "large headers":
		in.Headers = map[string][]byte{"ballast": make([]byte, 32<<10)}
	case "large value":
		in.Value = fmt.Appendf(nil, `{"driver":%q,"seq":%d,"from":%q,"to":%q,"amount":%d,"ballast":%q}`,
			t.Driver, t.Seq, t.From, t.To, t.Amount, strings.Repeat("x", 64<<10))
	}
}
