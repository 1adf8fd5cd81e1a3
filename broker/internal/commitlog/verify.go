package commitlog

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Verify reads everything that is in segments and checks it: the checksum of each batch, the fields that it does not cover, that
// offsets have no gap, that indexes say what the segments hold. It goes on after a fault, and returns all of them, each a
// *CorruptionError. What is in memory only is not looked at. ctx ends it early, with ctx's error.
func (l *Log) Verify(ctx context.Context) error {
	l.gate.RLock()
	closed := l.closed
	l.gate.RUnlock()
	if closed {
		return ErrClosed
	}
	var errs []error
	for _, p := range l.catalog.partitions() {
		p.mu.Lock()
		segments := slices.Clone(p.mu.segments)
		p.mu.Unlock()
		for _, s := range segments {
			if err := ctx.Err(); err != nil {
				return errors.Join(append(errs, err)...)
			}
			err := p.verify(s)
			for errors.Is(err, errSegmentGone) && p.holds(s) { // one before it was compacted meanwhile
				err = p.verify(s)
			}
			if err != nil && p.holds(s) {
				errs = append(errs, fmt.Errorf("partition %s-%d: %w", p.topic.Name, p.index, p.readError(err)))
			}
		}
	}
	return errors.Join(errs...)
}

// verify compares a segment with its index, which it makes anew. A segment that is being written is compared as far as both go.
func (p *Partition) verify(s *segment) error {
	p.mu.Lock()
	written, next := segmentIndex{}, s.next
	compacted := slices.ContainsFunc(p.mu.segments, func(o *segment) bool { return o.base <= s.base && o.generation > 0 })
	sealed, path := s.index == nil, s.path
	first := s.base // what begins before it was purged, and is not found again
	if len(p.mu.segments) > 0 {
		first = min(first, p.mu.segments[0].base)
	}
	if !sealed {
		written = segmentIndex{blocks: slices.Clone(s.index.blocks), aborted: slices.Clone(s.index.aborted)}
	}
	p.mu.Unlock()
	stored := &written
	if sealed {
		err := p.withSealed(s, func(_ *openFile, x *segmentIndex) error { stored = x; return nil })
		if err != nil {
			return err
		}
	}
	made, err := p.rebuildIndex(s)
	if err != nil {
		return err
	}
	full := max(0, len(stored.blocks)-1) // the last block of a segment that is written may have grown meanwhile
	if sealed {
		full = len(stored.blocks)
	}
	for i, k := range stored.blocks[:full] {
		if i >= len(made.blocks) || made.blocks[i] != k {
			return corruptSegment(path, k.position, fmt.Errorf("batches from offset %d on are not what the index says", k.offset))
		}
	}
	for _, a := range made.aborted {
		if a.last < next && !slices.ContainsFunc(stored.aborted, a.coveredBy) {
			return corruptSegment(path, 0, fmt.Errorf("the segment has an aborted transaction of producer %d from %d to %d, the index has not",
				a.producer, a.first, a.last))
		}
	}
	for _, a := range stored.aborted {
		// Compaction removes the data first, and what names it in the next round.
		if !compacted && a.first >= first && !slices.Contains(made.aborted, a) {
			return corruptSegment(path, 0, fmt.Errorf("the index has an aborted transaction of producer %d from %d to %d, the segment has not",
				a.producer, a.first, a.last))
		}
	}
	return nil
}

// holds reports whether the segment is still part of the log and has records that are not deleted: else its file may be gone.
func (p *Partition) holds(s *segment) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return s.next > p.mu.logStart && slices.Contains(p.mu.segments, s)
}
