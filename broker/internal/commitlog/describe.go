package commitlog

import (
	"maps"
	"slices"

	"github.com/millrace-io/millrace/broker/internal/journal"
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

// PartitionStats is what a partition is at a moment.
type PartitionStats struct {
	Topic     string
	Partition int32
	Offsets
	Segments int
	Bytes    int64 // in segments or in memory
}

// EachPartition calls visit for every partition.
func (l *Log) EachPartition(visit func(PartitionStats)) {
	for _, p := range l.catalog.partitions() {
		p.mu.Lock()
		s := PartitionStats{Topic: p.topic.Name, Partition: p.index, Offsets: p.offsetsLocked(), Segments: len(p.mu.segments), Bytes: p.mu.tail.dirty}
		for _, x := range p.mu.segments {
			s.Bytes += x.size
		}
		p.mu.Unlock()
		visit(s)
	}
}

// JournalStats counts what the journal did since the log was opened.
type JournalStats = journal.Stats

// JournalStats returns the counts so far.
func (l *Log) JournalStats() JournalStats { return l.journal.Stats() }

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
