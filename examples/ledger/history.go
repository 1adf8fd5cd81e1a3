package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// history is all that is known of a run once everything is at rest: what the oracles judge. Nothing in it comes from the
// system's own idea of what it did, but for the store dumps, which are judged themselves.
type history struct {
	names    names
	accounts int
	journal  []step
	// log is every record of every topic by partition, control records and aborted ones included.
	log map[string][][]record
	// committed is what a read_committed reader got at rest, observed what one got that had read from the beginning.
	committed, observed map[string][][]glimpse
	// high and stable are the ends of partitions; offsets is where the groups stand, by topic that they read.
	high, stable, offsets map[string][]int64
	stores                []dump

	visible map[string][][]record // computed by see
}

// record is a record of the log.
type record struct {
	Offset     int64
	Timestamp  int64
	Key, Value []byte // nil: null
	ID         string // of the header, "" if it has none
	Producer   int64
	Epoch      int16
	InTxn      bool
	Control    bool
	Commit     bool // of a control record: it commits, else it aborts
}

// glimpse is a record as a reader saw it, in short.
type glimpse struct {
	Offset int64
	Digest string
}

// dump is what one instance holds of one store partition.
type dump struct {
	Instance  string
	Changelog string // topic
	Partition int32
	Next      int64 // offset of the changelog up to which it holds
	Rows      map[string]string
}

// violation is a broken promise: which oracle says so, where, and what is wrong.
type violation struct {
	Oracle string `json:"oracle"`
	Where  string `json:"where"`
	What   string `json:"what"`
}

// verdict collects violations: all are counted, the first of each oracle are kept.
type verdict struct {
	Counts map[string]int
	First  []violation
	kept   map[string]int
	// Checked counts what each oracle has looked at: an oracle that has seen nothing has proven nothing.
	Checked map[string]int
}

func newVerdict() *verdict {
	return &verdict{Counts: make(map[string]int), kept: make(map[string]int), Checked: make(map[string]int)}
}

// keptEach is how many violations of an oracle are told in words.
const keptEach = 5

func (v *verdict) add(oracle, where, format string, args ...any) {
	v.Counts[oracle]++
	if v.kept[oracle]++; v.kept[oracle] <= keptEach {
		v.First = append(v.First, violation{oracle, where, fmt.Sprintf(format, args...)})
	}
}

func (v *verdict) total() (n int) {
	for _, c := range v.Counts {
		n += c
	}
	return n
}

// The oracles.
const (
	oracleAck       = "ACK"
	oracleRef       = "REF"
	oracleStore     = "STORE"
	oracleChangelog = "CHANGELOG"
	oracleAtomic    = "ATOMIC"
	oracleOrder     = "ORDER"
	oracleCons      = "CONS"
	oracleLSO       = "LSO"
	oracleLive      = "LIVE"
	oracleFaults    = "FAULTS"
)

// judge asks every oracle.
func (h *history) judge() *verdict {
	v := newVerdict()
	h.see()
	h.checkLSO(v)
	h.checkAck(v)
	h.checkAtomic(v)
	h.checkOrder(v)
	h.checkConservation(v)
	ref := h.refold(v)
	ref.checkViews(v)
	ref.checkChangelogs(v)
	h.checkStores(v)
	return v
}

// see computes which records a reader of committed data may see, from the control records alone.
func (h *history) see() {
	h.visible = make(map[string][][]record)
	for topic, partitions := range h.log {
		h.visible[topic] = make([][]record, len(partitions))
		for p, records := range partitions {
			h.visible[topic][p] = committedOf(records)
		}
	}
}

func committedOf(records []record) (visible []record) {
	pending := make(map[int64][]record)
	for _, r := range records {
		switch {
		case r.Control && r.Commit:
			visible = append(visible, pending[r.Producer]...)
			delete(pending, r.Producer)
		case r.Control:
			delete(pending, r.Producer)
		case r.InTxn:
			pending[r.Producer] = append(pending[r.Producer], r)
		default:
			visible = append(visible, r)
		}
	}
	slices.SortFunc(visible, func(a, b record) int { return cmp.Compare(a.Offset, b.Offset) })
	return visible
}

// topics returns the topics of the log in order.
func (h *history) topics() []string { return slices.Sorted(maps.Keys(h.log)) }

func at(topic string, partition int, offset int64) string {
	return place{topic, int32(partition), offset}.String()
}
