package commitlog

import (
	"fmt"
	"math"
	"slices"

	"github.com/millrace-io/millrace/broker/internal/journal"
)

const (
	// flushBytes is how much of a partition is durable and not in a segment before the segment writer is called.
	flushBytes = 256 << 10
	// writeBytes is how many bytes of small batches are gathered for one write to a segment, and directBytes the size from
	// which a batch is written by itself, without a copy.
	writeBytes  = 512 << 10
	directBytes = 64 << 10
)

// flush writes the partition's batches below an offset, all durable, to its segments, without syncing them. It needs Log.flushMu.
// An error is final: what the segment holds is not known any more.
func (p *Partition) flush(below int64) error {
	limits := p.segmentLimits()
	p.mu.Lock()
	batches := p.mu.tail.unwritten(below)
	s := p.activeLocked()
	p.mu.Unlock()
	for len(batches) > 0 {
		n := 0
		if s != nil {
			n = limits.fits(s, batches)
		}
		if n == 0 {
			var err error
			if s, err = p.roll(s, batches[0].base); err != nil {
				return err
			}
			continue
		}
		if err := p.write(s, batches[:n]); err != nil {
			return err
		}
		batches = batches[n:]
	}
	return nil
}

// activeLocked returns the segment that is written, or nil if there is none yet.
func (p *Partition) activeLocked() *segment {
	if n := len(p.mu.segments); n > 0 {
		return p.mu.segments[n-1]
	}
	return nil
}

// segmentLimits say when a segment is full.
type segmentLimits struct {
	bytes int64
	age   int64 // milliseconds
}

// segmentLimits returns those of the topic, as it is configured now.
func (p *Partition) segmentLimits() segmentLimits {
	c := &p.topic.now().config
	return segmentLimits{bytes: c.maxSegmentBytes(&p.log.cfg), age: c.rollAge()}
}

// fits returns how many of the batches go into the segment. An empty one takes at least one batch, whatever its size.
func (l segmentLimits) fits(s *segment, batches []tailBatch) int {
	size, first := s.size, s.firstTime
	for i, b := range batches {
		if size == 0 {
			first = b.maxTime
		}
		size += int64(len(b.raw))
		if size > l.bytes && size > int64(len(b.raw)) || b.next-s.base > math.MaxInt32 || l.tooLate(first, b.maxTime) {
			return i
		}
	}
	return len(batches)
}

// tooLate reports whether a batch is too young for a segment whose first batch is of a time. Batches without a time never are.
func (l segmentLimits) tooLate(first, ts int64) bool {
	return first >= 0 && ts > first && ts-first > l.age
}

// roll seals the segment, if there is one, and makes the next.
func (p *Partition) roll(sealed *segment, base int64) (*segment, error) {
	fs := p.log.cfg.FS
	if !p.hasDir {
		if err := fs.MkdirAll(p.dir, 0o755); err != nil {
			return nil, fmt.Errorf("make directory %s: %w", p.dir, err)
		}
		p.hasDir, p.log.dirtyTopicsDir = true, true
	}
	p.dirtyDir = true
	if sealed != nil {
		// Also if it was synced since it was last written: sealing it gives it an index file.
		if err := p.markDirty(sealed); err != nil {
			return nil, err
		}
	}
	s := newSegment(fs.PathJoin(p.dir, segmentName(base, 0)), base)
	p.mu.Lock()
	defer p.mu.Unlock()
	if sealed != nil {
		sealed.sealed = true
	}
	p.mu.segments = append(p.mu.segments, s)
	return s, nil
}

// write appends batches to the segment, and then has readers find them there.
func (p *Partition) write(s *segment, batches []tailBatch) error {
	if err := p.markDirty(s); err != nil {
		return err
	}
	if err := p.log.writeBatches(s.dirty, s.size, batches); err != nil { // size changes under flushMu only
		return fmt.Errorf("write segment %s: %w", s.path, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s.add(batches)
	p.mu.tail.setWritten(len(batches))
	p.mu.written = s.next
	n := 0
	for n < len(p.mu.tailAborted) && p.mu.tailAborted[n].last < s.next {
		n++
	}
	s.addAborted(p.mu.tailAborted[:n])
	p.mu.tailAborted = slices.Delete(p.mu.tailAborted, 0, n)
	return nil
}

// writeBatches writes batches back to back from a position on: small ones are gathered, large ones written as they are.
func (l *Log) writeBatches(f *openFile, at int64, batches []tailBatch) error {
	buf := l.flushBuf[:0]
	put := func(b []byte) error {
		_, err := f.WriteAt(b, at)
		at += int64(len(b))
		return err
	}
	for i, b := range batches {
		large := len(b.raw) >= directBytes
		if !large {
			buf = append(buf, b.raw...)
		}
		if len(buf) > 0 && (large || len(buf) >= writeBytes || i == len(batches)-1) {
			if err := put(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
		if large {
			if err := put(b.raw); err != nil {
				return err
			}
		}
	}
	l.flushBuf = buf
	return nil
}

// markDirty opens the segment's file until it is synced.
func (p *Partition) markDirty(s *segment) error {
	if s.dirty != nil {
		return nil
	}
	f, err := p.log.files.acquire(s.path, true)
	if err != nil {
		return err
	}
	s.dirty = f
	p.dirtySegments = append(p.dirtySegments, s)
	return nil
}

// evict drops written batches from memory until at most keep bytes are left of those the partition has there.
func (p *Partition) evict(keep int64) {
	p.mu.Lock()
	dropped := p.mu.tail.evict(keep)
	p.mu.Unlock()
	p.log.tailBytes.Add(-dropped)
}

// sync makes a written segment durable; of a sealed one the index too, which then leaves memory.
func (p *Partition) sync(s *segment) error {
	if err := s.dirty.SyncData(); err != nil {
		return fmt.Errorf("sync segment %s: %w", s.path, err)
	}
	p.mu.Lock()
	sealed, index, size := s.sealed, s.index, s.size
	p.mu.Unlock()
	if sealed && index != nil {
		name := p.log.cfg.FS.PathBase(s.indexPath())
		if err := writeWhole(p.log.cfg.FS, p.dir, name, encodeIndexFile(index, s.base, size)); err != nil {
			return err
		}
		p.mu.Lock()
		s.index = nil
		p.mu.Unlock()
	}
	f := s.dirty
	s.dirty = nil
	return f.release()
}

// syncAll syncs all that was written and not yet synced: segments first, then their directory.
func (p *Partition) syncAll() error {
	for len(p.dirtySegments) > 0 {
		if err := p.sync(p.dirtySegments[0]); err != nil {
			return err
		}
		p.dirtySegments = slices.Delete(p.dirtySegments, 0, 1)
	}
	if !p.dirtyDir {
		return nil
	}
	if err := journal.SyncDir(p.log.cfg.FS, p.dir); err != nil {
		return err
	}
	p.dirtyDir = false
	return nil
}
