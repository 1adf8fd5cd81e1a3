package commitlog

import (
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/broker/internal/batch"
)

// errSegmentGone is met by those who still use a segment that was purged or compacted away. They look again.
var errSegmentGone = errors.New("segment is no part of the log any more")

// sealedIndex returns the index of a sealed segment, whose open file is given: from memory, from its file, or made anew from
// the segments if the file is missing or damaged. It stays in memory as long as the segment's file is open. The error is errSegmentGone
// if the log does without the segment by now, and its files may be removed.
func (p *Partition) sealedIndex(f *openFile, s *segment) (*segmentIndex, error) {
	f.indexMu.Lock()
	defer f.indexMu.Unlock()
	if f.index != nil {
		return f.index, nil
	}
	p.mu.Lock()
	base, size := s.base, s.size
	p.mu.Unlock()
	x, err := p.loadIndex(s, base, size)
	if err != nil {
		cause := err
		if x, err = p.rebuildIndex(s); err != nil {
			return nil, errors.Join(err, cause)
		}
		p.log.cfg.Logger.Warn("commit log: segment index was rebuilt", "topic", p.topic.Name, "partition", p.index,
			"segment", s.path, "err", cause)
	}
	f.index = x
	return x, nil
}

func (p *Partition) loadIndex(s *segment, base, size int64) (*segmentIndex, error) {
	b, err := readWhole(p.log.cfg.FS, s.indexPath())
	if err != nil {
		return nil, err
	}
	x, err := decodeIndexFile(b, base, size)
	if err == nil && len(x.blocks) == 0 {
		err = errors.New("index has no entry")
	}
	return x, err
}

// rebuildIndex makes a segment's index from the batches: its own, and those before it, where a transaction that was aborted
// here may have begun.
func (p *Partition) rebuildIndex(target *segment) (*segmentIndex, error) {
	p.mu.Lock()
	all, replaced := slices.Clone(p.mu.segments), p.mu.replaced
	p.mu.Unlock()
	if !slices.Contains(all, target) {
		return nil, fmt.Errorf("%w: %s", errSegmentGone, target.path)
	}
	x := &segmentIndex{}
	open := map[int64]int64{} // producer -> first offset of its transaction
	for _, s := range all {
		if s.base > target.base {
			break
		}
		if err := p.scanSegment(s, func(f *openFile, h *batch.Header, at int64) error {
			return x.rebuild(f, h, at, open, s == target)
		}); err != nil && (s == target || p.holds(s)) { // else it was purged, and what began there with it
			return nil, err
		}
	}
	if p.replacedSince(replaced) { // what began before may have been looked for in files that are no more
		return nil, fmt.Errorf("%w: one before %s", errSegmentGone, target.path)
	}
	return x, nil
}

// rebuild notes one batch: in the index if it is of the target segment, and the beginning and end of transactions always.
func (x *segmentIndex) rebuild(f *openFile, h *batch.Header, at int64, open map[int64]int64, target bool) error {
	var raw []byte
	if target || h.Attributes.Control() {
		var err error
		if raw, err = f.readAt(nil, at, h.Size()); err != nil {
			return err
		}
	}
	if target {
		if err := batch.Verify(raw, h); err != nil {
			return corruptSegment(f.path, at, err)
		}
		x.add(&tailBatch{base: h.BaseOffset, next: h.NextOffset(), maxTime: batchTime(h), raw: raw}, at)
	}
	if !h.Attributes.Transactional() {
		return nil
	}
	first, known := open[h.ProducerID]
	if !h.Attributes.Control() {
		if !known {
			open[h.ProducerID] = h.BaseOffset
		}
		return nil
	}
	if h.Count == 0 { // compaction has emptied it, since nothing was left of what it ended (K5, K6)
		return nil
	}
	commit, ok := batch.ParseMarker(raw, h)
	if !ok {
		return corruptSegment(f.path, at, errors.New("control batch without a transaction marker"))
	}
	delete(open, h.ProducerID)
	if target && known && !commit {
		x.aborted = append(x.aborted, abortedTxn{producer: h.ProducerID, first: first, last: h.BaseOffset})
	}
	return nil
}

// scanSegment walks over all batches of a segment.
func (p *Partition) scanSegment(s *segment, visit func(*openFile, *batch.Header, int64) error) (err error) {
	p.mu.Lock()
	size, next := s.size, s.next
	p.mu.Unlock()
	f, err := p.log.files.acquire(s.path, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.release()) }()
	end := s.base
	var verr error
	err = walk(f, 0, size, s.base, func(h *batch.Header, at int64) bool {
		end = h.NextOffset()
		verr = visit(f, h, at)
		return verr == nil
	})
	if err = errors.Join(err, verr); err == nil && (end > next || end < next && s.generation == 0) {
		err = corruptSegment(s.path, size, fmt.Errorf("the segment ends at offset %d, expected %d", end, next))
	}
	return err
}
