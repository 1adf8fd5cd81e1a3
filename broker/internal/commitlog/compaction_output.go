package commitlog

import (
	"errors"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-io/millrace/broker/internal/batch"
	"github.com/millrace-io/millrace/broker/internal/journal"
)

// compacted writes the segments that a round makes. Nobody else knows them until they are installed.
type compacted struct {
	p          *Partition
	limits     segmentLimits
	generation uint64
	base, next int64 // offsets that all of them together stand for
	segments   []*segment

	file vfs.File // of the last segment
	buf  []byte   // not yet written
}

// add appends a batch, which is copied.
func (c *compacted) add(raw []byte) error {
	h, err := batch.ParseHeader(raw)
	if err != nil {
		return err
	}
	s := c.last()
	if s == nil || s.size > 0 && s.size+int64(len(raw)) > c.limits.bytes || h.NextOffset()-s.base > math.MaxInt32 {
		base := h.BaseOffset
		if s == nil {
			base = c.base
		}
		if s, err = c.roll(base); err != nil {
			return err
		}
	}
	c.buf = append(c.buf, raw...)
	s.add([]tailBatch{{base: h.BaseOffset, next: h.NextOffset(), maxTime: batchTime(&h), raw: raw}})
	if len(c.buf) >= writeBytes {
		return c.flush()
	}
	return nil
}

// batchTime is the highest timestamp of a batch's records, or -1 if it has none (any more).
func batchTime(h *batch.Header) int64 {
	if h.Count == 0 {
		return -1
	}
	return h.MaxTimestamp
}

func (c *compacted) addAborted(a abortedTxn) { c.last().addAborted([]abortedTxn{a}) }

func (c *compacted) last() *segment {
	if len(c.segments) == 0 {
		return nil
	}
	return c.segments[len(c.segments)-1]
}

// roll closes the last segment and begins the next.
func (c *compacted) roll(base int64) (*segment, error) {
	if err := c.seal(base); err != nil {
		return nil, err
	}
	fs := c.p.log.cfg.FS
	path := fs.PathJoin(c.p.dir, segmentName(base, c.generation))
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, fmt.Errorf("create segment: %w", err)
	}
	s := newSegment(path, base)
	s.generation = c.generation
	c.file, c.segments = f, append(c.segments, s)
	return s, nil
}

// flush writes what was gathered.
func (c *compacted) flush() error {
	if len(c.buf) == 0 {
		return nil
	}
	if _, err := c.file.Write(c.buf); err != nil {
		return fmt.Errorf("write segment %s: %w", c.last().path, err)
	}
	c.buf = c.buf[:0]
	return nil
}

// seal makes the last segment, which stands for offsets up to next, and its index durable.
func (c *compacted) seal(next int64) error {
	s := c.last()
	if s == nil {
		return nil
	}
	err := c.flush()
	if err == nil {
		err = c.file.Sync()
	}
	err = errors.Join(err, c.file.Close())
	c.file = nil
	if err != nil {
		return fmt.Errorf("close segment %s: %w", s.path, err)
	}
	s.next, s.sealed = next, true
	fs := c.p.log.cfg.FS
	if err := writeWhole(fs, c.p.dir, fs.PathBase(s.indexPath()), encodeIndexFile(s.index, s.base, s.size)); err != nil {
		return err
	}
	s.index = nil
	return nil
}

// finish makes everything durable, in its directory too.
func (c *compacted) finish() error {
	if err := c.seal(c.next); err != nil {
		return err
	}
	return journal.SyncDir(c.p.log.cfg.FS, c.p.dir)
}

// discard removes what was written.
func (c *compacted) discard() error {
	var errs []error
	if c.file != nil {
		errs = append(errs, c.file.Close())
	}
	fs := c.p.log.cfg.FS
	for _, s := range c.segments {
		for _, path := range []string{s.path, s.indexPath()} {
			if _, err := fs.Stat(path); err == nil {
				errs = append(errs, fs.Remove(path))
			}
		}
	}
	return errors.Join(errs...)
}
