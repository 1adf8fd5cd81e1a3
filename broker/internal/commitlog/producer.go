package commitlog

import (
	"math"

	"github.com/millrace-io/millrace/broker/internal/batch"
)

// cachedBatches is how many batches of a producer are remembered per partition: as many as an idempotent producer may have in
// flight.
const cachedBatches = 5

// producers is what a partition knows of the producers that wrote to it: a pure core, which makes the producer's promises
// (no duplicate, no gap, no zombie) checks on two integers. It is part of the snapshot, never inferred from recent batches.
type producers map[int64]*producer

// producer is one producer's state on one partition.
type producer struct {
	epoch   int16 // of the last batch or marker; -1 if there was none
	lastUse int64 // milliseconds

	open     bool  // a transaction is open here
	txnEpoch int16 // its epoch
	txnFirst int64 // offset of its first batch, -1 as long as there is none

	n       int // of batches
	batches [cachedBatches]cachedBatch
}

// cachedBatch is what a retry is recognised by, and answered with.
type cachedBatch struct {
	firstSequence, lastSequence int32
	baseOffset                  int64
	appendTime                  int64 // -1 for CreateTime
	lsn                         LSN   // 0 after a restart: durable for sure
}

// check decides on a batch with a producer id: the batch it repeats, if any, or why it is refused. begin says that the entry
// opens the producer's transaction.
func (t producers) check(h *batch.Header, begin bool) (*cachedBatch, error) {
	transactional := h.Attributes.Transactional()
	p := t[h.ProducerID]
	if p == nil {
		// Never seen, or expired: it may begin anywhere, but with a transaction. Each has an epoch of its own, whose numbers begin
		// at 0: another one comes after a batch that was refused, and overtakes its retry.
		switch {
		case transactional && !begin:
			return nil, ErrTxnNotOpen
		case begin && h.BaseSequence != 0:
			return nil, ErrOutOfOrderSequence
		}
		return nil, nil
	}
	if h.ProducerEpoch < p.epoch || p.open && h.ProducerEpoch < p.txnEpoch {
		return nil, ErrInvalidProducerEpoch
	}
	if h.ProducerEpoch == p.epoch {
		for i := range p.batches[:p.n] {
			if b := &p.batches[i]; b.firstSequence == h.BaseSequence && b.lastSequence == h.LastSequence() {
				return b, nil
			}
		}
	}
	switch {
	case transactional && !begin && (!p.open || p.txnEpoch != h.ProducerEpoch):
		return nil, ErrTxnNotOpen
	case !transactional && p.open:
		return nil, ErrInvalidTxnState
	}
	if !p.follows(h) {
		return nil, ErrOutOfOrderSequence
	}
	return nil, nil
}

// follows reports whether the batch's first sequence number is the one after the last.
func (p *producer) follows(h *batch.Header) bool {
	switch {
	case p.epoch < 0:
		return true
	case h.ProducerEpoch != p.epoch || p.n == 0:
		return h.BaseSequence == 0
	}
	return h.BaseSequence == batch.AddSequence(p.batches[p.n-1].lastSequence, 1)
}

// get returns the producer's state, made if it is new.
func (t producers) get(id int64) *producer {
	p := t[id]
	if p == nil {
		p = &producer{epoch: -1, txnFirst: -1}
		t[id] = p
	}
	return p
}

// setEpoch moves to a higher epoch, whose sequence numbers begin anew.
func (p *producer) setEpoch(epoch int16) {
	if epoch > p.epoch {
		p.epoch, p.n = epoch, 0
	}
}

// begin opens the transaction, unless it is open.
func (p *producer) begin(epoch int16) {
	if !p.open {
		p.open, p.txnFirst = true, -1
	}
	p.txnEpoch = epoch
}

// end closes the transaction and returns the offset of its first batch, or -1.
func (p *producer) end(epoch int16) int64 {
	first := p.txnFirst
	if !p.open {
		first = -1
	}
	p.open, p.txnFirst, p.txnEpoch = false, -1, 0
	p.setEpoch(epoch)
	return first
}

// add remembers an appended batch.
func (p *producer) add(h *batch.Header, lsn LSN) {
	p.setEpoch(h.ProducerEpoch)
	if p.n == cachedBatches {
		copy(p.batches[:], p.batches[1:])
		p.n--
	}
	b := cachedBatch{firstSequence: h.BaseSequence, lastSequence: h.LastSequence(), baseOffset: h.BaseOffset, appendTime: -1, lsn: lsn}
	if h.Attributes.LogAppendTime() {
		b.appendTime = h.MaxTimestamp
	}
	p.batches[p.n] = b
	p.n++
}

// idle returns the producers that were last used before a time and have no transaction open. At most max of them.
func (t producers) idle(before int64, max int) (ids []int64) {
	for id, p := range t {
		if !p.open && p.lastUse < before {
			if ids = append(ids, id); len(ids) == max {
				break
			}
		}
	}
	return ids
}

// txn is a transaction that holds the last stable offset back: it is open, or its end is not yet durable.
type txn struct {
	producer int64
	first    int64 // offset of its first batch
	position int64 // bytes of the partition before that batch, for waiters
	ended    LSN   // of the marker; 0 as long as it is open
}

// txns are a partition's unstable transactions, by first offset, which is the order in which they came.
type txns []txn

func (t *txns) begin(producer, first, position int64) {
	*t = append(*t, txn{producer: producer, first: first, position: position})
}

func (t txns) end(producer int64, lsn LSN) {
	for i := range t {
		if t[i].producer == producer && t[i].ended == 0 {
			t[i].ended = lsn
		}
	}
}

// settle forgets the transactions whose end is durable.
func (t *txns) settle(durable LSN) {
	kept := (*t)[:0]
	for _, x := range *t {
		if x.ended == 0 || x.ended > durable {
			kept = append(kept, x)
		}
	}
	*t = kept
}

// open returns the transactions that have not ended.
func (t txns) open() (open txns) {
	for _, x := range t {
		if x.ended == 0 {
			open = append(open, x)
		}
	}
	return open
}

// stable returns the first offset and position that are not stable.
func (t txns) stable() (offset, position int64) {
	if len(t) == 0 {
		return math.MaxInt64, math.MaxInt64
	}
	return t[0].first, t[0].position
}
