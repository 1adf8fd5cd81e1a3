package state

import (
	"iter"

	"github.com/millrace-io/millrace/serde"
)

// KeyValue is the timestamped key-value store of one task (S-06): the transaction layer, typed, over a Partition. It belongs to
// the task's goroutine.
//
// Timestamps are event times in milliseconds since the epoch. Iteration is in the order of the encoded keys (S-02).
type KeyValue[K, V any] struct {
	t transaction[K, V]
}

// Row is one entry of a key-value store, as iterators give it.
type Row[K, V any] struct {
	Key       K
	Value     V
	Timestamp int64
}

// Entry is the place of one key in a KeyValue: one look-up for a read-modify-write. It is valid until the next call of a
// method of the store.
type Entry[K, V any] struct {
	t    *transaction[K, V]
	slot uint32
}

// At looks key up, reading it from below if this task has not seen it lately.
func (s *KeyValue[K, V]) At(key K) (Entry[K, V], error) { panic("") }

// Value returns the value and whether there is one. A V that is not plain (see the package documentation) is the store's
// own object: the caller may change it and give it back to Set in the same call of user code, and may not keep or forward it.
func (e Entry[K, V]) Value() (V, bool) { panic("") }

// Timestamp returns the event time of the value, -1 if there is none.
func (e Entry[K, V]) Timestamp() int64 { panic("") }

// Set stores v, which becomes the store's own: nobody else may change it afterwards. For a value that others can see, use
// SetShared.
func (e Entry[K, V]) Set(v V, timestamp int64, h serde.Headers) error { panic("") }

// SetShared stores a copy of v: if V is not plain it is encoded at once and the object is not kept.
func (e Entry[K, V]) SetShared(v V, timestamp int64, h serde.Headers) error { panic("") }

// Delete removes the value. Deleting what is not there is a write all the same, without effect on what Changes and Flush give.
func (e Entry[K, V]) Delete(timestamp int64, h serde.Headers) error { panic("") }

// Get returns the value of key and its event time, whether there is one. A V that is not plain is decoded anew: it is the
// caller's.
func (s *KeyValue[K, V]) Get(key K) (v V, timestamp int64, ok bool, err error) { panic("") }

// Put stores a copy of v as Entry.SetShared does.
func (s *KeyValue[K, V]) Put(key K, v V, timestamp int64, h serde.Headers) error { panic("") }

// Delete removes key.
func (s *KeyValue[K, V]) Delete(key K, timestamp int64, h serde.Headers) error { panic("") }

// Range iterates over lo <= key <= hi in the order of the encoded keys (S-03); nil bounds are open. The store may be written
// during the iteration; whether such a write is seen is not said.
func (s *KeyValue[K, V]) Range(lo, hi serde.Maybe[K]) iter.Seq2[Row[K, V], error] { panic("") }

// RangeBackward is Range downwards.
func (s *KeyValue[K, V]) RangeBackward(lo, hi serde.Maybe[K]) iter.Seq2[Row[K, V], error] { panic("") }

// Changes calls f for each key written since the last call, in the order of the keys' last writes: with the newest
// value, the value as of the last call (absent if the key is new, D-63), and the time and headers of the last write. A
// key that was created and deleted in between is left out. f may read and write the store; what it writes is
// given to f as well. An error of f ends the call and is returned.
//
// A new value that is not plain is handed over: the store keeps its bytes only.
func (s *KeyValue[K, V]) Changes(f func(key K, c Change[V], timestamp int64, h serde.Headers) error) error {
	panic("")
}

// Pending reports whether Changes has something to give.
func (s *KeyValue[K, V]) Pending() bool { panic("") }

// OmitOld tells that nobody asks for old values: Changes leaves Old absent and saves the work. It is called once, before
// the first write.
func (s *KeyValue[K, V]) OmitOld() { panic("") }

// Flush, Commit, Drop, Dirty and Bytes implement Layer.
func (s *KeyValue[K, V]) Flush() error { panic("") }

// Commit implements Layer.
func (s *KeyValue[K, V]) Commit(next int64) error { panic("") }

// Drop implements Layer.
func (s *KeyValue[K, V]) Drop() { panic("") }

// Dirty implements Layer.
func (s *KeyValue[K, V]) Dirty() bool { panic("") }

// Bytes implements Layer.
func (s *KeyValue[K, V]) Bytes() (dirty, cached int64) { panic("") }

type transaction[K, V any] struct{}

func newKeyValue[K, V any](s *Spec, e Env, ks serde.Serde[K], vs serde.Serde[V]) (*KeyValue[K, V], error) {
	panic("")
}
