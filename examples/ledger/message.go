package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// The messages of the bank, in JSON. Every message says what it was made of, and in which transaction.

// place is where a record stands in the log.
type place struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

func (p place) String() string { return fmt.Sprintf("%s-%d@%d", p.Topic, p.Partition, p.Offset) }

// transfer is the input: an order to move money. Its key is From.
type transfer struct {
	Driver string `json:"driver"` // who sent it
	Seq    int64  `json:"seq"`    // its number among those of the driver
	From   string `json:"from"`
	To     string `json:"to"`
	Amount int64  `json:"amount"`
	// Batch names the driver's transaction, Size says how many transfers it has; empty and 0 outside one.
	Batch string `json:"batch,omitempty"`
	Size  int    `json:"size,omitempty"`
}

// id names a transfer in all that is made of it.
func (t *transfer) id() string { return fmt.Sprintf("%s/%d", t.Driver, t.Seq) }

// stamp says in which transaction of the bank a message was made: the incarnation of a processor, the number of its
// transaction, and the message's number in it. The receipt of that transaction says how many there are.
type stamp struct {
	Run   string `json:"run"`
	Txn   int64  `json:"txn"`
	Index int    `json:"index"`
}

// receipt is the last message of each transaction of an incarnation.
type receipt struct {
	Run  string `json:"run"`
	Txn  int64  `json:"txn"`
	Size int    `json:"size"`
}

// credit asks the task of To to take money that was taken from From. Its key is To.
type credit struct {
	ID     string `json:"id"`
	From   string `json:"from"`
	To     string `json:"to"`
	Amount int64  `json:"amount"`
	Source place  `json:"source"` // the transfer
	stamp
}

// The kinds of entries.
const (
	debited  = "debit"
	credited = "credit"
)

// entry is a line of the ledger. Those of one account are numbered and chained by their digests. Its key is Account.
type entry struct {
	Account string `json:"account"`
	Seq     int64  `json:"seq"`
	Kind    string `json:"kind"`
	ID      string `json:"id"`
	Peer    string `json:"peer"`
	Amount  int64  `json:"amount"`
	Balance int64  `json:"balance"` // afterwards
	Digest  string `json:"digest"`  // of this line and the one before
	Source  place  `json:"source"`  // the transfer, or the credit
	stamp
}

// chain returns the digest of a line whose predecessor's is prev.
func (e *entry) chain(prev string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s|%s|%d|%s|%s|%s|%d|%d|%s", prev, e.Account, e.Seq, e.Kind, e.ID, e.Peer, e.Amount, e.Balance, e.Source))
	return hex.EncodeToString(sum[:8])
}

// rejection says that a transfer was refused for want of money. Its key is Account.
type rejection struct {
	Account string `json:"account"`
	ID      string `json:"id"`
	Amount  int64  `json:"amount"`
	Seq     int64  `json:"seq"`     // of the last entry of the account
	Balance int64  `json:"balance"` // too little
	Source  place  `json:"source"`
	stamp
}

// deadLetter is an input record that is no transfer.
type deadLetter struct {
	Reason string `json:"reason"`
	Digest string `json:"digest"` // of key and value
	Source place  `json:"source"`
	stamp
}

// digestOf tells records apart by their bytes, null from empty too.
func digestOf(key, value []byte) string {
	h := sha256.New()
	for _, b := range [][]byte{key, value} {
		var head [9]byte // whether it is null, and its length
		if b != nil {
			head[0] = 1
		}
		binary.BigEndian.PutUint64(head[1:], uint64(len(b)))
		h.Write(head[:]) // a hash never fails to be written
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// balance is the row of one account in the bank's store.
type balance struct {
	Seq    int64  `json:"seq"` // of the last entry
	Amount int64  `json:"amount"`
	Digest string `json:"digest"` // of the last entry
}

// funding is a debit with the last credit of its account before it.
type funding struct {
	Seq    int64 `json:"seq"`
	Credit int64 `json:"credit"` // its number
	// Digest is the credit's.
	Digest string `json:"digest"`
}

// statement is an entry with the owner of its account.
type statement struct {
	Owner  string `json:"owner"`
	Seq    int64  `json:"seq"`
	Digest string `json:"digest"`
}
