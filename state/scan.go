package state

import (
	"bytes"
	"errors"
	"slices"

	"github.com/millrace-io/millrace/state/internal/keyschema"
	"github.com/millrace-io/millrace/state/internal/layer"
)

// span is a range of keys inside a store, within one bucket: lo <= key < hi; a nil hi is open.
type span struct {
	bucket keyschema.Bucket
	lo, hi []byte
	// prefix, if not 0, is how many bytes lo and hi begin with that are the bucket and an encoded key: of the keys of that, which go on for tail
	// bytes, it is a range.
	prefix, tail int
}

// scan walks over a span of the committed layer: memory over engine, without tombstones. Its key and value stay valid until the
// next call of next.
type scan struct {
	p       *Partition
	reverse bool
	mem     *layer.Cursor // nil: memory has nothing
	engine  Cursor        // nil: memory has all
	cursor  layer.Cursor  // what mem points to

	memory struct { // the head of mem, copied
		key, val  []byte
		tombstone bool
		ok        bool
	}
	below struct { // the head of engine
		key []byte
		ok  bool
	}
	key, val []byte
}

// scan opens a scan of s. It must be closed.
func (p *Partition) scan(s span, reverse bool) (*scan, error) {
	c := &scan{}
	return c, c.open(p, s, reverse)
}

// open makes c a scan of s, in the memory of one that is closed. It keeps the bounds of s.
func (c *scan) open(p *Partition, s span, reverse bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.closed {
		return ErrClosed
	}
	c.p, c.reverse, c.mem, c.engine = p, reverse, nil, nil
	c.memory.ok, c.below.ok = false, false
	p.mu.scans++
	b := p.mu.buckets[s.bucket]
	if b == nil {
		return nil
	}
	if s.prefix > 0 {
		b.m.RestartGroup(&c.cursor, s.lo, s.hi, s.prefix, s.tail, reverse)
	} else {
		b.m.Restart(&c.cursor, s.lo, s.hi, reverse)
	}
	c.mem = &c.cursor
	if !b.complete {
		lo, hi := p.engineRange(s.bucket)
		if len(s.lo) > 0 {
			lo = append(slices.Clone(p.prefix), s.lo...)
		}
		if s.hi != nil {
			hi = append(slices.Clone(p.prefix), s.hi...)
		}
		c.engine = p.db.engine.Scan(lo, hi, reverse) // opened under the lock: no entry can leave memory in between
	}
	c.advanceMemoryLocked()
	c.advanceBelow()
	return nil
}

func (c *scan) advanceMemoryLocked() {
	m := &c.memory
	m.ok = false
	if c.mem == nil {
		return
	}
	if key, e, ok := c.mem.Next(); ok {
		m.key, m.val = append(m.key[:0], key...), append(m.val[:0], e.Value...)
		m.tombstone, m.ok = e.Tombstone, true
	}
}

func (c *scan) advanceBelow() {
	c.below.ok = false
	if c.engine != nil && c.engine.Next() {
		c.below.key, c.below.ok = c.engine.Key()[len(c.p.prefix):], true
	}
}

// next moves to the next entry, whose key and value are then in key and val.
func (c *scan) next() bool {
	for c.memory.ok || c.below.ok {
		order := -1
		switch {
		case !c.memory.ok:
			order = 1
		case c.below.ok:
			order = bytes.Compare(c.memory.key, c.below.key)
			if c.reverse {
				order = -order
			}
		}
		if order > 0 {
			c.key, c.val = append(c.key[:0], c.below.key...), append(c.val[:0], c.engine.Value()...)
			c.advanceBelow()
			return true
		}
		tombstone := c.memory.tombstone
		c.key, c.val = append(c.key[:0], c.memory.key...), append(c.val[:0], c.memory.val...)
		c.p.mu.Lock()
		c.advanceMemoryLocked()
		c.p.mu.Unlock()
		if order == 0 && !(tombstone && planted(plantedTombstone)) {
			c.advanceBelow() // memory is newer
		}
		if !tombstone {
			return true
		}
	}
	return false
}

// close ends the scan and returns its error.
func (c *scan) close() error {
	c.p.mu.Lock()
	c.p.mu.scans--
	c.p.mu.Unlock()
	if c.engine == nil {
		return nil
	}
	return errors.Join(c.engine.Err(), c.engine.Close())
}

// bucketsIn returns the buckets that the committed layer has with lo <= bucket <= hi, in order.
func (p *Partition) bucketsIn(lo, hi keyschema.Bucket) []keyschema.Bucket {
	p.mu.Lock()
	defer p.mu.Unlock()
	i, _ := slices.BinarySearch(p.mu.ids, lo)
	j, found := slices.BinarySearch(p.mu.ids, hi)
	if found {
		j++
	}
	return slices.Clone(p.mu.ids[i:max(i, j)])
}
