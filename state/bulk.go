package state

import (
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/state/internal/keyschema"
	"github.com/millrace-io/millrace/state/internal/layer"
)

// Ingester is implemented by engines that take a sorted run in at a lower cost than the same writes in a Batch: Pebble links the
// tables that are made of it into its levels.
type Ingester interface {
	// Ingest applies the writes of all sources atomically, after what was applied before. Each source gives sets and deletes in
	// ascending order of the keys, each key once; no two sources' ranges of keys overlap, and each is kept apart from the others. Ingest calls them
	// once, and not after it has returned nil.
	Ingest(sources ...Writes) error
}

// Writes gives writes to write, until that returns an error. The slices need be valid during the call only.
type Writes func(write func(op Op, a, b []byte) error) error

// bulkRecords is from how many records on a partition is restored in bulk. Fewer are as cheap one by one, and are in memory then.
const bulkRecords = 100_000

// BeginBulk prepares for the restoring of about n records: from here to EndBulk they are gathered into runs, which are sorted and
// ingested by the engine with the position that they reach, rather than put into the layers one by one. Nothing of the
// partition is in memory meanwhile, so that whoever scans it sees what the engine had before a run, or after it. What was
// restored is part of the partition when its run is ingested; Position says up to where.
//
// It reports whether records are going to be restored so: few are not, nor a versioned store, nor by an engine that is no Ingester. Runs of
// all partitions together are bounded by Config.BulkBytes.
func (p *Partition) BeginBulk(n int64) (bool, error) {
	if _, ok := p.db.engine.(Ingester); !ok || n < bulkRecords || p.kind == KindVersioned || p.restoring.bulk {
		return false, nil
	}
	p.db.apply.Lock()
	defer p.db.apply.Unlock()
	if err := p.db.applyLocked(); err != nil { // P2: then everything may leave memory
		return false, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.closed {
		return false, ErrClosed
	}
	if p.mu.scans > 0 {
		return false, nil
	}
	p.forgetLocked()
	p.mu.bulk = true
	p.restoring.bulk, p.restoring.open, p.restoring.next = true, false, -1
	p.db.bulks.Add(1)
	return true, nil
}

// forgetLocked takes everything out of memory, tombstones as well: the engine has it all. While a run is being ingested, memory that spoke
// of its keys would lie over what the engine has already.
func (p *Partition) forgetLocked() {
	for id := range p.mu.buckets {
		p.mu.buckets[id] = &bucket{}
	}
	p.mu.graves = nil
}

// EndBulk makes what was restored since the last run part of the partition; if a batch was begun and not ended by RestoredTo, it
// forgets that instead, and Position says from where to go on. Without a BeginBulk it does nothing.
func (p *Partition) EndBulk() error {
	r := &p.restoring
	if !r.bulk {
		return nil
	}
	defer p.stopBulk()
	switch {
	case r.open: // the run holds more than next says (P1)
		r.log.Reset()
		r.newest, r.open = newest{}, false
		return nil
	case r.next < 0: // all of it is ingested
		return nil
	}
	return p.ingest()
}

func (p *Partition) stopBulk() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopBulkLocked()
}

func (p *Partition) stopBulkLocked() {
	if p.restoring.bulk {
		p.restoring.bulk, p.mu.bulk = false, false
		p.db.bulks.Add(-1)
	}
}

// gathered ends a batch in bulk: the run is ingested when it has this partition's share of the memory.
func (p *Partition) gathered(next int64) error {
	p.restoring.next, p.restoring.open = next, false
	share := min(p.db.conf.BulkBytes/max(p.db.bulks.Load(), 1), maxRestore/2)
	if p.restoring.log.Bytes() < share {
		return nil
	}
	return p.ingest()
}

// ingest gives the run to the engine: data and position in one step (P1). No other goroutine changes the partition meanwhile, and it
// has nothing that waits for the engine.
func (p *Partition) ingest() error {
	if err := p.db.failure(); err != nil {
		return err
	}
	r := &p.restoring
	p.mu.Lock()
	rec, closed := p.mu.rec, p.mu.closed
	p.mu.Unlock()
	if closed {
		return ErrClosed
	}
	rec.Next = r.next
	if r.newest.ok && (!rec.HasNewest || r.newest.start > rec.Newest) {
		rec.Newest, rec.HasNewest = r.newest.start, true
	}
	log := r.log // the engine may go on reading after a failure
	run := &bulkRun{p: p, log: &log}
	if low, ok := p.lowOf(&rec); ok {
		run.low, run.clip = keyschema.BucketOf(low, p.width), true
	}
	err := p.db.engine.(Ingester).Ingest(func(write func(op Op, a, b []byte) error) error {
		return write(OpSet, p.recordKey, keyschema.AppendRecord(nil, &rec))
	}, run.write)
	if err != nil {
		r.log = layer.Log{}
		return p.db.fail(fmt.Errorf("restore store %s: %w", p.id, err))
	}
	r.log.Reset()
	r.next = -1
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.rec = rec
	for _, id := range run.buckets {
		if p.mu.buckets[id] == nil { // the others have nothing in memory that the run could have changed
			p.addBucket(id, &bucket{})
		}
	}
	p.expireLocked()
	return nil
}

// bulkRun writes a run as the engine wants it.
type bulkRun struct {
	p       *Partition
	log     *layer.Log
	low     keyschema.Bucket
	clip    bool               // leave out buckets below low
	buckets []keyschema.Bucket // written to, in order
}

func (b *bulkRun) write(write func(op Op, a, b []byte) error) error {
	key := slices.Clone(b.p.prefix)
	return b.log.Sorted(func(rec layer.Record) error {
		id := b.p.bucketOf(rec.Key)
		if b.clip && id < b.low {
			return nil
		}
		if n := len(b.buckets); n == 0 || b.buckets[n-1] != id {
			b.buckets = append(b.buckets, id)
		}
		key = append(key[:len(b.p.prefix)], rec.Key...)
		if rec.Tombstone {
			return write(OpDelete, key, nil)
		}
		return write(OpSet, key, rec.Value)
	})
}
