package state

import (
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/state/internal/keyschema"
	"github.com/millrace-io/millrace/state/internal/layer"
)

// bucket is what memory holds of one time bucket of a window store, or of a whole key-value store.
type bucket struct {
	m        layer.Map
	complete bool   // P3
	loaded   bool   // loading it from the engine has been tried
	last     uint64 // epoch of the last write
	sweep    uint64 // nothing can be evicted until the engine has this epoch
}

// grave is a tombstone that may go once the engine has it.
type grave struct {
	b    *bucket
	slot layer.Slot
	at   uint64 // epoch
}

func (p *Partition) bucketOf(local []byte) keyschema.Bucket {
	if p.width == 0 {
		return 0
	}
	id, _ := keyschema.BucketAt(local) // local keys of windows are made by appendWindow
	return id
}

// putLocked makes one write part of memory, and of what waits for the engine.
func (p *Partition) putLocked(r layer.Record) {
	id := p.bucketOf(r.Key)
	b := p.mu.buckets[id]
	if b == nil {
		if low, ok := p.lowLocked(); ok && id < keyschema.BucketOf(low, p.width) {
			return // expired
		}
		b = &bucket{complete: true} // the engine has only buckets of the list
		p.addBucket(id, b)
	}
	b.last = p.mu.epoch
	var slot layer.Slot
	if r.Tombstone {
		slot = b.m.Bury(r.Hash, r.Key)
		p.mu.graves = append(p.mu.graves, grave{b, slot, p.mu.epoch})
	} else {
		slot = b.m.Put(r.Hash, r.Key, r.Value)
	}
	m := b.m.Mark(slot)
	m.Pos = p.logLocked(r, m)
	m.Epoch = p.mu.epoch
}

// logLocked notes a write for the engine and returns its place: one place for each key and epoch, so that a key which is written
// often is applied once.
func (p *Partition) logLocked(r layer.Record, m *layer.Mark) layer.Pos {
	log := &p.mu.unapplied
	if m.Epoch == p.mu.epoch {
		if !r.Tombstone && log.Overwrite(m.Pos, r.Value) {
			return m.Pos
		}
		log.Kill(m.Pos)
	}
	if r.Tombstone {
		return log.Bury(r.Hash, r.Key)
	}
	return log.Put(r.Hash, r.Key, r.Value, nil)
}

// expireLocked takes buckets out of memory that retention has passed, and what waits for the engine of them: most of what a join with a
// short window writes never gets there. The engine drops what it has of them with the next batch.
func (p *Partition) expireLocked() {
	low, ok := p.lowLocked()
	if !ok {
		return
	}
	first := keyschema.BucketOf(low, p.width)
	if planted(plantedExpiry) {
		first++
	}
	n, _ := slices.BinarySearch(p.mu.ids, first)
	if n == 0 {
		return
	}
	for _, id := range p.mu.ids[:n] {
		delete(p.mu.buckets, id)
	}
	p.mu.ids = slices.Delete(p.mu.ids, 0, n)
	p.mu.unapplied.Shed(func(local []byte) bool { return p.bucketOf(local) < first })
}

// buryLocked takes out tombstones that the engine has seen: from then on it says itself that there is nothing.
func (p *Partition) buryLocked() {
	n := 0
	for ; n < len(p.mu.graves) && p.mu.graves[n].at <= p.mu.applied && p.mu.scans == 0; n++ {
		g := p.mu.graves[n]
		g.b.m.RemoveTombstone(g.slot, p.mu.applied)
	}
	p.mu.graves = slices.Delete(p.mu.graves, 0, n)
}

// evictLocked keeps memory within the partition's share of the cache: a window store gives up its oldest buckets whole, a
// key-value store, or what is left of a window store, the entries not asked for lately.
func (p *Partition) evictLocked() {
	if p.mu.scans > 0 {
		return
	}
	limit := p.db.share.Load()
	total := int64(0)
	for _, b := range p.mu.buckets {
		total += b.m.Bytes()
	}
	for i, id := range p.mu.ids {
		b := p.mu.buckets[id]
		switch {
		case total <= limit:
			return
		case b.m.Len() == 0:
			continue
		case i < len(p.mu.ids)-1 && b.last <= p.mu.applied: // P2
			total -= b.m.Bytes()
			b.m, b.complete, b.loaded = layer.Map{}, planted(plantedComplete), true
		case i == len(p.mu.ids)-1:
			p.thinOut(b, max(limit-(total-b.m.Bytes()), 0))
		}
	}
}

// thinOut evicts entries of one bucket, a bounded number at a time, since this is part of a commit.
func (p *Partition) thinOut(b *bucket, limit int64) {
	const steps = 1 << 16
	if p.mu.applied < b.sweep || b.m.Bytes() <= limit {
		return
	}
	n := 2 * b.m.Len() // once round to forget what has been asked for, once to find what has not
	switch evicted := b.m.Evict(limit, p.mu.applied, min(n, steps)); {
	case evicted > 0:
		b.complete, b.loaded = planted(plantedComplete), true
	case n <= steps:
		b.sweep = p.mu.applied + 1 // all of it waits for the engine
	}
}

// get appends the stored bytes of a key inside the store to dst: time (8), value. Only the goroutine that commits calls it: what
// it reads from the engine and keeps in memory cannot be overtaken by a commit.
func (p *Partition) get(dst []byte, hash uint64, local []byte) ([]byte, bool, error) {
	id := p.bucketOf(local)
	b, e, err := p.lookUp(&dst, id, hash, local)
	if err == nil && b != nil && e == unknown && !b.loaded && !p.restoring.bulk {
		if err = p.load(b, id); err == nil {
			b, e, err = p.lookUp(&dst, id, hash, local)
		}
	}
	if err != nil || e != unknown {
		return dst, e == present, err
	}
	return p.fetch(dst, b, hash, local)
}

// presence is what memory knows about a key.
type presence uint8

const (
	absent presence = iota
	present
	unknown
)

// lookUp asks memory, and appends what it finds to dst.
func (p *Partition) lookUp(dst *[]byte, id keyschema.Bucket, hash uint64, local []byte) (*bucket, presence, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.closed {
		return nil, absent, ErrClosed
	}
	b := p.mu.buckets[id]
	if b == nil {
		return nil, absent, nil
	}
	e, ok := b.m.Get(hash, local)
	switch {
	case ok && !e.Tombstone:
		*dst = append(*dst, e.Value...)
		return b, present, nil
	case ok || b.complete:
		return b, absent, nil
	}
	return b, unknown, nil
}

// fetch reads an entry from the engine that memory does not have, and keeps it.
func (p *Partition) fetch(dst []byte, b *bucket, hash uint64, local []byte) ([]byte, bool, error) {
	n := len(dst)
	var buf [128]byte
	val, ok, err := p.db.engine.Get(dst, append(append(buf[:0], p.prefix...), local...))
	if err != nil || !ok {
		return dst, false, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.bulk {
		return val, true, nil
	}
	b.m.Put(hash, local, val[n:])
	if limit := p.db.share.Load(); p.mu.scans == 0 && len(p.mu.ids) == 1 && b.m.Bytes() > limit {
		b.m.Evict(limit, p.mu.applied, 64)
	}
	return val, true, nil
}

// Bounds of a bucket that is loaded whole when it is first read.
const (
	loadEntries = 1 << 16
	loadBytes   = 4 << 20
)

// load reads a bucket from the engine into memory, which is then complete, unless it is large. That a store or its
// current window was small is the usual case after a restart, and it saves a read for each key that is new.
func (p *Partition) load(b *bucket, id keyschema.Bucket) error {
	b.loaded = true
	limit := min(loadBytes, p.db.share.Load()/4)
	lo, hi := p.engineRange(id)
	c := p.db.engine.Scan(lo, hi, false)
	var found layer.Log
	whole := true
	for c.Next() {
		if found.Len() == loadEntries || found.Bytes() > limit {
			whole = false
			break
		}
		local := c.Key()[len(p.prefix):]
		found.Put(layer.Hash(local), local, c.Value(), nil)
	}
	if err := errors.Join(c.Err(), c.Close()); err != nil {
		return fmt.Errorf("read store %s: %w", p.id, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	found.All(func(r layer.Record) {
		if _, ok := b.m.Get(r.Hash, r.Key); !ok {
			b.m.Put(r.Hash, r.Key, r.Value)
		}
	})
	b.complete = whole
	return nil
}

// engineRange bounds the keys of a bucket in the engine.
func (p *Partition) engineRange(id keyschema.Bucket) (lo, hi []byte) {
	if p.width == 0 {
		return p.prefix, keyschema.Successor(p.prefix)
	}
	lo = keyschema.AppendBucket(slices.Clone(p.prefix), id)
	return lo, keyschema.Successor(lo)
}
