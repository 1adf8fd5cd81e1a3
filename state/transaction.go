package state

import (
	"bytes"
	"encoding/binary"
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
	below    *Partition
	log      Changelog       // nil: not logged
	headed   HeaderChangelog // nil: headers are not logged
	vs       serde.Serde[V]
	plain    bool                  // V holds no pointers but strings
	copied   bool                  // vs may alias what it decodes
	in       serde.ArenaDecoder[V] // of vs, if V is not plain: then what it decodes is not kept here for long
	arena    serde.Arena
	omitOld  bool
	eager    bool // plain values are encoded with each write too, to see that they can be
	unlogged bool // flush does not write to log: the store does itself
	kept     keptHeaders
	table    layer.Table[item[V]]

	// writes are the entries written since the last commit, in order. One whose last does not point back has been overtaken by
	// a later write of the same entry. headers are those of the writes, or none if no write had any.
	writes  []layer.Slot
	headers []serde.Headers
	origins []uint32 // of the writes, if from is not nil
	from    Origins
	sources []Coordinates // likewise, if source is not nil
	source  Source
	emitted int   // Changes has seen the writes before
	flushed int   // Flush has seen the writes before
	dirty   int   // entries written
	grown   int64 // how many entries more there are with what Flush has seen

	bases  []base[V]
	blobs  []blob
	bytes  []byte // what blobs point into
	staged layer.Log
	newest newest // of a window store, this transaction's writes included
	logged newest // of what this transaction has flushed

	order   layer.Order // of the entries written, once somebody has scanned in this transaction
	ordered bool
	groups  layer.Groups // likewise, once somebody has looked for the entries of one key in time; see Map
	tail    int          // what the groups' keys lack; 0: there are none
	key     func(layer.Slot) []byte

	valBuf []byte
	front  []byte    // of a stored value
	cursor cursor[V] // of Each, see there
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

// base is what an entry was when Changes saw it last.
type base[V any] struct {
	v       V // of a plain value
	blob    uint32
	present bool
}

// blob is a run of bytes in transaction.bytes.
type blob struct{ off, len int }

func newTransaction[V any](e Env, vs serde.Serde[V]) transaction[V] {
	t := transaction[V]{below: e.Committed, log: e.Changelog, from: e.Origins, source: e.Source, vs: vs, plain: isPlain(reflect.TypeFor[V]())}
	if a, ok := vs.(serde.Aliaser); ok {
		t.copied = a.DecodeAliases()
	}
	if !t.plain {
		t.in, _ = vs.(serde.ArenaDecoder[V])
	}
	if t.kept.on = e.Committed.headers; t.kept.on {
		t.headed, _ = e.Changelog.(HeaderChangelog)
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

// look returns the value of a key as copyOf does. One that is not plain it does not bring here: it would have to go at the end of the
// transaction, and the committed layer has it at hand.
func (t *transaction[V]) look(local []byte) (v V, ts int64, ok bool, err error) {
	hash := layer.Hash(local)
	if s, ok := t.table.Find(hash, local); ok {
		return t.copyOf(s)
	}
	if t.plain {
		s, err := t.read(hash, local)
		if err != nil {
			return v, -1, false, err
		}
		return t.copyOf(s)
	}
	_, ts, body, ok, err := t.stored(hash, local)
	if err != nil || !ok {
		return v, -1, false, err
	}
	if v, err = t.decode(body); err != nil {
		return v, ts, false, fmt.Errorf("store %s: value of key %x: %w", t.below.id, local, err)
	}
	return v, ts, true, nil
}

// stored returns what the committed layer has of a key. headers and body are valid until the next call.
func (t *transaction[V]) stored(hash uint64, local []byte) (headers []byte, ts int64, body []byte, ok bool, err error) {
	if err := t.checkKey(local); err != nil {
		return nil, -1, nil, false, err
	}
	val, ok, err := t.below.get(t.valBuf[:0], hash, local)
	if err != nil {
		return nil, -1, nil, false, fmt.Errorf("store %s: %w", t.below.id, err)
	}
	t.valBuf = val
	if !ok {
		return nil, -1, nil, false, nil
	}
	if headers, ts, body, err = t.split(val); err != nil {
		return nil, -1, nil, false, fmt.Errorf("store %s: key %x: %w", t.below.id, local, err)
	}
	return headers, ts, body, true, nil
}

func (t *transaction[V]) read(hash uint64, local []byte) (layer.Slot, error) {
	t.makeRoom()
	headers, ts, body, ok, err := t.stored(hash, local)
	if err != nil {
		return 0, err
	}
	if !ok {
		return t.insertAbsent(hash, local), nil
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
	if len(headers) > len(noHeaders) {
		t.kept.set(s, bytes.Clone(headers))
	}
	if t.plain {
		it.v, it.flags = v, it.flags|flagObject
	} else {
		it.blob = t.keep(body)
	}
	return s, nil
}

// fresh is find for an entry that the committed layer is known not to have.
func (t *transaction[V]) fresh(local []byte) (layer.Slot, error) {
	hash := layer.Hash(local)
	if s, ok := t.table.Find(hash, local); ok {
		return s, nil
	}
	if err := t.checkKey(local); err != nil {
		return 0, err
	}
	t.makeRoom()
	return t.insertAbsent(hash, local), nil
}

// insertAbsent makes an entry without a value.
func (t *transaction[V]) insertAbsent(hash uint64, local []byte) layer.Slot {
	s := t.table.Insert(hash, local)
	t.table.At(s).ts = -1
	return s
}

func (t *transaction[V]) checkKey(local []byte) error {
	if len(local) > MaxKey {
		return fmt.Errorf("store %s: key of %d bytes: %w", t.below.id, len(local), ErrTooLarge)
	}
	return nil
}

// splitStored takes stored bytes apart: time (8), value (S-06).
func splitStored(b []byte) (ts int64, value []byte, err error) {
	if len(b) < 8 {
		return 0, nil, fmt.Errorf("stored value of %d bytes: %w", len(b), keyschema.ErrFormat)
	}
	return int64(binary.BigEndian.Uint64(b)), b[8:], nil
}

func (t *transaction[V]) decode(b []byte) (V, error) {
	if t.in != nil {
		return t.in.DecodeIn(&t.arena, b)
	}
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
	t.kept.put(s, h)
}

// setShared writes the entry without keeping v, unless it is plain.
func (t *transaction[V]) setShared(s layer.Slot, v V, ts int64, h serde.Headers) error {
	if t.plain {
		if t.eager {
			if _, err := t.encode(s, v); err != nil {
				return err
			}
		}
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
	t.kept.put(s, h)
	return nil
}

func (t *transaction[V]) delete(s layer.Slot, ts int64, h serde.Headers) {
	it := t.touch(s, h)
	var none V
	it.v, it.ts, it.blob = none, ts, 0
	it.flags &^= flagPresent | flagObject
	t.kept.remove(s)
}

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
			t.kept.remove(s)
		}
	}
}

// usage returns the memory held: what this transaction has written, and what is clean.
func (t *transaction[V]) usage() (dirty, cached int64) {
	all := t.table.Bytes() + t.groups.Bytes() + int64(cap(t.bytes)) + t.kept.bytes
	if n := t.table.Len(); n > 0 {
		dirty = int64(float64(all) * float64(t.dirty) / float64(n))
	}
	return dirty + t.staged.Bytes(), all - dirty
}
