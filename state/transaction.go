package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state/internal/keyschema"
	"github.com/millrace-io/millrace/state/internal/layer"
)

// transaction is the transaction layer of one store: the typed entries that its task has written since the last commit, and
// clean ones that it has read or written before, as far as the cache goes. KeyValue and Window put their keys' codecs
// around it. It belongs to the task's goroutine.
//
//   - T1: an entry that has been written stays until Commit or Drop.
//   - T2: a value that is not plain is in this layer, decoded, at most once, and nobody but this task's operator has a
//     reference to it. It leaves the layer when it is handed out for good (Changes), at Commit and at Drop.
//   - T3: a blob is never out of date: whoever changes the value of an entry takes its blob away.
type transaction[V any] struct {
	below   *Partition
	log     Changelog // nil: not logged
	vs      serde.Serde[V]
	plain   bool // V holds no pointers but strings
	copied  bool // vs may alias what it decodes
	omitOld bool
	table   layer.Table[item[V]]

	// writes are the writes since the last commit, in order. One that an entry's last does not point to has been overtaken by
	// a later one of the same entry.
	writes  []write
	emitted int // Changes has seen the writes before
	flushed int // Flush has seen the writes before
	dirty   int // entries written

	bases  []base[V]
	blobs  []blob
	bytes  []byte // what blobs point into
	staged layer.Log
	newest newest // of a window store, this transaction's writes included
	logged newest // of what this transaction has flushed

	order   layer.Order // of the entries written, once somebody has scanned in this transaction
	ordered bool

	valBuf, keyBuf []byte
	cursor         cursor[V] // of Each, see there
}

// item is what the table holds for a key.
type item[V any] struct {
	v     V
	ts    int64
	last  uint32 // number of its last write in writes, from 1; 0: clean
	base  uint32 // number of its base in bases, from 1; 0: Changes has seen it as it is
	blob  uint32 // number of its encoded value in blobs, from 1; 0: none. Only if V is not plain
	flags uint8
}

const (
	flagPresent uint8 = 1 << iota // there is a value
	flagBelow                     // the changelog has a value
	flagObject                    // v is the value, decoded; always for plain values
)

// write is one write: of which entry, with which headers.
type write struct {
	slot    layer.Slot
	headers serde.Headers
}

// base is what an entry was when Changes saw it last.
type base[V any] struct {
	v       V // of a plain value
	blob    uint32
	present bool
}

// blob is a run of bytes in transaction.bytes.
type blob struct{ off, len int }

func newTransaction[V any](e Env, vs serde.Serde[V]) transaction[V] {
	t := transaction[V]{below: e.Committed, log: e.Changelog, vs: vs, plain: isPlain(reflect.TypeFor[V]())}
	if a, ok := vs.(serde.Aliaser); ok {
		t.copied = a.DecodeAliases()
	}
	t.newest = e.Committed.newestSeen()
	return t
}

// find returns the entry of a key inside the store, from below if need be.
func (t *transaction[V]) find(local []byte) (layer.Slot, error) {
	hash := layer.Hash(local)
	if s, ok := t.table.Find(hash, local); ok {
		return s, nil
	}
	return t.read(hash, local)
}

func (t *transaction[V]) read(hash uint64, local []byte) (layer.Slot, error) {
	if len(local) > MaxKey {
		return 0, fmt.Errorf("store %s: key of %d bytes: %w", t.below.id, len(local), ErrTooLarge)
	}
	t.makeRoom()
	val, ok, err := t.below.get(t.valBuf[:0], hash, local)
	if err != nil {
		return 0, fmt.Errorf("store %s: %w", t.below.id, err)
	}
	t.valBuf = val
	if !ok {
		s := t.table.Insert(hash, local)
		t.table.At(s).ts = -1
		return s, nil
	}
	ts, body, err := splitStored(val)
	if err != nil {
		return 0, fmt.Errorf("store %s: key %x: %w", t.below.id, local, err)
	}
	var v V
	if t.plain {
		if v, err = t.decode(body); err != nil {
			return 0, fmt.Errorf("store %s: value of key %x: %w", t.below.id, local, err)
		}
	}
	s := t.table.Insert(hash, local)
	it := t.table.At(s)
	it.ts, it.flags = ts, flagPresent|flagBelow
	if t.plain {
		it.v, it.flags = v, it.flags|flagObject
	} else {
		it.blob = t.keep(body)
	}
	return s, nil
}

// splitStored takes stored bytes apart: time (8), value (S-06).
func splitStored(b []byte) (ts int64, value []byte, err error) {
	if len(b) < 8 {
		return 0, nil, fmt.Errorf("stored value of %d bytes: %w", len(b), keyschema.ErrFormat)
	}
	return int64(binary.BigEndian.Uint64(b)), b[8:], nil
}

func (t *transaction[V]) decode(b []byte) (V, error) {
	if t.copied {
		b = bytes.Clone(b)
	}
	return t.vs.Decode(b)
}

// keep stores a copy of an encoded value until the end of the transaction.
func (t *transaction[V]) keep(b []byte) uint32 {
	t.blobs = append(t.blobs, blob{len(t.bytes), len(b)})
	t.bytes = append(t.bytes, b...)
	return uint32(len(t.blobs))
}

func (t *transaction[V]) blobBytes(n uint32) []byte {
	b := t.blobs[n-1]
	return t.bytes[b.off : b.off+b.len : b.off+b.len]
}

// materialise makes v of the entry valid, if it has a value: the store's own object (T2).
func (t *transaction[V]) materialise(s layer.Slot) error {
	it := t.table.At(s)
	if it.flags&(flagPresent|flagObject) != flagPresent {
		return nil
	}
	v, err := t.decode(t.blobBytes(it.blob))
	if err != nil {
		return fmt.Errorf("store %s: value of key %x: %w", t.below.id, t.table.Key(s), err)
	}
	it.v, it.flags = v, it.flags|flagObject
	return nil
}

// encoded returns the entry's value as bytes, valid until the next call; the entry has one.
func (t *transaction[V]) encoded(s layer.Slot) ([]byte, error) {
	it := t.table.At(s)
	if it.blob != 0 {
		return t.blobBytes(it.blob), nil
	}
	b, err := t.encode(s, it.v)
	if err != nil {
		return nil, err
	}
	if t.plain {
		return b, nil
	}
	it.blob = t.keep(b)
	return t.blobBytes(it.blob), nil
}

func (t *transaction[V]) encode(s layer.Slot, v V) ([]byte, error) {
	b, err := t.vs.Append(t.valBuf[:0], v)
	if err == nil && len(b) > MaxValue {
		err = fmt.Errorf("%d bytes: %w", len(b), ErrTooLarge)
	}
	if err != nil {
		return nil, fmt.Errorf("store %s: encode value of key %x: %w", t.below.id, t.table.Key(s), err)
	}
	t.valBuf = b
	return b, nil
}

// set writes the entry: v becomes the store's own.
func (t *transaction[V]) set(s layer.Slot, v V, ts int64, h serde.Headers) {
	it := t.touch(s, h)
	it.v, it.ts, it.blob = v, ts, 0
	it.flags |= flagPresent | flagObject
}

// setShared writes the entry without keeping v, unless it is plain.
func (t *transaction[V]) setShared(s layer.Slot, v V, ts int64, h serde.Headers) error {
	if t.plain {
		t.set(s, v, ts, h)
		return nil
	}
	b, err := t.encode(s, v)
	if err != nil {
		return err
	}
	it := t.touch(s, h)
	var none V
	it.v, it.ts, it.blob = none, ts, t.keep(b)
	it.flags = it.flags&^flagObject | flagPresent
	return nil
}

func (t *transaction[V]) delete(s layer.Slot, ts int64, h serde.Headers) {
	it := t.touch(s, h)
	var none V
	it.v, it.ts, it.blob = none, ts, 0
	it.flags &^= flagPresent | flagObject
}

// touch makes the entry's write the last one, and keeps what it was.
func (t *transaction[V]) touch(s layer.Slot, h serde.Headers) *item[V] {
	it := t.table.At(s)
	if it.base == 0 {
		b := base[V]{present: it.flags&flagPresent != 0, blob: it.blob}
		if t.plain && !t.omitOld {
			b.v = it.v
		}
		t.bases = append(t.bases, b)
		it.base = uint32(len(t.bases))
	}
	n := len(t.writes)
	if int(it.last) == n && n > max(t.emitted, t.flushed) {
		t.writes[n-1].headers = h
		return it
	}
	if n == cap(t.writes) && n > 1024 && n > 4*t.dirty {
		t.compact()
	}
	if it.last == 0 {
		t.dirty++
		if t.ordered {
			t.insertOrdered(s)
		}
	}
	t.writes = append(t.writes, write{s, h})
	it.last = uint32(len(t.writes))
	return it
}

// compact forgets writes that have been overtaken, so that a few keys written often do not make writes grow.
func (t *transaction[V]) compact() {
	kept, emitted, flushed := 0, 0, 0
	for i, w := range t.writes {
		if i == t.emitted {
			emitted = kept
		}
		if i == t.flushed {
			flushed = kept
		}
		if it := t.table.At(w.slot); int(it.last) == i+1 {
			t.writes[kept] = w
			kept++
			it.last = uint32(kept)
		}
	}
	if t.emitted == len(t.writes) {
		emitted = kept
	}
	if t.flushed == len(t.writes) {
		flushed = kept
	}
	clear(t.writes[kept:])
	t.writes, t.emitted, t.flushed = t.writes[:kept], emitted, flushed
}

// changes gives what Changes is to give, see KeyValue.Changes.
func (t *transaction[V]) changes(f func(local []byte, c Change[V], ts int64, h serde.Headers) error) error {
	for t.emitted < len(t.writes) {
		w := t.writes[t.emitted]
		t.emitted++
		it := t.table.At(w.slot)
		if int(it.last) != t.emitted {
			continue // a later write follows
		}
		c, some, err := t.change(w.slot)
		if err != nil {
			t.emitted--
			return err
		}
		if !some {
			continue
		}
		if err := f(t.table.Key(w.slot), c, t.table.At(w.slot).ts, w.headers); err != nil {
			return err
		}
	}
	clear(t.bases)
	t.bases = t.bases[:0] // every entry's base is 0 now
	return nil
}

// change returns how an entry differs from its base, which it then is itself. It is false for nothing there before and nothing
// now.
func (t *transaction[V]) change(s layer.Slot) (c Change[V], some bool, err error) {
	it := t.table.At(s)
	b := &t.bases[it.base-1]
	c.Latest = true
	if b.present && !t.omitOld {
		old := b.v
		if !t.plain {
			if old, err = t.decode(t.blobBytes(b.blob)); err != nil {
				return c, false, fmt.Errorf("store %s: old value of key %x: %w", t.below.id, t.table.Key(s), err)
			}
		}
		c.Old = serde.Some(old)
	}
	was := b.present
	if it.flags&flagPresent == 0 {
		it.base = 0
		return c, was, nil
	}
	if !t.plain {
		if _, err := t.encoded(s); err != nil {
			return c, false, err
		}
		if err := t.materialise(s); err != nil {
			return c, false, err
		}
	}
	c.New = serde.Some(it.v)
	if !t.plain { // handed over (T2)
		var none V
		it.v, it.flags = none, it.flags&^flagObject
	}
	it.base = 0
	return c, true, nil
}

var errUnflushed = errors.New("commit of writes that were not flushed")

// flush appends the entries written to the changelog, in the order of their last writes, and stages them for commit.
func (t *transaction[V]) flush(changelogKey func(local []byte) ([]byte, error)) error {
	for t.flushed < len(t.writes) {
		w := t.writes[t.flushed]
		if it := t.table.At(w.slot); int(it.last) == t.flushed+1 {
			if err := t.flushEntry(w.slot, it, changelogKey); err != nil {
				return err
			}
		}
		t.flushed++
	}
	return nil
}

func (t *transaction[V]) flushEntry(s layer.Slot, it *item[V], changelogKey func(local []byte) ([]byte, error)) error {
	local := t.table.Key(s)
	exists := it.flags&flagPresent != 0
	if !exists && it.flags&flagBelow == 0 {
		return nil // created and deleted: nobody below ever knew
	}
	var val []byte
	if exists {
		var err error
		if val, err = t.encoded(s); err != nil {
			return err
		}
		if val == nil {
			val = []byte{} // empty, not null
		}
	}
	key, err := changelogKey(local)
	if err != nil {
		return fmt.Errorf("store %s: key %x: %w", t.below.id, local, err)
	}
	if t.log != nil {
		if err := t.log.Append(key, val, it.ts); err != nil {
			return fmt.Errorf("store %s: append to changelog: %w", t.below.id, err)
		}
	}
	if !exists {
		it.flags &^= flagBelow
		t.staged.Bury(layer.Hash(local), local)
		return nil
	}
	it.flags |= flagBelow
	var ts [8]byte
	binary.BigEndian.PutUint64(ts[:], uint64(it.ts))
	t.staged.Put(layer.Hash(local), local, ts[:], val)
	return nil
}

// commit gives what was flushed to the committed layer.
func (t *transaction[V]) commit(next int64) error {
	if t.flushed < len(t.writes) {
		return fmt.Errorf("store %s: %w", t.below.id, errUnflushed)
	}
	if invariants {
		if err := t.checkClean(); err != nil {
			return err
		}
	}
	if t.log == nil {
		next = -1
	}
	if err := t.below.commit(&t.staged, next, t.logged); err != nil {
		return fmt.Errorf("store %s: commit: %w", t.below.id, err)
	}
	t.settle(false)
	t.makeRoom()
	return nil
}

// settle ends the transaction: entries written become clean, or are forgotten.
func (t *transaction[V]) settle(forget bool) {
	switch {
	case !t.plain:
		t.table.Reset() // objects that user code may have changed or kept (T2)
	default:
		for _, w := range t.writes {
			it := t.table.At(w.slot)
			if it.last == 0 {
				continue
			}
			it.last, it.base = 0, 0
			if forget {
				t.table.Remove(w.slot)
			}
		}
	}
	clear(t.writes)
	clear(t.bases)
	t.writes, t.bases, t.blobs = t.writes[:0], t.bases[:0], t.blobs[:0]
	t.emitted, t.flushed, t.dirty = 0, 0, 0
	t.order.Reset()
	t.ordered = false
	t.staged.Reset()
	t.newest, t.logged = t.below.newestSeen(), newest{}
	const keep = 1 << 20
	if cap(t.bytes) > keep {
		t.bytes, t.blobs = nil, nil
	}
	t.bytes = t.bytes[:0]
}

// drop forgets the transaction.
func (t *transaction[V]) drop() { t.settle(true) }

// makeRoom evicts clean entries over the bound: a few before an entry comes in, so that reads without writes are bounded too.
func (t *transaction[V]) makeRoom() {
	limit := t.below.db.share.Load()
	if t.table.Bytes() <= limit {
		return
	}
	for steps := 64; steps > 0; {
		var s layer.Slot
		var ok bool
		if s, steps, ok = t.table.Sweep(steps, func(it *item[V]) bool { return it.last == 0 }); ok { // T1
			t.table.Remove(s)
		}
	}
}

// usage returns the memory held: what this transaction has written, and what is clean.
func (t *transaction[V]) usage() (dirty, cached int64) {
	all := t.table.Bytes() + int64(cap(t.bytes))
	if n := t.table.Len(); n > 0 {
		dirty = int64(float64(all) * float64(t.dirty) / float64(n))
	}
	return dirty + t.staged.Bytes(), all - dirty
}
