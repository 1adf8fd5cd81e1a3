package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// checkLSO: at rest nothing is open. Every partition's last stable offset is its end, every group stands at the end of what it
// reads, and every transaction in the log is followed by a marker.
func (h *history) checkLSO(v *verdict) {
	for _, topic := range slices.Sorted(maps.Keys(h.high)) {
		for p, high := range h.high[topic] {
			v.Checked[oracleLSO]++
			where := fmt.Sprintf("%s-%d", topic, p)
			if stable := h.stable[topic][p]; high != stable {
				v.add(oracleLSO, where, "last stable offset %d, end %d", stable, high)
			}
			if offsets, read := h.offsets[topic]; read && offsets[p] != high && high > 0 {
				v.add(oracleLSO, where, "the group has committed %d of %d", offsets[p], high)
			}
		}
	}
	for _, topic := range h.topics() {
		for p, records := range h.log[topic] {
			open := make(map[int64]int64)
			for _, r := range records {
				if r.Control {
					delete(open, r.Producer)
				} else if _, known := open[r.Producer]; r.InTxn && !known {
					open[r.Producer] = r.Offset
				}
			}
			for producer, offset := range open {
				v.add(oracleLSO, at(topic, p, offset), "the transaction of producer %d has no end", producer)
			}
		}
	}
}

// checkAck: what was acknowledged stands where it was said to stand, once; what was refused or aborted is not seen; and the
// records of a driver are in their order.
func (h *history) checkAck(v *verdict) {
	topic := h.names.transfers()
	type spot struct {
		partition int
		record    record
	}
	found := make(map[string][]spot)
	for p, records := range h.log[topic] {
		last := make(map[string]int64) // of each driver
		for _, r := range records {
			if r.Control {
				continue
			}
			found[r.ID] = append(found[r.ID], spot{p, r})
			driver, number, _ := strings.Cut(r.ID, "/")
			seq, err := strconv.ParseInt(number, 10, 64)
			if err != nil {
				v.add(oracleAck, at(topic, p, r.Offset), "a record that nobody sent: id %q", r.ID)
			} else if seq <= last[driver] {
				v.add(oracleAck, at(topic, p, r.Offset), "%s comes after %s/%d", r.ID, driver, last[driver])
			}
			last[driver] = max(last[driver], seq)
		}
	}
	seen := make(map[string]bool)
	for _, records := range h.visible[topic] {
		for _, r := range records {
			seen[r.ID] = true
		}
	}
	digests := make(map[string]string)
	ends := batchEnds(h.journal)
	for _, s := range h.journal {
		if s.ID == "" {
			continue
		}
		v.Checked[oracleAck]++
		spots := found[s.ID]
		switch s.Outcome {
		case sent:
			digests[s.ID] = s.Digest
			if len(spots) > 1 {
				v.add(oracleAck, at(topic, spots[1].partition, spots[1].record.Offset), "%s is there %d times", s.ID, len(spots))
			}
		case acked:
			i := slices.IndexFunc(spots, func(x spot) bool {
				return int32(x.partition) == s.Partition && x.record.Offset == s.Offset
			})
			switch where := at(topic, int(s.Partition), s.Offset); {
			case i < 0:
				v.add(oracleAck, where, "%s was acknowledged here and is not here", s.ID)
			case digestOf(spots[i].record.Key, spots[i].record.Value) != digests[s.ID]:
				v.add(oracleAck, where, "%s has other bytes than were sent", s.ID)
			case !seen[s.ID] && (s.Batch == "" || ends[s.Batch] == committed):
				v.add(oracleAck, where, "%s was acknowledged and committed, and cannot be seen", s.ID)
			case seen[s.ID] && ends[s.Batch] == aborted:
				v.add(oracleAck, where, "%s was aborted and can be seen", s.ID)
			}
		case refused:
			if seen[s.ID] {
				v.add(oracleAck, at(topic, spots[0].partition, spots[0].record.Offset), "%s was refused and can be seen", s.ID)
			}
		}
	}
	for id, spots := range found {
		if _, ok := digests[id]; !ok {
			v.add(oracleAck, at(topic, spots[0].partition, spots[0].record.Offset), "a record that nobody sent: id %q", id)
		}
	}
}

// batchEnds returns how the drivers' transactions ended, as far as the drivers know.
func batchEnds(journal []step) map[string]outcome {
	ends := make(map[string]outcome)
	for _, s := range journal {
		if s.ID == "" {
			ends[s.Batch] = s.Outcome
		}
	}
	return ends
}

// checkOrder: the entries of an account are numbered without a gap, and each holds the digest of the one before it.
func (h *history) checkOrder(v *verdict) {
	type tail struct {
		seq    int64
		digest string
	}
	last, broken := make(map[string]tail), make(map[string]bool)
	topic := h.names.entries()
	for p, records := range h.visible[topic] {
		for _, r := range records {
			v.Checked[oracleOrder]++
			e, err := decode[entry](r)
			if err != nil {
				v.add(oracleOrder, at(topic, p, r.Offset), "%v", err)
				continue
			}
			before := last[e.Account]
			if !broken[e.Account] { // the first bad entry of an account is enough
				switch {
				case e.Seq != before.seq+1:
					v.add(oracleOrder, at(topic, p, r.Offset), "entry %d of %s follows entry %d", e.Seq, e.Account, before.seq)
					broken[e.Account] = true
				case e.Digest != e.chain(before.digest):
					v.add(oracleOrder, at(topic, p, r.Offset), "entry %d of %s does not continue entry %d", e.Seq, e.Account, before.seq)
					broken[e.Account] = true
				}
			}
			last[e.Account] = tail{e.Seq, e.Digest}
		}
	}
}

// checkConservation: no money is made or lost. At rest the balances add up to what there was at the beginning, and to every
// credit there is one debit of the same amount.
func (h *history) checkConservation(v *verdict) {
	type sides struct{ debits, credits, amount int64 }
	transfers, balances := make(map[string]sides), make(map[string]int64)
	for _, records := range h.visible[h.names.entries()] {
		for _, r := range records {
			e, err := decode[entry](r)
			if err != nil {
				continue // ORDER says so
			}
			balances[e.Account] = e.Balance
			s := transfers[e.ID]
			if e.Kind == debited {
				s.debits++
				s.amount += e.Amount
			} else {
				s.credits++
				s.amount -= e.Amount
			}
			transfers[e.ID] = s
		}
	}
	for id, s := range transfers {
		v.Checked[oracleCons]++
		if s.debits != 1 || s.credits != 1 || s.amount != 0 {
			v.add(oracleCons, id, "%d debits and %d credits, which leave %d", s.debits, s.credits, s.amount)
		}
	}
	sum := int64(h.accounts-len(balances)) * openingBalance
	for _, b := range balances {
		sum += b
	}
	if want := int64(h.accounts) * openingBalance; sum != want {
		v.add(oracleCons, h.names.entries(), "the balances add up to %d, not to %d", sum, want)
	}
}
