package commitlog

import (
	"context"
	"math"
)

// extent is a run of a partition's batches that goes as a whole: a segment; the last one together with what is in memory only.
type extent struct {
	next    int64 // offset after it
	size    int64 // bytes
	maxTime int64 // highest timestamp, or -1
}

// retained returns the log start that the topic's retention leaves: the end of the longest run of extents, from the oldest on,
// each of which is too old, or may go although the rest still has retention.bytes. An extent that reaches beyond the high
// watermark stays. One without a timestamp stays by age, since nobody knows it.
//
// It is decided from what segments hold, as in Kafka, so that a record may stay up to segment.ms longer. now is in milliseconds.
func (c *topicConfig) retained(all []extent, start, highWatermark, now int64) int64 {
	if !c.expires {
		return start
	}
	total := int64(0)
	for _, x := range all {
		total += x.size
	}
	for _, x := range all {
		old := c.retention >= 0 && x.maxTime >= 0 && now-c.retention > x.maxTime
		surplus := c.retentionBytes >= 0 && total-x.size >= c.retentionBytes
		if !old && !surplus || x.next > highWatermark {
			break
		}
		start = max(start, x.next)
		total -= x.size
	}
	return start
}

// extentsLocked returns the partition's extents.
func (p *Partition) extentsLocked() []extent {
	all := make([]extent, 0, len(p.mu.segments)+1)
	for _, s := range p.mu.segments {
		maxTime := s.maxTime
		if maxTime < 0 && s.generation > 0 {
			maxTime = 0 // it has lost its records to compaction
		}
		all = append(all, extent{next: s.next, size: s.size, maxTime: maxTime})
	}
	rest := p.mu.tail.unwritten(math.MaxInt64)
	if len(rest) == 0 {
		return all
	}
	if len(all) == 0 || p.mu.segments[len(all)-1].sealed {
		all = append(all, extent{maxTime: -1})
	}
	x := &all[len(all)-1]
	for i := range rest {
		x.size += int64(len(rest[i].raw))
		x.maxTime = max(x.maxTime, rest[i].maxTime)
	}
	x.next = p.mu.end
	return all
}

// retain moves up the log starts of all partitions to where retention.ms and retention.bytes leave them by now, and gives back
// what they held in memory; files go with the next checkpoint. It is decided here, by the clock, and stands in the journal (L1).
// It returns how many have moved.
//
// Errors: ErrStopped, ErrClosed, or of closing a file.
func (l *Log) retain() (moved int, err error) {
	var trimmed []*Partition
	for _, p := range l.catalog.partitions() {
		was, err := p.retain(l.now())
		if err != nil {
			return 0, err
		}
		if was {
			trimmed = append(trimmed, p)
		}
	}
	if len(trimmed) == 0 {
		return 0, nil
	}
	if err := l.Wait(context.Background(), l.Enqueued()); err != nil { // ends: the committer fails or goes on
		return 0, err
	}
	l.flushMu.Lock()
	defer l.flushMu.Unlock()
	for _, p := range trimmed {
		if err := p.purgeDurable(); err != nil {
			return 0, err
		}
	}
	return len(trimmed), nil
}

func (p *Partition) retain(now int64) (moved bool, err error) {
	done, err := p.log.enter()
	if err != nil {
		return false, err
	}
	defer done()
	p.mu.Lock()
	defer p.mu.Unlock()
	config := &p.topic.now().config
	if p.mu.deleted || !config.expires {
		return false, nil
	}
	start := config.retained(p.extentsLocked(), p.mu.logStart, p.mu.highWatermark, now)
	if start == p.mu.logStart {
		return false, nil
	}
	e := entry{trim: &trimChange{TopicPartition: p.name(), start: start}}
	_, err = p.log.commitLocked(&e, []*Partition{p})
	return err == nil, err
}
