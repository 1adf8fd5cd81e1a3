package state

import (
	"bytes"
	"fmt"
	"iter"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state/internal/keyschema"
	"github.com/millrace-io/millrace/state/internal/layer"
)

// KeyValue is the timestamped key-value store of one task (S-06): the transaction layer, typed, over a Partition. It belongs to
// the task's goroutine.
//
// Timestamps are event times in milliseconds since the epoch. Iteration is in the order of the encoded keys (S-02).
type KeyValue[K, V any] struct {
	t   transaction[V]
	ks  keyCodec[K]
	buf []byte
}

// Row is one entry of a key-value store, as iterators give it. Its value is the caller's.
type Row[K, V any] struct {
	Key       K
	Value     V
	Timestamp int64
	Headers   serde.Headers // that the store keeps, see KeepHeaders
}

func newKeyValue[K, V any](e Env, ks serde.Serde[K], vs serde.Serde[V]) (*KeyValue[K, V], error) {
	if e.Committed == nil {
		return nil, errNoPartition
	}
	return &KeyValue[K, V]{t: newTransaction(e, vs), ks: newKeyCodec(ks)}, nil
}

// Entry is the place of one key in a KeyValue: one look-up for a read-modify-write. It is valid until the next call of a
// method of the store.
type Entry[K, V any] struct {
	t    *transaction[V]
	slot layer.Slot
}

// At looks key up, reading it from below if this task has not seen it lately.
func (s *KeyValue[K, V]) At(key K) (Entry[K, V], error) {
	slot, err := s.find(key)
	if err != nil {
		return Entry[K, V]{}, err
	}
	if !s.t.plain {
		if err := s.t.materialise(slot); err != nil {
			return Entry[K, V]{}, err
		}
	}
	return Entry[K, V]{&s.t, slot}, nil
}

func (s *KeyValue[K, V]) find(key K) (layer.Slot, error) {
	b, err := s.encode(key)
	if err != nil {
		return 0, err
	}
	return s.t.find(b)
}

// encode returns the key's bytes, valid until the next call.
func (s *KeyValue[K, V]) encode(key K) ([]byte, error) {
	b, err := s.ks.Append(s.buf[:0], key)
	if err != nil {
		return nil, fmt.Errorf("store %s: encode key: %w", s.t.below.id, err)
	}
	s.buf = b
	return b, nil
}

// Value returns the value and whether there is one. A V that is not plain (see the package documentation) is the store's
// own object: the caller may change it and give it back to Set before it does anything else, and may not keep or forward it.
func (e Entry[K, V]) Value() (V, bool) {
	it := e.t.table.At(e.slot)
	return it.v, it.flags&flagPresent != 0
}

// Timestamp returns the event time of the value, -1 if there is none.
func (e Entry[K, V]) Timestamp() int64 {
	if it := e.t.table.At(e.slot); it.flags&flagPresent != 0 {
		return it.ts
	}
	return -1
}

// Copy is Value for a caller that keeps or forwards the value: one that is not plain is decoded anew.
func (e Entry[K, V]) Copy() (V, bool, error) {
	v, _, ok, err := e.t.copyOf(e.slot)
	return v, ok, err
}

// Set stores v, which becomes the store's own: nobody else may change or keep it afterwards. For a value that others
// can see, use SetShared. There is no difference if V is plain.
func (e Entry[K, V]) Set(v V, timestamp int64, h serde.Headers) error {
	e.t.set(e.slot, v, timestamp, h)
	return nil
}

// SetShared stores a copy of v: if V is not plain it is encoded at once and the object is not kept.
func (e Entry[K, V]) SetShared(v V, timestamp int64, h serde.Headers) error {
	return e.t.setShared(e.slot, v, timestamp, h)
}

// Delete removes the value. Where there is none it is a write all the same, but Changes and Flush leave it out.
func (e Entry[K, V]) Delete(timestamp int64, h serde.Headers) error {
	e.t.delete(e.slot, timestamp, h)
	return nil
}

// Get returns the value of key and its event time, and whether there is one. A V that is not plain is decoded anew: it is the
// caller's.
func (s *KeyValue[K, V]) Get(key K) (v V, timestamp int64, ok bool, err error) {
	b, err := s.encode(key)
	if err != nil {
		return v, -1, false, err
	}
	return s.t.look(b)
}

// Row is Get with the headers that the store keeps.
func (s *KeyValue[K, V]) Row(key K) (row Row[K, V], ok bool, err error) {
	slot, err := s.find(key)
	if err != nil {
		return row, false, err
	}
	row.Key = key
	row.Value, row.Timestamp, row.Headers, ok, err = s.t.rowAt(slot)
	return row, ok, err
}

// OmitHeaders says that headers which writes are given are not for keeping: values have none, and Changes and deletes alone have them. What
// the operators of the DSL compute comes of many records, whose headers say nothing of it. It is called once, before the first write.
func (s *KeyValue[K, V]) OmitHeaders() { s.t.kept.bare = true }

// Put stores a copy of v as Entry.SetShared does.
func (s *KeyValue[K, V]) Put(key K, v V, timestamp int64, h serde.Headers) error {
	slot, err := s.find(key)
	if err != nil {
		return err
	}
	return s.t.setShared(slot, v, timestamp, h)
}

// PutIfAbsent is Put if there is no value. If there is one it stays, and is returned as Get does.
func (s *KeyValue[K, V]) PutIfAbsent(key K, v V, timestamp int64, h serde.Headers) (there V, ok bool, err error) {
	slot, err := s.find(key)
	if err != nil {
		return there, false, err
	}
	if there, _, ok, err = s.t.copyOf(slot); ok || err != nil {
		return there, ok, err
	}
	return there, false, s.t.setShared(slot, v, timestamp, h)
}

// Delete removes key. What was there Entry.Value or Get tells before.
func (s *KeyValue[K, V]) Delete(key K, timestamp int64, h serde.Headers) error {
	slot, err := s.find(key)
	if err != nil {
		return err
	}
	s.t.delete(slot, timestamp, h)
	return nil
}

// Range iterates over lo <= key <= hi in the order of the encoded keys (S-03); an absent bound is open. The store may be
// written during the iteration, but not committed; whether such a write is seen is not said. An error ends the iteration.
func (s *KeyValue[K, V]) Range(lo, hi serde.Maybe[K]) iter.Seq2[Row[K, V], error] {
	sp, err := s.span(lo, hi)
	return s.rows(sp, err, false)
}

// RangeBackward is Range downwards.
func (s *KeyValue[K, V]) RangeBackward(lo, hi serde.Maybe[K]) iter.Seq2[Row[K, V], error] {
	sp, err := s.span(lo, hi)
	return s.rows(sp, err, true)
}

// PrefixScan iterates as Range does over the rows whose encoded keys begin with prefix (S-04): with all rows if that is empty.
func (s *KeyValue[K, V]) PrefixScan(prefix []byte) iter.Seq2[Row[K, V], error] {
	return s.rows(span{lo: bytes.Clone(prefix), hi: keyschema.Successor(prefix)}, nil, false)
}

// rows iterates over a span, or tells bad, why there is none.
func (s *KeyValue[K, V]) rows(sp span, bad error, reverse bool) iter.Seq2[Row[K, V], error] {
	return func(yield func(Row[K, V], error) bool) {
		if bad != nil {
			yield(Row[K, V]{}, bad)
			return
		}
		if sp.hi != nil && bytes.Compare(sp.lo, sp.hi) >= 0 {
			return // lo above hi
		}
		var bad error
		_, err := s.t.walk(sp, reverse, func(e found[V]) bool {
			r := Row[K, V]{Value: e.v, Timestamp: e.ts}
			if r.Key, bad = s.ks.decode(e.local); bad == nil {
				r.Headers, bad = decodeHeaders(e.headers)
			}
			if bad != nil {
				bad = fmt.Errorf("store %s: key %x: %w", s.t.below.id, e.local, bad)
				return false
			}
			return yield(r, nil)
		})
		if bad != nil {
			err = bad
		}
		if err != nil {
			yield(Row[K, V]{}, err)
		}
	}
}

func (s *KeyValue[K, V]) span(lo, hi serde.Maybe[K]) (sp span, err error) {
	if k, ok := lo.Get(); ok {
		if sp.lo, err = s.ks.Append(nil, k); err != nil {
			return sp, fmt.Errorf("store %s: encode lower bound: %w", s.t.below.id, err)
		}
	}
	if k, ok := hi.Get(); ok {
		if sp.hi, err = s.ks.Append([]byte{}, k); err != nil {
			return sp, fmt.Errorf("store %s: encode upper bound: %w", s.t.below.id, err)
		}
		sp.hi = append(sp.hi, 0) // inclusive
	}
	return sp, nil
}

// Changes calls f for each key written since the last call, in the order of the keys' last writes: with the newest
// value, the value as of the last call (absent if the key is new, D-63), and the time and headers of the last write. A
// key that was created and deleted in between is left out. f may read and write the store; what it writes is
// given to f as well. An error of f ends the call and is returned.
//
// A new value that is not plain is handed over: the store keeps its bytes only.
func (s *KeyValue[K, V]) Changes(f func(key K, c Change[V], timestamp int64, h serde.Headers) error) error {
	return s.t.changes(func(local []byte, c Change[V], ts int64, h serde.Headers) error {
		k, err := s.ks.decode(local)
		if err != nil {
			return fmt.Errorf("store %s: key %x: %w", s.t.below.id, local, err)
		}
		return f(k, c, ts, h)
	})
}

// Pending reports whether there are writes that Changes has not seen.
func (s *KeyValue[K, V]) Pending() bool { return s.t.emitted < len(s.t.writes) }

// OmitOld says that nobody asks for old values: Changes leaves Old absent and saves the work. It is called once, before
// the first write.
func (s *KeyValue[K, V]) OmitOld() { s.t.omitOld = true }

// EncodeAtOnce says that the task goes on after a write that fails: one of a plain value that cannot be encoded fails then, as Put and
// SetShared do with other values, and not with the flush, which would stop the task. It is called once, before the first write.
func (s *KeyValue[K, V]) EncodeAtOnce() { s.t.eager = true }

// Flush implements Layer.
func (s *KeyValue[K, V]) Flush() error {
	return s.t.flush(func(local []byte) ([]byte, error) { return local, nil })
}

// Commit implements Layer.
func (s *KeyValue[K, V]) Commit(next int64) error { return s.t.commit(next) }

// Drop implements Layer.
func (s *KeyValue[K, V]) Drop() { s.t.drop() }

// Dirty implements Layer.
func (s *KeyValue[K, V]) Dirty() bool { return s.t.flushed < len(s.t.writes) }

// Bytes implements Layer.
func (s *KeyValue[K, V]) Bytes() (dirty, cached int64) { return s.t.usage() }
