package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	"github.com/millrace-io/millrace/serde"
)

// ListValueSpec declares a store of lists (S-23): its layer is a *ListValue[K, V]. Its changelog is that of Kafka Streams' list-value store,
// which keeps the records of a left or outer join that have not met another yet.
func ListValueSpec[K, V any](name string, ks serde.Serde[K], vs serde.Serde[V], opts ...SpecOption) *Spec {
	s := &Spec{Name: name, Kind: KindKeyValue, Logging: true}
	s.Open = func(e Env) (Layer, error) { return newListValue(e, ks, vs) }
	return s.typed(ks, vs, opts)
}

// ListValue is a store of one task that keeps several values for a key, in the order in which they were added; they leave together. It belongs
// to the task's goroutine. A list is encoded when it is flushed, once for each transaction that adds to it, as a whole: lists are to be short.
type ListValue[K, V any] struct {
	kv     *KeyValue[K, []byte]
	vs     serde.Serde[V]
	copied bool // vs is given copies (A5)
}

// List is the values of one key, decoded as they are asked for. It is valid until the next call of a method of the store, except
// in an iteration, whose lists are the caller's.
type List[V any] struct {
	encoded []byte
	vs      serde.Serde[V]
	copied  bool
}

func newListValue[K, V any](e Env, ks serde.Serde[K], vs serde.Serde[V]) (*ListValue[K, V], error) {
	kv, err := newKeyValue(e, ks, serde.Bytes)
	if err != nil {
		return nil, err
	}
	kv.OmitOld()
	return &ListValue[K, V]{kv: kv, vs: vs, copied: serde.Aliases(vs)}, nil
}

// Add appends v to the list of key. timestamp, in milliseconds since the epoch, and headers are the whole list's from then on, as in Kafka
// Streams. v may be changed afterwards.
func (s *ListValue[K, V]) Add(key K, v V, timestamp int64, h serde.Headers) error {
	e, err := s.kv.At(key)
	if err != nil {
		return err
	}
	list, _ := e.Value()
	if list, err = appendToList(list, s.vs, v); err != nil {
		return fmt.Errorf("store %s: %w", s.kv.t.below.id, err)
	}
	return e.Set(list, timestamp, h)
}

// Remove takes the list of key out, and reports whether there was one.
func (s *ListValue[K, V]) Remove(key K, timestamp int64, h serde.Headers) (bool, error) {
	e, err := s.kv.At(key)
	if err != nil {
		return false, err
	}
	if _, ok := e.Value(); !ok {
		return false, nil
	}
	return true, e.Delete(timestamp, h)
}

// Get returns the list of key, which is empty if there is none.
func (s *ListValue[K, V]) Get(key K) (List[V], error) {
	e, err := s.kv.At(key)
	if err != nil {
		return List[V]{}, err
	}
	list, _ := e.Value()
	return s.list(list), nil
}

func (s *ListValue[K, V]) list(encoded []byte) List[V] { return List[V]{encoded, s.vs, s.copied} }

// Range iterates over the lists of lo <= key <= hi in the order of the encoded keys (S-03); an absent bound is open. The store may be written
// meanwhile, but not committed; whether such a write is seen is not said. An error ends the iteration.
func (s *ListValue[K, V]) Range(lo, hi serde.Maybe[K]) iter.Seq2[Row[K, List[V]], error] {
	return s.lists(s.kv.Range(lo, hi))
}

// RangeBackward is Range downwards. Each list is in its own order.
func (s *ListValue[K, V]) RangeBackward(lo, hi serde.Maybe[K]) iter.Seq2[Row[K, List[V]], error] {
	return s.lists(s.kv.RangeBackward(lo, hi))
}

func (s *ListValue[K, V]) lists(rows iter.Seq2[Row[K, []byte], error]) iter.Seq2[Row[K, List[V]], error] {
	return func(yield func(Row[K, List[V]], error) bool) {
		for row, err := range rows {
			if !yield(Row[K, List[V]]{row.Key, s.list(row.Value), row.Timestamp, row.Headers}, err) {
				return
			}
		}
	}
}

// Flush implements Layer.
func (s *ListValue[K, V]) Flush() error { return s.kv.Flush() }

// Commit implements Layer.
func (s *ListValue[K, V]) Commit(next int64) error { return s.kv.Commit(next) }

// Drop implements Layer.
func (s *ListValue[K, V]) Drop() { s.kv.Drop() }

// Dirty implements Layer.
func (s *ListValue[K, V]) Dirty() bool { return s.kv.Dirty() }

// Bytes implements Layer.
func (s *ListValue[K, V]) Bytes() (dirty, cached int64) { return s.kv.Bytes() }

// An encoded list is Kafka's list of entries of variable size: 1, count (4), and for each entry its length (4) and bytes.
const (
	variableSize = 1
	listHeader   = 5
	entryHeader  = 4
	listRoom     = 64 // of a new list: one short value, as most have
)

var errList = errors.New("decode list of values")

// appendToList adds a value to an encoded list, which may be nil.
func appendToList[V any](list []byte, vs serde.Serde[V], v V) ([]byte, error) {
	if len(list) == 0 {
		list = append(make([]byte, 0, listRoom), variableSize, 0, 0, 0, 0)
	}
	if len(list) < listHeader || list[0] != variableSize {
		return list, errList
	}
	n := len(list)
	out, err := vs.Append(append(list, 0, 0, 0, 0), v)
	if err != nil {
		return list, fmt.Errorf("encode value of a list: %w", err)
	}
	binary.BigEndian.PutUint32(out[n:], uint32(len(out)-n-entryHeader))
	binary.BigEndian.PutUint32(out[1:], binary.BigEndian.Uint32(out[1:])+1)
	return out, nil
}

// Len returns how many values the list says it has.
func (l List[V]) Len() int {
	if len(l.encoded) < listHeader {
		return 0
	}
	return int(binary.BigEndian.Uint32(l.encoded[1:]))
}

// All iterates over the values in the order in which they were added; they are the caller's. An error, of the serde or of bytes that are no
// list, ends the iteration.
func (l List[V]) All() iter.Seq2[V, error] {
	return func(yield func(V, error) bool) {
		var none V
		rest := l.encoded
		if len(rest) == 0 {
			return
		}
		if len(rest) < listHeader || rest[0] != variableSize {
			yield(none, errList)
			return
		}
		rest = rest[listHeader:]
		for range l.Len() {
			if len(rest) < entryHeader || uint64(binary.BigEndian.Uint32(rest)) > uint64(len(rest)-entryHeader) {
				yield(none, errList)
				return
			}
			end := entryHeader + int(binary.BigEndian.Uint32(rest))
			entry := rest[entryHeader:end:end]
			if l.copied {
				entry = bytes.Clone(entry)
			}
			v, err := l.vs.Decode(entry)
			if !yield(v, err) || err != nil {
				return
			}
			rest = rest[end:]
		}
		if len(rest) > 0 {
			yield(none, errList)
		}
	}
}
