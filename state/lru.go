package state

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state/internal/layer"
)

// LRUSpec declares a key-value store that holds the maxEntries, at least 1, that were used last (S-21): its layer is a *LRU[K, V]. Its
// changelog and its format on disk are those of a KeyValueSpec of the same name.
func LRUSpec[K, V any](name string, ks serde.Serde[K], vs serde.Serde[V], maxEntries int, opts ...SpecOption) *Spec {
	s := KeyValueSpec(name, ks, vs)
	s.Open = func(e Env) (Layer, error) { return newLRU(e, ks, vs, maxEntries) }
	return s.typed(ks, vs, opts)
}

// LRU is a key-value store of a bounded number of entries, of one task: what is put beyond them displaces the entry that was put or got least
// lately, which is a delete, in the changelog too. It stands for Kafka Streams' lruMap. It belongs to the task's goroutine.
//
// The order of use is in memory, 40 bytes and the key for each entry. It does not survive the task: entries that it finds are taken to
// have been used in the order of their event times.
type LRU[K, V any] struct {
	kv  *KeyValue[K, V]
	max int
	// used has the entries by encoded key, in a list from the least to the most lately used, which are its ends.
	used layer.Table[neighbours]
	ends neighbours // next is the first, prev the last
}

// neighbours are the slots before and after an entry, each + 1; 0 is none.
type neighbours struct{ prev, next layer.Slot }

var errMaxEntries = errors.New("an LRU store holds 1 entry at least")

func newLRU[K, V any](e Env, ks serde.Serde[K], vs serde.Serde[V], maxEntries int) (*LRU[K, V], error) {
	if maxEntries < 1 {
		return nil, fmt.Errorf("%w, not %d", errMaxEntries, maxEntries)
	}
	kv, err := newKeyValue(e, ks, vs)
	if err != nil {
		return nil, err
	}
	s := &LRU[K, V]{kv: kv, max: maxEntries}
	return s, s.find()
}

// find takes note of the entries that are there.
func (s *LRU[K, V]) find() error {
	type entry struct {
		key []byte
		ts  int64
	}
	var list []entry
	_, err := s.kv.t.walk(span{}, false, func(e found[V]) bool {
		list = append(list, entry{bytes.Clone(e.local), e.ts})
		return true
	})
	slices.SortStableFunc(list, func(a, b entry) int { return cmp.Compare(a.ts, b.ts) })
	for _, e := range list {
		s.use(e.key)
	}
	return err
}

// use makes an entry the one that was used last.
func (s *LRU[K, V]) use(local []byte) {
	hash := layer.Hash(local)
	slot, ok := s.used.Find(hash, local)
	if ok {
		s.cut(slot)
	} else {
		slot = s.used.Insert(hash, local)
	}
	*s.used.At(slot) = neighbours{prev: s.ends.prev}
	s.at(s.ends.prev).next = slot + 1
	s.ends.prev = slot + 1
}

// at returns what an entry's neighbours are: of none, the list's ends.
func (s *LRU[K, V]) at(n layer.Slot) *neighbours {
	if n == 0 {
		return &s.ends
	}
	return s.used.At(n - 1)
}

// cut takes an entry out of the list.
func (s *LRU[K, V]) cut(slot layer.Slot) {
	n := *s.used.At(slot)
	s.at(n.prev).next, s.at(n.next).prev = n.next, n.prev
}

// forget takes an entry out of the order, if it is in it.
func (s *LRU[K, V]) forget(local []byte) {
	if slot, ok := s.used.Find(layer.Hash(local), local); ok {
		s.cut(slot)
		s.used.Remove(slot)
	}
}

// Len returns the number of entries.
func (s *LRU[K, V]) Len() int { return s.used.Len() }

// Get is as KeyValue.Get. It counts as a use.
func (s *LRU[K, V]) Get(key K) (v V, timestamp int64, ok bool, err error) {
	if v, timestamp, ok, err = s.kv.Get(key); ok && err == nil {
		s.use(s.kv.buf) // the key as Get has encoded it
	}
	return v, timestamp, ok, err
}

// Put is as KeyValue.Put. If there is one entry too many then, the one used least lately is deleted, at the time of this one.
func (s *LRU[K, V]) Put(key K, v V, timestamp int64, h serde.Headers) error {
	if err := s.kv.Put(key, v, timestamp, h); err != nil {
		return err
	}
	s.use(s.kv.buf)
	for s.Len() > s.max {
		oldest := bytes.Clone(s.used.Key(s.ends.next - 1))
		slot, err := s.kv.t.find(oldest)
		if err != nil {
			return err
		}
		s.kv.t.delete(slot, timestamp, serde.Headers{})
		s.forget(oldest)
	}
	return nil
}

// Delete is as KeyValue.Delete.
func (s *LRU[K, V]) Delete(key K, timestamp int64, h serde.Headers) error {
	if err := s.kv.Delete(key, timestamp, h); err != nil {
		return err
	}
	s.forget(s.kv.buf)
	return nil
}

// Range is as KeyValue.Range. It is not a use.
func (s *LRU[K, V]) Range(lo, hi serde.Maybe[K]) iter.Seq2[Row[K, V], error] {
	return s.kv.Range(lo, hi)
}

// RangeBackward is as KeyValue.RangeBackward. It is not a use.
func (s *LRU[K, V]) RangeBackward(lo, hi serde.Maybe[K]) iter.Seq2[Row[K, V], error] {
	return s.kv.RangeBackward(lo, hi)
}

// Flush implements Layer.
func (s *LRU[K, V]) Flush() error { return s.kv.Flush() }

// Commit implements Layer.
func (s *LRU[K, V]) Commit(next int64) error { return s.kv.Commit(next) }

// Drop implements Layer. The store is not to be used afterwards.
func (s *LRU[K, V]) Drop() { s.kv.Drop() }

// Dirty implements Layer.
func (s *LRU[K, V]) Dirty() bool { return s.kv.Dirty() }

// Bytes implements Layer. The order of use counts as cached.
func (s *LRU[K, V]) Bytes() (dirty, cached int64) {
	dirty, cached = s.kv.Bytes()
	return dirty, cached + s.used.Bytes()
}
