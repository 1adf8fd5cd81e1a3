package commitlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/millrace-io/millrace/broker/internal/batch"
)

// ledger is what the clients of a log were told, and so what a crash must not take back.
type ledger struct {
	mu         sync.Mutex
	partitions map[TopicPartition]*promised
	ended      map[int64]*endedTxn // transactions whose end was acknowledged, by number
	topics     map[TopicID]bool    // true: created, false: deleted
}

// promised is what was promised of one partition.
type promised struct {
	batches   []promisedBatch
	readable  int64           // the highest high watermark that was seen
	open      map[int64]int64 // producer -> first offset of a transaction that was not ended
	lastBatch map[int64]producerBatch
	aborted   []AbortedTxn
}

type promisedBatch struct {
	base int64
	crc  uint32
}

// endedTxn is a transaction that ended, with its markers.
type endedTxn struct {
	markers []Marker
	offsets []int64
}

func newLedger() *ledger {
	return &ledger{partitions: map[TopicPartition]*promised{}, ended: map[int64]*endedTxn{}, topics: map[TopicID]bool{}}
}

func (g *ledger) of(tp TopicPartition) *promised {
	p := g.partitions[tp]
	if p == nil {
		p = &promised{open: map[int64]int64{}, lastBatch: map[int64]producerBatch{}}
		g.partitions[tp] = p
	}
	return p
}

func (g *ledger) topic(id TopicID, there bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.topics[id] = there
}

// appended notes an acknowledged batch.
func (g *ledger) appended(tp TopicPartition, b producerBatch, crc uint32, base int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.of(tp)
	p.batches = append(p.batches, promisedBatch{base, crc})
	if b.id >= 0 {
		p.lastBatch[b.id] = b
	}
	if _, ok := p.open[b.id]; b.txn && !ok {
		p.open[b.id] = base
	}
}

// ending notes that a transaction's end was asked for: from now on it may be either open or ended.
func (g *ledger) ending(markers []Marker) (first []int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, m := range markers {
		p := g.of(m.TopicPartition)
		f, ok := p.open[m.ProducerID]
		if !ok {
			f = -1
		}
		first = append(first, f)
		delete(p.open, m.ProducerID)
	}
	return first
}

// endedWith notes the acknowledged end of transaction number n.
func (g *ledger) endedWith(n int64, markers []Marker, offsets, first []int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ended[n] = &endedTxn{markers: markers, offsets: offsets}
	for i, m := range markers {
		if !m.Commit && first[i] >= 0 {
			p := g.of(m.TopicPartition)
			p.aborted = append(p.aborted, AbortedTxn{m.ProducerID, first[i]})
		}
	}
}

// saw notes a high watermark that a consumer could see.
func (g *ledger) saw(tp TopicPartition, hw int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.of(tp)
	p.readable = max(p.readable, hw)
}

// copy returns the ledger as of now.
func (g *ledger) copy() *ledger {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := newLedger()
	for tp, p := range g.partitions {
		c.partitions[tp] = &promised{batches: slices.Clip(p.batches), readable: p.readable, open: maps.Clone(p.open),
			lastBatch: maps.Clone(p.lastBatch), aborted: slices.Clip(p.aborted)}
	}
	c.ended, c.topics = maps.Clone(g.ended), maps.Clone(g.topics)
	return c
}

// retract takes out of g what was true before and may have been taken back on purpose by now: topics that are being deleted, and
// open transactions that are being ended.
func (g *ledger) retract(now *ledger) {
	now.mu.Lock()
	defer now.mu.Unlock()
	for id := range g.topics {
		if g.topics[id] && !now.topics[id] {
			delete(g.topics, id)
		}
	}
	for tp, p := range g.partitions {
		for id, first := range p.open {
			if f, ok := now.partitions[tp].open[id]; !ok || f != first {
				delete(p.open, id)
			}
		}
	}
}

// check compares a log that was opened after a crash with what was promised.
func (g *ledger) check(l *Log, m *txnMachine) error {
	for id, there := range g.topics {
		if _, ok := l.TopicByID(id); ok != there {
			return fmt.Errorf("topic %s: there is %v, acknowledged %v", id, ok, there)
		}
	}
	contents := map[TopicPartition]map[int64]storedBatch{}
	for tp, want := range g.partitions {
		if there, known := g.topics[tp.Topic]; known && !there {
			continue
		}
		p := l.Partition(tp.Topic, tp.Partition)
		if p == nil {
			continue // its deletion was on the way
		}
		stored, err := readStored(p)
		if err == nil {
			err = want.check(p, stored)
		}
		if err != nil {
			return fmt.Errorf("%s-%d: %w", p.topic.Name, tp.Partition, err)
		}
		contents[tp] = stored
	}
	for n, e := range g.ended {
		if !m.ended[n] {
			return fmt.Errorf("transaction %d was ended, and the machine does not know", n)
		}
		for i, mark := range e.markers {
			b, ok := contents[mark.TopicPartition][e.offsets[i]]
			if !ok || !b.marker || b.commit != mark.Commit || b.producer != mark.ProducerID {
				return fmt.Errorf("transaction %d: its marker at %d of partition %d is lost", n, e.offsets[i], mark.Partition)
			}
		}
	}
	return nil
}

// storedBatch is what the check needs to know of a batch that was read.
type storedBatch struct {
	crc            uint32
	producer       int64
	marker, commit bool
}

// readStored reads a whole partition, by base offset.
func readStored(p *Partition) (map[int64]storedBatch, error) {
	stored := map[int64]storedBatch{}
	end := p.Offsets().End
	for next := int64(0); next < end; {
		r, err := p.Read(next, ReadOptions{MaxBytes: 1 << 20, MinOneBatch: true})
		if err != nil {
			return nil, err
		}
		for _, b := range r.Batches {
			for ; len(b) > 0; b = b[batchSize(b):] {
				h, err := batch.ParseHeader(b)
				if err == nil {
					err = batch.Verify(b[:h.Size()], &h)
				}
				if err != nil {
					return nil, fmt.Errorf("batch at %d: %w", next, err)
				}
				if h.BaseOffset != next {
					return nil, fmt.Errorf("batch at %d instead of %d", h.BaseOffset, next)
				}
				s := storedBatch{crc: h.CRC, producer: h.ProducerID}
				s.commit, s.marker = batch.ParseMarker(b[:h.Size()], &h)
				stored[next], next = s, h.NextOffset()
			}
		}
	}
	return stored, nil
}

func (want *promised) check(p *Partition, stored map[int64]storedBatch) error {
	o := p.Offsets()
	if o.LogStart > o.LastStable || o.LastStable > o.HighWatermark || o.HighWatermark != o.End {
		return fmt.Errorf("offsets %+v", o)
	}
	if o.HighWatermark < want.readable {
		return fmt.Errorf("ends at %d, but could be read up to %d", o.HighWatermark, want.readable)
	}
	for _, b := range want.batches {
		if stored[b.base].crc != b.crc {
			return fmt.Errorf("acknowledged batch at %d is lost", b.base)
		}
	}
	for id, first := range want.open {
		if o.LastStable > first {
			return fmt.Errorf("last stable offset %d, but producer %d has a transaction open from %d on", o.LastStable, id, first)
		}
	}
	aborted, err := p.aborted(0, o.End)
	if err != nil {
		return err
	}
	for _, a := range want.aborted {
		if !slices.Contains(aborted, a) {
			return fmt.Errorf("aborted transaction %+v is not listed", a)
		}
	}
	for id, b := range want.lastBatch {
		if err := checkDuplicate(p, b); err != nil {
			return fmt.Errorf("producer %d: %w", id, err)
		}
	}
	return nil
}

func batchSize(b []byte) int {
	n, err := batch.PeekSize(b)
	if err != nil {
		return len(b)
	}
	return min(n, len(b))
}

// checkDuplicate checks that the producer's state would still recognise a retry of its last acknowledged batch, unless a later
// epoch or batch has moved it on.
func checkDuplicate(p *Partition, b producerBatch) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.mu.producers[b.id]
	if s == nil {
		return errors.New("forgotten")
	}
	if s.epoch > b.epoch {
		return nil
	}
	h, err := batch.ParseHeader(b.raw())
	if err != nil {
		return err
	}
	if original, err := p.mu.producers.check(&h, true); original == nil {
		return fmt.Errorf("retry of the last batch (sequence %d) is not recognised: %w", b.sequence, err)
	}
	return nil
}

// txnMachine knows the numbers of the transactions that have ended.
type txnMachine struct {
	sync.Mutex
	ended map[int64]bool
}

func newTxnMachine() *txnMachine { return &txnMachine{ended: map[int64]bool{}} }

func (m *txnMachine) Replay(record []byte) error {
	n, size := binary.Varint(record)
	if size != len(record) || m.ended[n] {
		return fmt.Errorf("transaction %d ends again", n)
	}
	m.ended[n] = true
	return nil
}

func (m *txnMachine) Snapshot(emit func([]byte) error) error {
	for _, n := range slices.Sorted(maps.Keys(m.ended)) {
		if err := emit(binary.AppendVarint(nil, n)); err != nil {
			return err
		}
	}
	return nil
}
