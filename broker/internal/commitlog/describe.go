package commitlog

import (
	"maps"
	"slices"
)

// ProducerState is what a partition knows of a producer.
type ProducerState struct {
	ID           int64
	Epoch        int16
	LastSequence int32 // -1 if only a marker was written
	LastUse      int64 // milliseconds
	TxnStart     int64 // first offset of its open transaction, -1 if there is none
}

// Producers returns the producers that the partition knows, by id.
func (p *Partition) Producers() ([]ProducerState, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.deleted {
		return nil, ErrUnknownTopic
	}
	all := make([]ProducerState, 0, len(p.mu.producers))
	for _, id := range slices.Sorted(maps.Keys(p.mu.producers)) {
		s := p.mu.producers[id]
		if s.epoch < 0 {
			continue // it has only begun a transaction
		}
		x := ProducerState{ID: id, Epoch: s.epoch, LastSequence: -1, LastUse: s.lastUse, TxnStart: -1}
		if s.n > 0 {
			x.LastSequence = s.batches[s.n-1].lastSequence
		}
		if s.open {
			x.TxnStart = s.txnFirst
		}
		all = append(all, x)
	}
	return all, nil
}

// Bytes returns how many bytes of batches the partition has, in segments or in memory.
func (p *Partition) Bytes() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.mu.tail.dirty
	for _, s := range p.mu.segments {
		n += s.size
	}
	return n
}

// DiskUsage returns the size of the data directory's file system and what is left of it, or -1 for both if it does not say.
func (l *Log) DiskUsage() (total, available int64) {
	u, err := l.cfg.FS.GetDiskUsage(l.cfg.Dir)
	if err != nil {
		return -1, -1
	}
	return int64(u.TotalBytes), int64(u.AvailBytes)
}

// Dir returns the data directory.
func (l *Log) Dir() string { return l.cfg.Dir }
