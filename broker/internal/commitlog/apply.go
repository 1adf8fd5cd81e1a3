package commitlog

import (
	"fmt"
)

// apply makes the changes of an entry to the state in memory. It is the same live and in recovery (L1): it decides nothing,
// reads no clock and does no I/O. Live, the caller holds the locks of all that the entry touches; in recovery nobody else is there.
//
// An error means that the entry does not fit the state.
func (l *Log) apply(lsn LSN, e *entry) error {
	if err := l.applyTopics(e); err != nil {
		return err
	}
	if err := l.applyPartitions(lsn, e); err != nil {
		return err
	}
	for _, r := range e.records {
		m := l.machines[r.Machine]
		if m == nil {
			return fmt.Errorf("no machine %d", r.Machine)
		}
		if err := m.Replay(r.Data); err != nil {
			return fmt.Errorf("machine %d: %w", r.Machine, err)
		}
	}
	return nil
}

// applyTopics makes the changes to topics. An entry has at most one.
func (l *Log) applyTopics(e *entry) error {
	switch {
	case e.create != nil:
		return l.applyCreateLocked(e.create)
	case e.delete != nil:
		return l.applyDeleteLocked(*e.delete)
	case e.grow != nil:
		return l.applyGrowLocked(e.grow)
	case e.configure != nil:
		return l.applyConfigureLocked(e.configure)
	}
	return nil
}

// applyPartitions makes the changes to partitions.
func (l *Log) applyPartitions(lsn LSN, e *entry) error {
	if x := e.trim; x != nil {
		p, err := l.target(x.TopicPartition)
		if err == nil {
			err = p.applyTrim(lsn, x)
		}
		if err != nil {
			return err
		}
	}
	for i := range e.begins {
		b := &e.begins[i]
		p, err := l.target(b.TopicPartition)
		if err != nil {
			return err
		}
		p.mu.producers.get(b.ProducerID).begin(b.ProducerEpoch)
	}
	if a := e.append; a != nil {
		p, err := l.target(a.TopicPartition)
		if err == nil {
			err = p.applyAppend(lsn, a)
		}
		if err != nil {
			return err
		}
	}
	for i := range e.markers {
		p, err := l.target(e.markers[i].TopicPartition)
		if err == nil {
			err = p.applyMarker(lsn, &e.markers[i])
		}
		if err != nil {
			return err
		}
	}
	if x := e.expire; x != nil {
		p, err := l.target(x.TopicPartition)
		if err != nil {
			return err
		}
		for _, id := range x.producers {
			delete(p.mu.producers, id)
		}
	}
	return nil
}

// target returns the partition that a change names.
func (l *Log) target(tp TopicPartition) (*Partition, error) {
	p := l.catalog.partition(tp)
	if p == nil {
		return nil, fmt.Errorf("partition %s-%d is not there", tp.Topic, tp.Partition)
	}
	return p, nil
}

// applyAppend adds a batch at the end.
func (p *Partition) applyAppend(lsn LSN, a *appendChange) error {
	h := &a.h
	if h.BaseOffset != p.mu.end {
		return fmt.Errorf("batch at offset %d, but partition %s-%d ends at %d", h.BaseOffset, p.topic.Name, p.index, p.mu.end)
	}
	if h.ProducerID >= 0 {
		s := p.mu.producers.get(h.ProducerID)
		s.lastUse = a.time
		if a.begin {
			s.begin(h.ProducerEpoch)
		}
		s.add(h, lsn)
		if h.Attributes.Transactional() && s.txnFirst < 0 {
			s.txnFirst = h.BaseOffset
			p.mu.unstable.begin(h.ProducerID, h.BaseOffset, p.mu.bytes)
		}
	}
	p.addBatch(lsn, tailBatch{base: h.BaseOffset, next: h.NextOffset(), maxTime: h.MaxTimestamp, raw: a.raw})
	return nil
}

// applyMarker ends a producer's transaction with a control batch.
func (p *Partition) applyMarker(lsn LSN, m *placedMarker) error {
	if m.offset != p.mu.end {
		return fmt.Errorf("marker at offset %d, but partition %s-%d ends at %d", m.offset, p.topic.Name, p.index, p.mu.end)
	}
	s := p.mu.producers.get(m.ProducerID)
	s.lastUse = m.timestamp
	first := s.end(m.ProducerEpoch)
	p.mu.unstable.end(m.ProducerID, lsn)
	if first >= 0 && !m.Commit {
		p.mu.tailAborted = append(p.mu.tailAborted, abortedTxn{producer: m.ProducerID, first: first, last: m.offset})
	}
	p.addBatch(lsn, tailBatch{base: m.offset, next: m.offset + 1, maxTime: m.timestamp, raw: markerBatch(m, p.leaderEpochLocked())})
	return nil
}

// addBatch puts a batch into the tail. It becomes readable when the entry is durable (L3).
func (p *Partition) addBatch(lsn LSN, b tailBatch) {
	p.mu.tail.add(b)
	p.mu.end = b.next
	p.mu.bytes += int64(len(b.raw))
	p.log.tailBytes.Add(int64(len(b.raw)))
	p.noteLocked(lsn)
}
