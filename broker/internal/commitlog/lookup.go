package commitlog

import (
	"errors"
	"slices"

	"github.com/millrace-io/millrace/broker/internal/batch"
)

// TimestampOffset is a record found by its timestamp. Offset and Timestamp are -1 if there is none.
type TimestampOffset struct {
	Offset, Timestamp int64
	LeaderEpoch       int32
}

var notFound = TimestampOffset{Offset: -1, Timestamp: -1}

// OffsetForTimestamp returns the first record with a timestamp of at least ts (milliseconds), below the high watermark or the
// last stable offset. It is exact, also inside of a compressed batch. Markers count as records, as they do in Kafka.
func (p *Partition) OffsetForTimestamp(ts int64, iso Isolation) (TimestampOffset, error) {
	found := notFound
	err := p.lookUp(func() (err error) { found, err = p.findTime(ts, iso); return err })
	return found, err
}

// lookUp calls f, and again as long as it fails because segments were purged or replaced meanwhile.
func (p *Partition) lookUp(f func() error) error {
	for {
		before := p.layout()
		err := f()
		if err == nil {
			return nil
		}
		if p.layout() == before {
			return p.readError(err)
		}
	}
}

// layout changes whenever segments are taken away.
type layout struct {
	logStart int64
	replaced int64
}

func (p *Partition) layout() layout {
	p.mu.Lock()
	defer p.mu.Unlock()
	return layout{p.mu.logStart, p.mu.replaced}
}

// OffsetForMaxTimestamp returns the first record with the highest timestamp, below the high watermark or the last stable
// offset.
func (p *Partition) OffsetForMaxTimestamp(iso Isolation) (TimestampOffset, error) {
	ts := int64(-1)
	err := p.lookUp(func() (err error) { ts, err = p.maxTime(iso); return err })
	if err != nil || ts < 0 {
		return notFound, err
	}
	return p.OffsetForTimestamp(ts, iso)
}

// contents is where a partition's batches are at one moment: segments, then memory, without a gap.
type contents struct {
	start    int64 // the log start: what is below does not count
	limit    int64
	segments []segmentContents
	tail     []tailBatch // those that are in no segment
}

type segmentContents struct {
	s       *segment
	next    int64
	size    int64
	maxTime int64
	blocks  []block // a copy, or nil if they are in the index file
}

// contents returns what there is for a reader. Segments for which skip is true are left out.
func (p *Partition) contents(iso Isolation, skip func(*segment) bool) (contents, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.deleted {
		return contents{}, ErrUnknownTopic
	}
	o := p.offsetsLocked()
	// A copy: what is purged or evicted is cleared in place.
	c := contents{start: o.LogStart, limit: o.limit(iso), tail: slices.Clone(p.mu.tail.unwritten(o.limit(iso)))}
	for _, s := range p.mu.segments {
		if s.size == 0 || s.base >= c.limit || s.next <= c.start || skip(s) {
			continue
		}
		sc := segmentContents{s: s, next: s.next, size: s.size, maxTime: s.maxTime}
		if s.index != nil {
			sc.blocks = slices.Clone(s.index.blocks)
		}
		c.segments = append(c.segments, sc)
	}
	return c, nil
}

// open calls f with the segment's file and blocks.
func (p *Partition) open(sc *segmentContents, with func(*openFile, []block) error) error {
	if sc.blocks == nil {
		return p.withSealed(sc.s, func(f *openFile, x *segmentIndex) error { return with(f, x.blocks) })
	}
	f, err := p.log.files.acquire(sc.s.path, false)
	if err != nil {
		return err
	}
	return errors.Join(with(f, sc.blocks), f.release())
}

func (p *Partition) findTime(ts int64, iso Isolation) (TimestampOffset, error) {
	c, err := p.contents(iso, func(s *segment) bool { return s.maxTime < ts })
	if err != nil {
		return notFound, err
	}
	for i := range c.segments {
		sc := &c.segments[i]
		found := notFound
		err := p.open(sc, func(f *openFile, blocks []block) (err error) {
			found, err = findTimeInSegment(f, sc, blocks, ts, &c)
			return err
		})
		if err != nil || found.Offset >= 0 {
			return found, err
		}
	}
	for _, b := range c.tail {
		if b.maxTime < ts || b.next <= c.start {
			continue
		}
		h, err := batch.ParseHeader(b.raw)
		if err != nil {
			return notFound, err
		}
		if found, err := findTimeInBatch(b.raw, &h, ts, c.start); err != nil || found.Offset >= 0 {
			return found, err
		}
	}
	return notFound, nil
}

func findTimeInSegment(f *openFile, sc *segmentContents, blocks []block, ts int64, c *contents) (TimestampOffset, error) {
	x := segmentIndex{blocks: blocks}
	for i := x.blockFrom(0, ts); i >= 0; i = x.blockFrom(i+1, ts) {
		end := sc.size
		if i+1 < len(blocks) {
			end = blocks[i+1].position
		}
		found := notFound
		var inner error
		err := walk(f, blocks[i].position, end, blocks[i].offset, func(h *batch.Header, at int64) bool {
			if h.BaseOffset >= c.limit {
				return false
			}
			if h.MaxTimestamp < ts || h.NextOffset() <= c.start {
				return true
			}
			var raw []byte
			if raw, inner = f.readAt(nil, at, h.Size()); inner == nil {
				if inner = batch.Verify(raw, h); inner != nil {
					inner = corruptSegment(f.path, at, inner)
				} else {
					found, inner = findTimeInBatch(raw, h, ts, c.start)
				}
			}
			return inner == nil && found.Offset < 0
		})
		if err = errors.Join(err, inner); err != nil || found.Offset >= 0 {
			return found, err
		}
	}
	return notFound, nil
}

// findTimeInBatch looks at the records from start on, of which compaction may have left any. A batch that cannot be unfolded answers
// by its header, with its first record.
func findTimeInBatch(raw []byte, h *batch.Header, ts, start int64) (TimestampOffset, error) {
	whole := TimestampOffset{Offset: max(h.BaseOffset, start), Timestamp: h.MaxTimestamp, LeaderEpoch: h.LeaderEpoch}
	if h.Attributes.LogAppendTime() && h.Count == h.LastOffsetDelta+1 {
		return whole, nil
	}
	records, err := batch.NewRecords(raw, h)
	if err == nil {
		for records.Next() {
			if r := records.Record(); r.Timestamp >= ts && r.Offset >= start {
				return TimestampOffset{Offset: r.Offset, Timestamp: r.Timestamp, LeaderEpoch: h.LeaderEpoch}, nil
			}
		}
		err = records.Err()
	}
	if err != nil {
		return whole, nil
	}
	return notFound, nil
}

// maxTime returns the highest timestamp below the limit, or -1.
func (p *Partition) maxTime(iso Isolation) (int64, error) {
	c, err := p.contents(iso, func(*segment) bool { return false })
	if err != nil {
		return -1, err
	}
	highest := int64(-1)
	for i := range c.segments {
		sc := &c.segments[i]
		if sc.s.base >= c.start && sc.next <= c.limit {
			highest = max(highest, sc.maxTime)
			continue
		}
		err := p.open(sc, func(f *openFile, blocks []block) error {
			found, err := maxTimeInSegment(f, sc, blocks, &c)
			highest = max(highest, found)
			return err
		})
		if err != nil {
			return -1, err
		}
	}
	for _, b := range c.tail {
		h, err := batch.ParseHeader(b.raw)
		if err != nil {
			return -1, err
		}
		highest = max(highest, maxTimeInBatch(b.raw, &h, c.start))
	}
	return highest, nil
}

// maxTimeInSegment returns the highest timestamp of the segment's batches between the log start and the limit, or -1.
func maxTimeInSegment(f *openFile, sc *segmentContents, blocks []block, c *contents) (int64, error) {
	highest := int64(-1)
	for i, k := range blocks {
		end, next := sc.size, sc.next
		if i+1 < len(blocks) {
			end, next = blocks[i+1].position, blocks[i+1].offset
		}
		if k.offset >= c.start && next <= c.limit {
			highest = max(highest, k.maxTime)
			continue
		}
		var inner error
		err := walk(f, k.position, end, k.offset, func(h *batch.Header, at int64) bool {
			if h.BaseOffset >= c.limit {
				return false
			}
			if h.BaseOffset >= c.start {
				highest = max(highest, batchTime(h))
			} else if h.NextOffset() > c.start {
				var raw []byte
				if raw, inner = f.readAt(nil, at, h.Size()); inner != nil {
					return false
				}
				highest = max(highest, maxTimeInBatch(raw, h, c.start))
			}
			return true
		})
		if err = errors.Join(err, inner); err != nil {
			return -1, err
		}
	}
	return highest, nil
}

// maxTimeInBatch returns the highest timestamp of the batch's records from start on, or -1. A batch that cannot be unfolded answers
// by its header.
func maxTimeInBatch(raw []byte, h *batch.Header, start int64) int64 {
	switch {
	case h.NextOffset() <= start || h.Count == 0:
		return -1
	case h.BaseOffset >= start || h.Attributes.LogAppendTime():
		return h.MaxTimestamp
	}
	records, err := batch.NewRecords(raw, h)
	if err != nil {
		return h.MaxTimestamp
	}
	highest := int64(-1)
	for records.Next() {
		if r := records.Record(); r.Offset >= start {
			highest = max(highest, r.Timestamp)
		}
	}
	if records.Err() != nil {
		return h.MaxTimestamp
	}
	return highest
}
