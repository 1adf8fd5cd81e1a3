package commitlog

import (
	"slices"
)

// segmentWriter is the goroutine that moves batches from memory to segments: of a partition with enough dirty bytes, and of the
// largest ones when memory is short. It ends with the log.
func (l *Log) segmentWriter() {
	for {
		select {
		case <-l.quit:
			return
		case <-l.flushC:
		}
		if err := l.flushQueued(); err != nil {
			l.fail(err)
			return
		}
	}
}

// flushQueued writes what is due. Sealed segments are synced here, one at a time, so that a checkpoint has few left.
func (l *Log) flushQueued() error {
	for {
		p := l.popDirty()
		if p == nil {
			break
		}
		if err := l.flushDue(p); err != nil {
			return err
		}
	}
	if l.tailBytes.Load() > l.cfg.TailBytes {
		return l.shrink()
	}
	return nil
}

// flushDue purges what may go of a partition, and writes the rest if it is enough.
func (l *Log) flushDue(p *Partition) error {
	l.flushMu.Lock()
	err := p.purgeDurable()
	l.reclaim(l.cfg.CheckpointBytes)
	l.flushMu.Unlock()
	if err != nil {
		return err
	}
	p.mu.Lock()
	dirty := p.durableDirtyLocked()
	p.mu.Unlock()
	if dirty < flushBytes {
		return nil
	}
	return l.flushPartition(p, 0)
}

// flushPartition writes what is durable of a partition, and evicts batches down to keep bytes if keep is positive.
func (l *Log) flushPartition(p *Partition, keep int64) error {
	l.flushMu.Lock()
	defer l.flushMu.Unlock()
	if err := p.purgeDurable(); err != nil {
		return err
	}
	if err := p.flush(p.Offsets().HighWatermark); err != nil {
		return err
	}
	if keep > 0 {
		p.evict(keep)
	}
	for len(p.dirtySegments) > 1 { // the last one is not sealed
		if err := p.sync(p.dirtySegments[0]); err != nil {
			return err
		}
		p.dirtySegments = slices.Delete(p.dirtySegments, 0, 1)
	}
	return nil
}

// shrink brings the memory that batches take to half of the budget, or as near as what is durable allows: the partitions with
// the most give first.
func (l *Log) shrink() error {
	type usage struct {
		p     *Partition
		bytes int64
	}
	var all []usage
	for _, p := range l.catalog.partitions() {
		p.mu.Lock()
		bytes := p.mu.tail.bytes
		p.mu.Unlock()
		if bytes > 0 {
			all = append(all, usage{p, bytes})
		}
	}
	slices.SortFunc(all, func(a, b usage) int {
		if a.bytes != b.bytes {
			return int(b.bytes - a.bytes)
		}
		return comparePartitions(a.p, b.p)
	})
	for _, u := range all {
		if l.tailBytes.Load() <= l.cfg.TailBytes/2 {
			break
		}
		if err := l.flushPartition(u.p, 1); err != nil {
			return err
		}
	}
	l.space.wake()
	return nil
}

// queueDirty has the segment writer look at the partition.
func (l *Log) queueDirty(p *Partition) {
	if p.queued.Swap(true) {
		return
	}
	l.dirtyMu.Lock()
	l.dirty = append(l.dirty, p)
	l.dirtyMu.Unlock()
	l.kickWriter()
}

func (l *Log) popDirty() *Partition {
	l.dirtyMu.Lock()
	defer l.dirtyMu.Unlock()
	if len(l.dirty) == 0 {
		return nil
	}
	p := l.dirty[0]
	l.dirty = l.dirty[1:]
	p.queued.Store(false)
	return p
}

func (l *Log) kickWriter() {
	select {
	case l.flushC <- struct{}{}:
	default:
	}
}
