package state

import (
	"iter"

	"github.com/millrace-io/millrace/serde"
)

// ReadOnly is a key-value store that its holder may read and not write. It belongs to the task's goroutine, as the store does.
//
// Its ranges are not inlined: each of the methods that the compiler makes of each would have the loops of KeyValue's, in every program, for every
// table.
type ReadOnly[K, V any] struct{ s *KeyValue[K, V] }

// ReadOnly returns the store for somebody who only reads it.
func (s *KeyValue[K, V]) ReadOnly() ReadOnly[K, V] { return ReadOnly[K, V]{s} }

// Get is as KeyValue.Get.
func (r ReadOnly[K, V]) Get(key K) (v V, timestamp int64, ok bool, err error) { return r.s.Get(key) }

// ApproximateNumEntries is as KeyValue.ApproximateNumEntries.
func (r ReadOnly[K, V]) ApproximateNumEntries() (int64, error) { return r.s.ApproximateNumEntries() }

// Range is as KeyValue.Range.
//
//go:noinline
func (r ReadOnly[K, V]) Range(lo, hi serde.Maybe[K]) iter.Seq2[Row[K, V], error] {
	return r.s.Range(lo, hi)
}

// RangeBackward is as KeyValue.RangeBackward.
//
//go:noinline
func (r ReadOnly[K, V]) RangeBackward(lo, hi serde.Maybe[K]) iter.Seq2[Row[K, V], error] {
	return r.s.RangeBackward(lo, hi)
}

// PrefixScan is as KeyValue.PrefixScan.
//
//go:noinline
func (r ReadOnly[K, V]) PrefixScan(prefix []byte) iter.Seq2[Row[K, V], error] {
	return r.s.PrefixScan(prefix)
}
