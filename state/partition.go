package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state/internal/keyschema"
	"github.com/millrace-io/millrace/state/internal/layer"
)

// Partition is the committed layer of one store partition: bytes, in memory as far as the bound goes and in the
// engine. It outlives the tasks that use it. One goroutine at a time may restore into it or commit to it; the DB applies to the
// engine beside that.
//
//   - P1: what Position says is covered by the data, in memory as well as in the engine: both change together.
//   - P2: an entry that the engine does not have yet never leaves memory.
//   - P3: a bucket that is complete holds every entry there is: what is absent from it is absent.
type Partition struct {
	db        *DB
	id        StorePartition
	kind      Kind
	logging   bool
	headers   bool   // values have headers in front
	width     int64  // of a bucket, in milliseconds; 0 for a key-value store, which has one bucket
	retention int64  // in milliseconds
	prefix    []byte // of the entries' keys in the engine
	recordKey []byte

	restoring struct { // owned by the goroutine that restores
		log    layer.Log
		newest newest
		buf    []byte
		front  []byte // of a value

		chains map[string]string // of a versioned store: versions by key
		order  []string          // its keys, in the order of their first records
		size   int64             // of chains

		bulk bool  // see BeginBulk
		next int64 // then: the position after log, -1 if there is none
		open bool  // log holds records of a batch that RestoredTo has not ended
	}

	entries struct { // owned by the goroutine that restores or commits; see count
		n     int64
		known bool
	}

	mu struct {
		sync.Mutex
		closed    bool
		rec       keyschema.Record // as committed
		recNew    bool             // the engine has another
		asOfTold  int64            // AsOf that the engine has, or is about to get
		buckets   map[keyschema.Bucket]*bucket
		ids       []keyschema.Bucket // of buckets, sorted
		unapplied layer.Log
		spare     layer.Log
		epoch     uint64 // of what is committed now
		applied   uint64 // the engine has all epochs up to this one
		onDisk    bool   // the engine may have buckets from lowest on
		lowest    keyschema.Bucket
		graves    []grave
		scans     int  // cursors in use: nothing leaves memory under them
		bulk      bool // nothing enters memory: runs are ingested below it
	}
}

// newest is the newest window start seen.
type newest struct {
	start int64
	ok    bool
}

func (n *newest) see(start int64) {
	if !n.ok || start > n.start {
		*n = newest{start, true}
	}
}

// openPartition reads what the engine holds of a store partition: its record and which buckets there are.
func openPartition(db *DB, spec *Spec, id StorePartition) (*Partition, error) {
	p := &Partition{
		db:        db,
		id:        id,
		kind:      spec.Kind,
		logging:   spec.Logging,
		headers:   spec.KeepsHeaders,
		retention: max(spec.held().Milliseconds(), 1),
		prefix:    keyschema.DataPrefix(id.Store, id.Partition),
		recordKey: keyschema.RecordKey(id.Store, id.Partition),
	}
	if p.headers && !p.kind.MayKeepHeaders() {
		return nil, fmt.Errorf("a %s store keeps no headers", p.kind)
	}
	if spec.Kind == KindVersioned {
		p.retention = spec.Retention.Milliseconds() // may be none
	}
	if spec.Kind.timed() {
		p.width = keyschema.BucketWidth(spec.WindowSize, spec.held())
	}
	p.mu.epoch = 1
	b, ok, err := db.engine.Get(nil, p.recordKey)
	if err != nil {
		return nil, fmt.Errorf("read record: %w", err)
	}
	if ok {
		if p.mu.rec, err = keyschema.ParseRecord(b); err != nil {
			return nil, fmt.Errorf("read record: %w", err)
		}
	}
	if ok && (p.mu.rec.Kind != uint8(p.kind) || p.mu.rec.BucketWidth != p.width || p.mu.rec.Headers != p.headers) {
		db.conf.Logger.Warn("store was kept in another layout, it is rebuilt from its changelog", "store", id.Store, "partition", id.Partition)
		return p, p.wipeLocked(nil)
	}
	p.mu.rec.Kind, p.mu.rec.BucketWidth, p.mu.rec.Headers = uint8(p.kind), p.width, p.headers
	p.mu.asOfTold = p.mu.rec.AsOf
	return p, p.findBuckets()
}

// findBuckets fills the list of buckets with those that the engine has. None of them is in memory yet.
func (p *Partition) findBuckets() error {
	p.mu.buckets, p.mu.ids = map[keyschema.Bucket]*bucket{}, nil
	end := keyschema.Successor(p.prefix)
	if p.width == 0 {
		empty, err := isEmpty(p.db.engine, p.prefix, end)
		p.addBucket(0, &bucket{complete: empty})
		return err
	}
	for lo := p.prefix; ; {
		c := p.db.engine.Scan(lo, end, false)
		if !c.Next() {
			return errors.Join(c.Err(), c.Close())
		}
		id, err := keyschema.BucketAt(c.Key()[len(p.prefix):])
		if err := errors.Join(err, c.Close()); err != nil {
			return err
		}
		p.addBucket(id, &bucket{})
		_, lo = p.engineRange(id)
	}
}

// addBucket adds a bucket to the list.
func (p *Partition) addBucket(id keyschema.Bucket, b *bucket) {
	p.mu.buckets[id] = b
	i, _ := slices.BinarySearch(p.mu.ids, id)
	p.mu.ids = slices.Insert(p.mu.ids, i, id)
	if !p.mu.onDisk || id < p.mu.lowest {
		p.mu.onDisk, p.mu.lowest = true, id
	}
}

// Position returns up to where the partition holds its changelog, and whether it has ever been told one. A new
// or wiped partition has none.
func (p *Partition) Position() (Position, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := &p.mu.rec
	return Position{ClusterID: r.ClusterID, TopicID: r.TopicID, Partition: r.Partition, Next: r.Next, AsOf: r.AsOf}, r.HasPosition
}

// asOfEvery is how much older AsOf may be in the engine than it is, where nothing else is written.
const asOfEvery = 60_000

// CompleteAsOf notes that the partition holds all that its changelog held at a wall time, in milliseconds since the epoch. A partition without a
// position ignores it, as it does an earlier time.
func (p *Partition) CompleteAsOf(ms int64) {
	if p.completeAsOf(ms) {
		p.db.stir()
	}
}

// completeAsOf reports whether the engine is to be told.
func (p *Partition) completeAsOf(ms int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := &p.mu.rec
	if !r.HasPosition || ms <= r.AsOf {
		return false
	}
	r.AsOf = ms
	if ms-p.mu.asOfTold < asOfEvery {
		return false
	}
	p.mu.asOfTold, p.mu.recNew = ms, true
	return true
}

// Reset empties the partition and gives it a position: where the changelog begins, usually.
func (p *Partition) Reset(pos Position) error {
	p.db.apply.Lock() // no batch is on its way to the engine
	defer p.db.apply.Unlock()
	if err := p.db.failure(); err != nil {
		return err
	}
	p.mu.Lock()
	if p.mu.closed {
		p.mu.Unlock()
		return ErrClosed
	}
	p.entries.known = false
	p.restoring.log.Reset()
	p.restoring.newest = newest{}
	p.restoring.chains, p.restoring.order, p.restoring.size = nil, nil, 0
	p.stopBulkLocked()
	err := p.wipeLocked(&pos)
	p.mu.Unlock()
	if err != nil {
		return p.db.fail(fmt.Errorf("reset store %s: %w", p.id, err))
	}
	return nil
}

// wipeLocked empties memory and engine, and writes a fresh record.
func (p *Partition) wipeLocked(pos *Position) error {
	r := keyschema.Record{Kind: uint8(p.kind), BucketWidth: p.width, Headers: p.headers}
	if pos != nil {
		r.HasPosition = true
		r.ClusterID, r.TopicID, r.Partition, r.Next, r.AsOf = pos.ClusterID, pos.TopicID, pos.Partition, pos.Next, pos.AsOf
	}
	empty, err := isEmpty(p.db.engine, p.prefix, keyschema.Successor(p.prefix))
	if err != nil {
		return err
	}
	var b Batch
	if !empty { // removing nothing would cost a compaction of what comes
		b.DeleteRange(p.prefix, keyschema.Successor(p.prefix))
	}
	b.Set(p.recordKey, keyschema.AppendRecord(nil, &r))
	if err := p.db.engine.Apply(&b); err != nil {
		return err
	}
	p.db.waiting.Add(-p.mu.unapplied.Bytes())
	p.mu.unapplied.Reset()
	p.mu.rec, p.mu.recNew, p.mu.asOfTold = r, false, r.AsOf
	p.mu.buckets, p.mu.ids, p.mu.onDisk = map[keyschema.Bucket]*bucket{}, nil, false
	p.mu.graves = nil
	if p.width == 0 {
		p.addBucket(0, &bucket{complete: true})
	}
	return nil
}

// maxRestore bounds what is buffered between two calls of RestoredTo.
const maxRestore = 256 << 20

// Restore takes one changelog record as read from the log, with the headers that its store gave it; a nil value deletes. It copies. Records are buffered and become
// part of the partition with RestoredTo, which the caller calls at the end of each batch it has fetched. A record that is not in
// the changelog's format is an error.
func (p *Partition) Restore(key, value []byte, timestamp int64, headers ...serde.Header) error {
	r := &p.restoring
	r.open = true
	local := key
	if p.kind == KindVersioned {
		if r.size > maxRestore {
			return fmt.Errorf("restore store %s: more than %d bytes without RestoredTo: %w", p.id, maxRestore, ErrTooLarge)
		}
		if err := p.restoreVersion(key, value, timestamp); err != nil {
			return fmt.Errorf("restore store %s: %w", p.id, err)
		}
		return nil
	}
	if p.kind.timed() {
		var err error
		var time int64
		if r.buf, time, err = p.kind.appendLocal(r.buf[:0], key, p.width); err != nil {
			return fmt.Errorf("restore store %s: changelog key %x: %w", p.id, key, err)
		}
		local = r.buf
		r.newest.see(time)
	}
	if r.log.Bytes() > maxRestore {
		return fmt.Errorf("restore store %s: more than %d bytes without RestoredTo: %w", p.id, maxRestore, ErrTooLarge)
	}
	var hash uint64
	if !r.bulk { // a run needs none
		hash = layer.Hash(local)
	}
	if value == nil {
		r.log.Bury(hash, local)
		return nil
	}
	r.front = r.front[:0]
	if p.headers {
		r.front = keyschema.AppendHeaders(r.front, headers)
	}
	r.front = binary.BigEndian.AppendUint64(r.front, uint64(timestamp))
	r.log.Put(hash, local, r.front, value)
	return nil
}

// RestoredTo makes what was restored part of the partition, atomically with the position next: the offset after the last
// record read. It blocks while the engine is behind by more than the DB's bound. Between BeginBulk and EndBulk it becomes so a run at a
// time, later.
func (p *Partition) RestoredTo(next int64) error {
	p.entries.known = false
	if p.restoring.bulk {
		return p.gathered(next)
	}
	p.settleVersions()
	err := p.commit(&p.restoring.log, next, p.restoring.newest)
	p.restoring.log.Reset()
	p.restoring.newest = newest{} // a task may commit newer ones before the next batch
	return err
}

// commit makes the writes of log part of the partition. next is the changelog's position after them, -1 if there is none.
func (p *Partition) commit(log *layer.Log, next int64, n newest) error {
	p.mu.Lock()
	if p.mu.closed {
		p.mu.Unlock()
		return ErrClosed
	}
	r := &p.mu.rec
	before := p.mu.unapplied.Bytes()
	if n.ok && (!r.HasNewest || n.start > r.Newest) {
		r.Newest, r.HasNewest, p.mu.recNew = n.start, true, true
		p.expireLocked()
	}
	if next >= 0 && r.Next != next {
		r.Next, p.mu.recNew = next, true
	}
	log.All(p.putLocked)
	grown := p.mu.unapplied.Bytes() - before
	p.buryLocked()
	p.evictLocked()
	p.mu.Unlock()
	return p.db.committed(grown)
}

// newestSeen returns the newest window start that is committed.
func (p *Partition) newestSeen() newest {
	p.mu.Lock()
	defer p.mu.Unlock()
	return newest{p.mu.rec.Newest, p.mu.rec.HasNewest}
}

// lowLocked returns the lowest window start that is kept, and whether there is a limit.
func (p *Partition) lowLocked() (start int64, ok bool) {
	return p.lowOf(&p.mu.rec)
}

func (p *Partition) lowOf(r *keyschema.Record) (start int64, ok bool) {
	if p.width > 0 && r.HasNewest {
		return lowest(r.Newest, p.retention)
	}
	return 0, false
}

// lowest returns the lowest window start that a store keeps which has seen newest (S-15).
func lowest(newest, retention int64) (start int64, ok bool) {
	start = newest - retention + 1
	return start, start < newest || retention == 1 // else it has overflowed: retention reaches beyond all time
}

func (p *Partition) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.closed = true
	p.db.waiting.Add(-p.mu.unapplied.Bytes())
	p.mu.unapplied = layer.Log{}
	p.mu.buckets, p.mu.ids, p.mu.graves = nil, nil, nil
}
