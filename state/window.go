package state

import (
	"iter"

	"github.com/millrace-io/millrace/serde"
)

// Window is the timestamped window store of one task (S-13, S-19): the transaction layer, typed, over a Partition. It belongs
// to the task's goroutine. A window is named by its key and its start, in milliseconds of event time since the epoch.
//
// Windows that start at or before the newest start minus the retention are gone: reads do not see them, writes return
// ErrExpired (S-15).
type Window[K, V any] struct {
	t transaction[K, V]
}

// WindowRow is one window of a window store, as iterators give it.
type WindowRow[K, V any] struct {
	Key       K
	Start     int64
	Value     V
	Timestamp int64
}

// WindowEntry is the place of one window in a Window; see Entry.
type WindowEntry[K, V any] struct {
	s       *Window[K, V]
	start   int64
	slot    uint32
	expired bool
}

// At looks the window of key that begins at start up. An expired window reads as absent, see Expired.
func (s *Window[K, V]) At(key K, start int64) (WindowEntry[K, V], error) { panic("") }

// Expired reports that the window is older than the store keeps: Set, SetShared and Delete would return ErrExpired.
func (e WindowEntry[K, V]) Expired() bool { return e.expired }

// Value is as Entry.Value.
func (e WindowEntry[K, V]) Value() (V, bool) { panic("") }

// Timestamp is as Entry.Timestamp.
func (e WindowEntry[K, V]) Timestamp() int64 { panic("") }

// Set is as Entry.Set.
func (e WindowEntry[K, V]) Set(v V, timestamp int64, h serde.Headers) error { panic("") }

// SetShared is as Entry.SetShared.
func (e WindowEntry[K, V]) SetShared(v V, timestamp int64, h serde.Headers) error { panic("") }

// Delete is as Entry.Delete.
func (e WindowEntry[K, V]) Delete(timestamp int64, h serde.Headers) error { panic("") }

// Get is as KeyValue.Get.
func (s *Window[K, V]) Get(key K, start int64) (v V, timestamp int64, ok bool, err error) { panic("") }

// Put is as KeyValue.Put; it returns ErrExpired for a window that the store no longer keeps.
func (s *Window[K, V]) Put(key K, start int64, v V, timestamp int64, h serde.Headers) error {
	panic("")
}

// Delete is as KeyValue.Delete; it returns ErrExpired for a window that the store no longer keeps.
func (s *Window[K, V]) Delete(key K, start, timestamp int64, h serde.Headers) error { panic("") }

// Fetch iterates over the windows of key with from <= start <= to, oldest first.
func (s *Window[K, V]) Fetch(key K, from, to int64) iter.Seq2[WindowRow[K, V], error] { panic("") }

// FetchBackward is Fetch, newest first.
func (s *Window[K, V]) FetchBackward(key K, from, to int64) iter.Seq2[WindowRow[K, V], error] {
	panic("")
}

// FetchAll iterates over the windows of all keys with from <= start <= to: by time bucket, in it by encoded key, then start.
func (s *Window[K, V]) FetchAll(from, to int64) iter.Seq2[WindowRow[K, V], error] { panic("") }

// FetchAllBackward is FetchAll downwards.
func (s *Window[K, V]) FetchAllBackward(from, to int64) iter.Seq2[WindowRow[K, V], error] { panic("") }

// Newest returns the newest window start that the store has seen, committed or in this transaction: the time that its
// retention counts from. It is false if there is none yet.
func (s *Window[K, V]) Newest() (start int64, ok bool) { panic("") }

// Changes is as KeyValue.Changes, with the window's start.
func (s *Window[K, V]) Changes(f func(key K, start int64, c Change[V], timestamp int64, h serde.Headers) error) error {
	panic("")
}

// Pending is as KeyValue.Pending.
func (s *Window[K, V]) Pending() bool { panic("") }

// OmitOld is as KeyValue.OmitOld.
func (s *Window[K, V]) OmitOld() { panic("") }

// Flush implements Layer.
func (s *Window[K, V]) Flush() error { panic("") }

// Commit implements Layer.
func (s *Window[K, V]) Commit(next int64) error { panic("") }

// Drop implements Layer.
func (s *Window[K, V]) Drop() { panic("") }

// Dirty implements Layer.
func (s *Window[K, V]) Dirty() bool { panic("") }

// Bytes implements Layer.
func (s *Window[K, V]) Bytes() (dirty, cached int64) { panic("") }

func newWindow[K, V any](s *Spec, e Env, ks serde.Serde[K], vs serde.Serde[V]) (*Window[K, V], error) {
	panic("")
}
