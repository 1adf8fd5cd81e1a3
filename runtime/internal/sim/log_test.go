package sim

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/runtime/internal/client"
)

// logModel is the log: partitions, transactions and the group's offsets.
type logModel struct {
	partitions map[client.TopicPartition]*partition
	txns       map[string]*txn
	group      *group
	offsets    map[client.TopicPartition]client.Committed
}

func newLog(now time.Time) *logModel {
	return &logModel{
		partitions: make(map[client.TopicPartition]*partition),
		txns:       make(map[string]*txn),
		group:      newGroup(now),
		offsets:    make(map[client.TopicPartition]client.Committed),
	}
}

// fate is what became of a record's transaction.
type fate uint8

const (
	pending fate = iota
	visible
	aborted
	control // it is no record but a marker
)

type record struct {
	key, value []byte
	timestamp  int64
	txn        string
	fate       fate
}

type partition struct{ records []record }

func (l *logModel) partition(tp client.TopicPartition) *partition {
	p := l.partitions[tp]
	if p == nil {
		p = &partition{}
		l.partitions[tp] = p
	}
	return p
}

// stable is the last stable offset.
func (p *partition) stable() int64 {
	for i, r := range p.records {
		if r.fate == pending {
			return int64(i)
		}
	}
	return int64(len(p.records))
}

// visible calls f for the committed records below an offset.
func (p *partition) visible(f func(offset int64, r *record)) {
	for i := range p.records {
		if p.records[i].fate == visible {
			f(int64(i), &p.records[i])
		}
	}
}

// session is a producer's: what its requests carry.
type session struct {
	id    string
	epoch int
}

// txnState is where a transaction stands at its coordinator.
type txnState uint8

const (
	txnEmpty txnState = iota
	txnOngoing
	txnCommitting // decided, the markers are being written
	txnAborting
)

// txn is a transactional id. Its epoch grows with every session and every transaction (KIP-890).
type txn struct {
	id      string
	epoch   int
	state   txnState
	since   time.Time
	timeout time.Duration
	parts   map[client.TopicPartition]bool
	offsets map[client.TopicPartition]client.Committed // pending
	ended   struct {                                   // the last end that was asked for, for one who asks again
		epoch  int
		commit bool
	}
}

func (l *logModel) txn(id string) *txn {
	t := l.txns[id]
	if t == nil {
		t = &txn{id: id, parts: make(map[client.TopicPartition]bool), offsets: make(map[client.TopicPartition]client.Committed)}
		l.txns[id] = t
	}
	return t
}

// init begins a session; false while the last transaction is not settled.
func (l *logModel) init(s *session, timeout time.Duration) bool {
	t := l.txn(s.id)
	if t.state == txnOngoing {
		t.epoch++
		t.state = txnAborting
	}
	if t.state != txnEmpty {
		return false
	}
	t.epoch++
	t.timeout = timeout
	s.epoch = t.epoch
	return true
}

// enter puts a session's transaction under way; false while the one before is not settled.
func (l *logModel) enter(s session, now time.Time) (*txn, bool, error) {
	t := l.txn(s.id)
	switch {
	case t.epoch != s.epoch:
		return nil, true, kerr.InvalidProducerEpoch
	case t.state == txnCommitting, t.state == txnAborting:
		return nil, false, nil
	case t.state == txnEmpty:
		t.state, t.since = txnOngoing, now
	}
	return t, true, nil
}

func (l *logModel) produce(s session, tp client.TopicPartition, records []record, now time.Time) (next int64, done bool, err error) {
	t, done, err := l.enter(s, now)
	if !done || err != nil {
		return 0, done, err
	}
	t.parts[tp] = true
	p := l.partition(tp)
	for _, r := range records {
		r.txn, r.fate = s.id, pending
		p.records = append(p.records, r)
	}
	return int64(len(p.records)), true, nil
}

func (l *logModel) commitOffsets(s session, id client.Identity, offsets map[client.TopicPartition]client.Committed, now time.Time) (bool, error) {
	if t := l.txn(s.id); t.epoch == s.epoch && (t.state == txnCommitting || t.state == txnAborting) {
		return false, nil
	}
	if err := l.group.validate(id); err != nil {
		return true, err
	}
	t, done, err := l.enter(s, now)
	if !done || err != nil {
		return done, err
	}
	maps.Copy(t.offsets, offsets)
	return true, nil
}

// end decides a transaction. The answer carries the next transaction's epoch.
func (l *logModel) end(s *session, commit bool) error {
	t := l.txn(s.id)
	if t.epoch == s.epoch+1 && t.ended.epoch == s.epoch && t.ended.commit == commit { // asked again
		s.epoch++
		return nil
	}
	switch {
	case t.epoch != s.epoch:
		return kerr.InvalidProducerEpoch
	case t.state != txnOngoing:
		return kerr.InvalidTxnState
	}
	t.state = txnAborting
	if commit {
		t.state = txnCommitting
	}
	t.ended.epoch, t.ended.commit = s.epoch, commit
	t.epoch++
	s.epoch++
	return nil
}

// marker is one marker that is to be written: into a partition, or into the group's offsets.
type marker struct {
	txn    *txn
	tp     client.TopicPartition
	offset bool
}

// markers returns what is left to write, in a fixed order.
func (l *logModel) markers() (left []marker) {
	for _, id := range slices.Sorted(maps.Keys(l.txns)) {
		t := l.txns[id]
		if t.state != txnCommitting && t.state != txnAborting {
			continue
		}
		for _, tp := range sortedPartitions(t.parts) {
			left = append(left, marker{txn: t, tp: tp})
		}
		if len(t.offsets) > 0 {
			left = append(left, marker{txn: t, offset: true})
		}
		if len(t.parts)+len(t.offsets) == 0 {
			t.state = txnEmpty
		}
	}
	return left
}

func (l *logModel) write(m marker) {
	t := m.txn
	if m.offset {
		if t.state == txnCommitting {
			maps.Copy(l.offsets, t.offsets)
		}
		clear(t.offsets)
	} else {
		p, to := l.partition(m.tp), aborted
		if t.state == txnCommitting {
			to = visible
		}
		for i := range p.records {
			if p.records[i].fate == pending && p.records[i].txn == t.id {
				p.records[i].fate = to
			}
		}
		p.records = append(p.records, record{fate: control})
		delete(t.parts, m.tp)
	}
	if len(t.parts)+len(t.offsets) == 0 {
		t.state = txnEmpty
	}
}

// unstable reports whether a transaction that is not settled holds an offset of one of the partitions.
func (l *logModel) unstable(tps []client.TopicPartition) bool {
	for _, t := range l.txns {
		for _, tp := range tps {
			if _, ok := t.offsets[tp]; ok {
				return true
			}
		}
	}
	return false
}

// expire aborts transactions whose time is up.
func (l *logModel) expire(now time.Time) {
	for _, t := range l.txns {
		if t.state == txnOngoing && now.Sub(t.since) >= t.timeout {
			t.epoch++
			t.state = txnAborting
		}
	}
	l.group.expire(now)
}

// decided reports whether a record is, or is about to become, visible.
func (l *logModel) decided(r *record) bool {
	return r.fate == visible || r.fate == pending && l.txns[r.txn].state == txnCommitting
}

// undecided returns the offset of a partition's first record of a transaction that may still be aborted; where that is not written down
// yet, it may lie beyond the last stable offset.
func (l *logModel) undecided(tp client.TopicPartition) int64 {
	p := l.partition(tp)
	for i := range p.records {
		if r := &p.records[i]; r.fate == pending && l.txns[r.txn].state == txnOngoing {
			return int64(i)
		}
	}
	return int64(len(p.records))
}

func comparePartitions(a, b client.TopicPartition) int {
	return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
}

func sortedPartitions[V any](m map[client.TopicPartition]V) []client.TopicPartition {
	return slices.SortedFunc(maps.Keys(m), comparePartitions)
}
