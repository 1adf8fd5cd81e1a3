package commitlog

import (
	"errors"
	"fmt"
	"slices"
	"sort"
)

// DeleteRecords moves the log start up to before, so that the records below can no longer be read; -1 stands for the high
// watermark. It returns the log start, which does not move down. Memory and files are given back later: whole batches that are in no
// segment at once, segments after the next checkpoint. Wait for the LSN before telling anybody.
//
// Errors: ErrOffsetOutOfRange if before is above the high watermark or below -1, ErrPolicy if the topic is compacted
// only, ErrUnknownTopic, ErrStopped, ErrClosed.
func (p *Partition) DeleteRecords(before int64) (logStart int64, lsn LSN, err error) {
	done, err := p.log.enter()
	if err != nil {
		return 0, 0, err
	}
	defer done()
	p.mu.Lock()
	defer p.mu.Unlock()
	if before == -1 {
		before = p.mu.highWatermark
	}
	switch {
	case p.mu.deleted:
		return 0, 0, ErrUnknownTopic
	case !p.topic.now().config.deletable:
		return 0, 0, fmt.Errorf("%w: topic %q is compacted only", ErrPolicy, p.topic.Name)
	case before < 0 || before > p.mu.highWatermark:
		return 0, 0, fmt.Errorf("%w: delete records before %d, high watermark %d", ErrOffsetOutOfRange, before, p.mu.highWatermark)
	case before <= p.mu.logStart:
		return p.mu.logStart, p.log.Enqueued(), nil // what moved it may not be durable yet
	}
	e := entry{trim: &trimChange{TopicPartition: p.name(), start: before}}
	lsn, err = p.log.commitLocked(&e, []*Partition{p})
	return before, lsn, err
}

// applyTrim moves the log start. What is below stays where it is until the entry is durable.
func (p *Partition) applyTrim(lsn LSN, x *trimChange) error {
	if x.start < p.mu.logStart || x.start > p.mu.end {
		return fmt.Errorf("log start %d, but partition %s-%d is from %d to %d", x.start, p.topic.Name, p.index, p.mu.logStart, p.mu.end)
	}
	p.mu.logStart = x.start
	p.noteLocked(lsn)
	return nil
}

// purgeDurable purges what is below the durable log start. It needs Log.flushMu.
func (p *Partition) purgeDurable() error {
	p.mu.Lock()
	start := p.mu.durableStart
	p.mu.Unlock()
	return p.purge(start)
}

// purge lets go of whatever lies wholly below start, which is durable and not beyond the log start of the next snapshot: batches
// in memory, written or not, and segments, whose files stay until a snapshot does without them. It needs Log.flushMu.
func (p *Partition) purge(start int64) error {
	p.mu.Lock()
	dropped := p.mu.tail.purge(start)
	if first := p.mu.tail.firstUnwritten(p.mu.end); first > p.mu.written {
		p.mu.written = first // batches that were never written; then all segments are below start
	}
	n := sort.Search(len(p.mu.segments), func(i int) bool { return p.mu.segments[i].next > start || p.mu.segments[i].size == 0 })
	dead := slices.Clone(p.mu.segments[:n])
	p.mu.segments = slices.Delete(p.mu.segments, 0, n)
	p.mu.tailAborted = slices.DeleteFunc(p.mu.tailAborted, func(a abortedTxn) bool { return a.last < start })
	p.mu.Unlock()
	p.log.tailBytes.Add(-dropped)
	if dropped > 0 {
		p.log.space.wake()
	}
	return p.bury(dead)
}

// bury takes segments that are no part of the log any more: their files go with the next checkpoint. It needs Log.flushMu.
func (p *Partition) bury(dead []*segment) error {
	p.deadSegments = append(p.deadSegments, dead...)
	var errs []error
	for _, s := range dead {
		p.log.deadBytes += s.size // does not change any more
		if s.dirty != nil {       // nobody needs it synced any more
			errs = append(errs, s.dirty.release())
			s.dirty = nil
			p.dirtySegments = slices.DeleteFunc(p.dirtySegments, func(o *segment) bool { return o == s })
		}
	}
	return errors.Join(errs...)
}

// removeDead removes the files of purged segments, now that no snapshot names them. Those that cannot be removed, as on Windows while
// somebody reads, are removed by the next Open. It needs Log.flushMu.
func (p *Partition) removeDead() {
	for _, s := range p.deadSegments {
		err := p.log.files.forget(s.path)
		for _, path := range []string{s.path, s.indexPath()} {
			if _, serr := p.log.cfg.FS.Stat(path); serr == nil {
				err = errors.Join(err, p.log.cfg.FS.Remove(path))
			}
		}
		if err != nil {
			p.log.cfg.Logger.Warn("commit log: files of deleted records stay until the next start",
				"topic", p.topic.Name, "partition", p.index, "segment", s.path, "err", err)
		}
	}
	p.deadSegments = nil
}

// reclaim begins a checkpoint if it gives back enough disk space. It needs Log.flushMu.
func (l *Log) reclaim(least int64) {
	if l.reclaimable(least) {
		l.kickCheckpoint()
	}
}

// reclaimable reports whether a checkpoint gives back so many bytes, which it cannot while a backup copies.
func (l *Log) reclaimable(least int64) bool { return l.deadBytes >= least && len(l.backups) == 0 }
