package main

import (
	"encoding/json"
	"fmt"
)

// checkAtomic: transactions are whole or absent, for every reader and at every time.
func (h *history) checkAtomic(v *verdict) {
	h.checkMarkers(v)
	h.checkReceipts(v)
	h.checkBatches(v)
	h.checkReaders(v)
}

// checkMarkers: the transactions of a producer that bumps its epoch with each (KIP-890) end in the same way in every
// partition.
func (h *history) checkMarkers(v *verdict) {
	type txn struct {
		producer int64
		epoch    int16
	}
	type end struct {
		commit bool
		where  string
	}
	ends := make(map[txn]end)
	shared := make(map[int64]bool) // producers that use an epoch for several transactions: nothing can be said
	torn := make(map[txn]string)
	for _, topic := range h.topics() {
		for p, records := range h.log[topic] {
			open, ended := make(map[int64]txn), make(map[txn]bool)
			for _, r := range records {
				if !r.Control {
					if r.InTxn {
						open[r.Producer] = txn{r.Producer, r.Epoch}
					}
					continue
				}
				x, ok := open[r.Producer]
				if delete(open, r.Producer); !ok {
					continue
				}
				shared[x.producer] = shared[x.producer] || ended[x]
				ended[x] = true
				where := at(topic, p, r.Offset)
				if other, ok := ends[x]; ok && other.commit != r.Commit {
					torn[x] = fmt.Sprintf("%s and %s", other.where, where)
				}
				ends[x] = end{r.Commit, where}
			}
		}
	}
	for x := range ends {
		if !shared[x.producer] {
			v.Checked[oracleAtomic]++
		}
	}
	for x, where := range torn {
		if !shared[x.producer] {
			v.add(oracleAtomic, where, "the transaction of producer %d, epoch %d is committed in one and aborted in the other", x.producer, x.epoch)
		}
	}
}

// checkReceipts: each transaction of a processor has one receipt, and as many messages as that says.
func (h *history) checkReceipts(v *verdict) {
	type txn struct {
		run string
		n   int64
	}
	type content struct {
		indices  map[int]string
		size     int
		receipts int
	}
	txns := make(map[txn]*content)
	get := func(run string, n int64) *content {
		c, ok := txns[txn{run, n}]
		if !ok {
			c = &content{indices: make(map[int]string)}
			txns[txn{run, n}] = c
		}
		return c
	}
	for _, topic := range []string{h.names.entries(), h.names.credits(), h.names.rejected(), h.names.dead()} {
		for p, records := range h.visible[topic] {
			for _, r := range records {
				s, err := decode[stamp](r)
				if err != nil {
					v.add(oracleAtomic, at(topic, p, r.Offset), "%v", err)
					continue
				}
				c, where := get(s.Run, s.Txn), at(topic, p, r.Offset)
				if other, twice := c.indices[s.Index]; twice {
					v.add(oracleAtomic, where, "message %d of transaction %d of %s, as at %s", s.Index, s.Txn, s.Run, other)
				}
				c.indices[s.Index] = where
			}
		}
	}
	for p, records := range h.visible[h.names.receipts()] {
		for _, r := range records {
			x, err := decode[receipt](r)
			if err != nil {
				v.add(oracleAtomic, at(h.names.receipts(), p, r.Offset), "%v", err)
				continue
			}
			c := get(x.Run, x.Txn)
			c.size, c.receipts = x.Size, c.receipts+1
		}
	}
	for x, c := range txns {
		v.Checked[oracleAtomic]++
		if c.receipts != 1 || len(c.indices) != c.size {
			v.add(oracleAtomic, fmt.Sprintf("transaction %d of %s", x.n, x.run), "%d messages of %d, %d receipts", len(c.indices), c.size, c.receipts)
		}
	}
}

// checkBatches: a transaction of a driver is seen whole if it was committed, not at all if it was aborted, and one or the other
// if nobody knows.
func (h *history) checkBatches(v *verdict) {
	sizes := make(map[string]int)
	for _, s := range h.journal {
		if s.Outcome == sent && s.Batch != "" {
			sizes[s.Batch] = s.Size
		}
	}
	seen := h.batchesSeen()
	ends := batchEnds(h.journal)
	for b, size := range sizes {
		v.Checked[oracleAtomic]++
		n := seen[b]
		switch end := ends[b]; {
		case end == committed && n != size:
			v.add(oracleAtomic, b, "committed, and %d of %d records can be seen", n, size)
		case end == aborted && n != 0:
			v.add(oracleAtomic, b, "aborted, and %d of %d records can be seen", n, size)
		case n != 0 && n != size:
			v.add(oracleAtomic, b, "%d of %d records can be seen", n, size)
		}
	}
}

// batchesSeen counts the records of the drivers' transactions that a reader of committed data sees, by transaction.
func (h *history) batchesSeen() map[string]int {
	batchOf := make(map[string]string)
	for _, s := range h.journal {
		if s.Outcome == sent && s.Batch != "" {
			batchOf[s.ID] = s.Batch
		}
	}
	seen := make(map[string]int)
	for _, records := range h.visible[h.names.transfers()] {
		for _, r := range records {
			if b := batchOf[r.ID]; b != "" {
				seen[b]++
			}
		}
	}
	return seen
}

// checkReaders: a reader of committed data gets what the control records say, whether it reads at rest or along with the
// writers.
func (h *history) checkReaders(v *verdict) {
	for _, topic := range h.topics() {
		for p, records := range h.visible[topic] {
			v.Checked[oracleAtomic]++
			for _, reader := range []struct {
				name string
				got  map[string][][]glimpse
			}{{"at rest", h.committed}, {"all along", h.observed}} {
				got := reader.got[topic][p]
				for i := range max(len(records), len(got)) {
					switch {
					case i >= len(got):
						v.add(oracleAtomic, at(topic, p, records[i].Offset), "a reader %s has not seen it", reader.name)
					case i >= len(records):
						v.add(oracleAtomic, at(topic, p, got[i].Offset), "a reader %s has seen it, which is not committed", reader.name)
					case records[i].Offset < got[i].Offset:
						v.add(oracleAtomic, at(topic, p, records[i].Offset), "a reader %s has not seen it", reader.name)
					case records[i].Offset > got[i].Offset:
						v.add(oracleAtomic, at(topic, p, got[i].Offset), "a reader %s has seen it, which is not committed", reader.name)
					case digestOf(records[i].Key, records[i].Value) != got[i].Digest:
						v.add(oracleAtomic, at(topic, p, got[i].Offset), "a reader %s has seen other bytes", reader.name)
					default:
						continue
					}
					break // the first difference of a partition says it all
				}
			}
		}
	}
}

// decode reads a message of the bank.
func decode[T any](r record) (T, error) {
	var v T
	if err := json.Unmarshal(r.Value, &v); err != nil {
		return v, fmt.Errorf("not a %T: %w", v, err)
	}
	return v, nil
}
