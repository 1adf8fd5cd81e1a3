package commitlog

import (
	"bytes"
	"cmp"
	"fmt"
	"sync"
	"sync/atomic"
)

// Partition is one log of record batches. Its methods may be called from any goroutine.
//
// Its state is decided and applied under its lock; what readers see follows as entries become durable.
type Partition struct {
	log   *Log
	topic *topic
	index int32
	dir   string

	mu struct {
		sync.Mutex

		logStart  int64
		end       int64 // offset of the next batch
		bytes     int64 // of all batches ever appended since Open: positions for waiters count in it
		producers producers
		epochs    []epochStart // leader epochs, oldest first
		cleaned   int64        // every key below has its last value only, as of when it was compacted
		deleted   bool

		// What readers see.
		highWatermark int64 // L3
		durableStart  int64 // the log start as of the high watermark's entry: what is below may be purged
		durableBytes  int64 // position of the high watermark
		unstable      txns
		unpublished   []unpublished // applied, not yet durable, by LSN

		// Where the batches are: segments up to written, the tail from some earlier offset to end.
		segments    []*segment
		replaced    int64 // how often segments were replaced by compacted ones
		written     int64
		tail        tail
		tailAborted []abortedTxn // their markers are not yet in a segment

		watchers []watcher
	}
	queued        atomic.Bool // in the segment writer's queue
	uncompactable atomic.Bool // a round has failed

	// Guarded by Log.flushMu.
	dirtySegments []*segment // written since they were synced, oldest first
	deadSegments  []*segment // below the log start: their files go once a checkpoint does without them
	hasDir        bool       // the directory exists
	dirtyDir      bool       // and has entries that are not synced
}

// unpublished says where the partition will be once an entry is durable.
type unpublished struct {
	lsn               LSN
	start, end, bytes int64
}

// noteLocked remembers what publish makes visible once the entry is durable.
func (p *Partition) noteLocked(lsn LSN) {
	p.mu.unpublished = append(p.mu.unpublished, unpublished{lsn: lsn, start: p.mu.logStart, end: p.mu.end, bytes: p.mu.bytes})
}

// epochStart is where a leader epoch begins.
type epochStart struct {
	epoch  int32
	offset int64
}

func newPartition(l *Log, t *topic, index int32) *Partition {
	p := &Partition{log: l, topic: t, index: index,
		dir: l.cfg.FS.PathJoin(l.topicsDir, partitionDir(t.ID, index))}
	p.mu.producers = producers{}
	p.mu.epochs = []epochStart{{}}
	return p
}

func partitionDir(id TopicID, index int32) string { return fmt.Sprintf("%x-%d", id[:], index) }

// Isolation is Kafka's isolation level.
type Isolation int8

const (
	// ReadUncommitted reads up to the high watermark.
	ReadUncommitted Isolation = 0
	// ReadCommitted reads up to the last stable offset, with the aborted transactions named.
	ReadCommitted Isolation = 1
)

// Offsets are a partition's offsets at one moment: LogStart <= LastStable <= HighWatermark <= End.
type Offsets struct {
	LogStart, LastStable, HighWatermark, End int64
}

func (o *Offsets) limit(iso Isolation) int64 {
	if iso == ReadCommitted {
		return o.LastStable
	}
	return o.HighWatermark
}

// Offsets returns the partition's offsets.
func (p *Partition) Offsets() Offsets {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.offsetsLocked()
}

func (p *Partition) offsetsLocked() Offsets {
	first, _ := p.mu.unstable.stable()
	return Offsets{
		LogStart:      p.mu.logStart,
		LastStable:    max(min(first, p.mu.highWatermark), p.mu.logStart), // a transaction's beginning may be deleted
		HighWatermark: p.mu.highWatermark,
		End:           p.mu.end,
	}
}

// LeaderEpoch returns the leader epoch that batches are stored with. It is 0 as long as no data that could be read was cut, which
// only a crash of the machine under Async does.
func (p *Partition) LeaderEpoch() int32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.leaderEpochLocked()
}

func (p *Partition) leaderEpochLocked() int32 { return p.mu.epochs[len(p.mu.epochs)-1].epoch }

// EpochEnd returns the last leader epoch at or below epoch, and the offset after its last record (OffsetForLeaderEpoch).
// ok is false if the epoch is not known.
func (p *Partition) EpochEnd(epoch int32) (found int32, end int64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if epoch > p.leaderEpochLocked() {
		return 0, 0, false
	}
	end = p.mu.highWatermark
	for i := len(p.mu.epochs) - 1; i >= 0; i-- {
		if p.mu.epochs[i].epoch <= epoch {
			return p.mu.epochs[i].epoch, end, true
		}
		end = p.mu.epochs[i].offset
	}
	return 0, 0, false
}

// EpochAt returns the leader epoch that offset, which is not below 0, belongs to.
func (p *Partition) EpochAt(offset int64) int32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := len(p.mu.epochs) - 1
	for i > 0 && p.mu.epochs[i].offset > offset {
		i--
	}
	return p.mu.epochs[i].epoch
}

// cutLocked begins a new leader epoch, since what was readable beyond the end may be gone.
func (p *Partition) cutLocked() {
	p.mu.epochs = append(p.mu.epochs, epochStart{epoch: p.leaderEpochLocked() + 1, offset: p.mu.end})
}

// publish makes visible what is durable now: the high watermark, then the transactions that have ended.
// It wakes the waiters, and returns the durable bytes that are not in a segment, and whether there is something to purge.
func (p *Partition) publish(durable LSN) (dirty int64, purge bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.readableLocked()
	n := 0
	for n < len(p.mu.unpublished) && p.mu.unpublished[n].lsn <= durable {
		n++
	}
	if n > 0 {
		u := p.mu.unpublished[n-1]
		purge = u.start > p.mu.durableStart
		p.mu.highWatermark, p.mu.durableBytes, p.mu.durableStart = u.end, u.bytes, u.start
		p.mu.unpublished = append(p.mu.unpublished[:0], p.mu.unpublished[n:]...)
	}
	p.mu.unstable.settle(durable)
	after := p.readableLocked()
	for _, w := range p.mu.watchers {
		w.add(after[w.isolation] - before[w.isolation])
	}
	return p.durableDirtyLocked(), purge
}

// durableDirtyLocked returns the durable bytes that are not in a segment.
func (p *Partition) durableDirtyLocked() int64 {
	return p.mu.tail.dirty - (p.mu.bytes - p.mu.durableBytes)
}

// readableLocked returns the position up to which each isolation level reads.
func (p *Partition) readableLocked() [2]int64 {
	_, stable := p.mu.unstable.stable()
	return [2]int64{ReadUncommitted: p.mu.durableBytes, ReadCommitted: min(stable, p.mu.durableBytes)}
}

// comparePartitions is the lock order of partitions.
func comparePartitions(a, b *Partition) int {
	return compareNames(a.name(), b.name())
}

// name returns what the partition is called in an entry.
func (p *Partition) name() TopicPartition { return TopicPartition{p.topic.ID, p.index} }

func compareNames(a, b TopicPartition) int {
	if c := bytes.Compare(a.Topic[:], b.Topic[:]); c != 0 {
		return c
	}
	return cmp.Compare(a.Partition, b.Partition)
}
