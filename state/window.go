package state

import (
	"fmt"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state/internal/keyschema"
	"github.com/millrace-io/millrace/state/internal/layer"
)

// Window is the timestamped window store of one task (S-13, S-19): the transaction layer, typed, over a Partition. It belongs
// to the task's goroutine. A window is named by its key and its start, in milliseconds of event time since the epoch.
//
// Windows that start at or before the newest start minus the retention are gone: reads do not see them, writes return
// ErrExpired (S-15).
type Window[K, V any] struct {
	t         transaction[V]
	ks        keyCodec[K]
	width     int64
	retention int64
	buf, log  []byte
}

// WindowRow is one window of a window store, as iterators give it. Its value is the caller's.
type WindowRow[K, V any] struct {
	Key       K
	Start     int64
	Value     V
	Timestamp int64
	Headers   serde.Headers // that the store keeps, see KeepHeaders
}

func newWindow[K, V any](e Env, ks serde.Serde[K], vs serde.Serde[V]) (*Window[K, V], error) {
	if e.Committed == nil {
		return nil, errNoPartition
	}
	return &Window[K, V]{
		t:         newTransaction(e, vs),
		ks:        newKeyCodec(ks),
		width:     e.Committed.width,
		retention: e.Committed.retention,
	}, nil
}

// WindowEntry is the place of one window in a Window; see Entry.
type WindowEntry[K, V any] struct {
	t       *transaction[V]
	start   int64
	slot    layer.Slot
	expired bool
}

// At looks up the window of key that begins at start. An expired window reads as absent, see Expired.
func (s *Window[K, V]) At(key K, start int64) (WindowEntry[K, V], error) {
	if s.expired(start) {
		return WindowEntry[K, V]{expired: true}, nil
	}
	slot, err := s.find(key, start)
	if err != nil {
		return WindowEntry[K, V]{}, err
	}
	if !s.t.plain {
		if err := s.t.materialise(slot); err != nil {
			return WindowEntry[K, V]{}, err
		}
	}
	return WindowEntry[K, V]{t: &s.t, start: start, slot: slot}, nil
}

func (s *Window[K, V]) expired(start int64) bool {
	low, ok := s.low()
	return ok && start < low
}

func (s *Window[K, V]) find(key K, start int64) (layer.Slot, error) {
	b := keyschema.AppendBucket(s.buf[:0], keyschema.BucketOf(start, s.width))
	b, err := s.ks.Append(b, key)
	if err != nil {
		return 0, fmt.Errorf("store %s: encode key: %w", s.t.below.id, err)
	}
	s.buf = keyschema.AppendStart(b, start)
	return s.t.find(s.buf)
}

// Expired reports that the window is older than the store keeps: Set, SetShared and Delete return ErrExpired.
func (e WindowEntry[K, V]) Expired() bool { return e.expired }

// Value is as Entry.Value.
func (e WindowEntry[K, V]) Value() (v V, ok bool) {
	if e.expired {
		return v, false
	}
	return Entry[K, V]{e.t, e.slot}.Value()
}

// Timestamp is as Entry.Timestamp.
func (e WindowEntry[K, V]) Timestamp() int64 {
	if e.expired {
		return -1
	}
	return Entry[K, V]{e.t, e.slot}.Timestamp()
}

// Copy is as Entry.Copy.
func (e WindowEntry[K, V]) Copy() (v V, ok bool, err error) {
	if e.expired {
		return v, false, nil
	}
	return Entry[K, V]{e.t, e.slot}.Copy()
}

// Set is as Entry.Set.
func (e WindowEntry[K, V]) Set(v V, timestamp int64, h serde.Headers) error {
	if e.expired {
		return ErrExpired
	}
	e.t.newest.see(e.start)
	e.t.set(e.slot, v, timestamp, h)
	return nil
}

// SetShared is as Entry.SetShared.
func (e WindowEntry[K, V]) SetShared(v V, timestamp int64, h serde.Headers) error {
	if e.expired {
		return ErrExpired
	}
	err := e.t.setShared(e.slot, v, timestamp, h)
	if err == nil {
		e.t.newest.see(e.start)
	}
	return err
}

// Delete is as Entry.Delete.
func (e WindowEntry[K, V]) Delete(timestamp int64, h serde.Headers) error {
	if e.expired {
		return ErrExpired
	}
	e.t.delete(e.slot, timestamp, h) // a delete of nothing leaves no trace: time goes on with what is stored
	return nil
}

// Get is as KeyValue.Get.
func (s *Window[K, V]) Get(key K, start int64) (v V, timestamp int64, ok bool, err error) {
	if s.expired(start) {
		return v, -1, false, nil
	}
	slot, err := s.find(key, start)
	if err != nil {
		return v, -1, false, err
	}
	return s.t.copyOf(slot)
}

// Row is Get with the headers that the store keeps.
func (s *Window[K, V]) Row(key K, start int64) (row WindowRow[K, V], ok bool, err error) {
	if s.expired(start) {
		return row, false, nil
	}
	slot, err := s.find(key, start)
	if err != nil {
		return row, false, err
	}
	row.Key, row.Start = key, start
	row.Value, row.Timestamp, row.Headers, ok, err = s.t.rowAt(slot)
	return row, ok, err
}

// OmitHeaders is as KeyValue.OmitHeaders.
func (s *Window[K, V]) OmitHeaders() { s.t.kept.bare = true }

// Put is as KeyValue.Put; it returns ErrExpired for a window that the store no longer keeps.
func (s *Window[K, V]) Put(key K, start int64, v V, timestamp int64, h serde.Headers) error {
	e, err := s.place(key, start)
	if err != nil {
		return err
	}
	return e.SetShared(v, timestamp, h)
}

// Delete is as KeyValue.Delete; it returns ErrExpired for a window that the store no longer keeps.
func (s *Window[K, V]) Delete(key K, start, timestamp int64, h serde.Headers) error {
	e, err := s.place(key, start)
	if err != nil {
		return err
	}
	return e.Delete(timestamp, h)
}

// place is At for a caller that does not look at the value.
func (s *Window[K, V]) place(key K, start int64) (WindowEntry[K, V], error) {
	if s.expired(start) {
		return WindowEntry[K, V]{expired: true}, nil
	}
	slot, err := s.find(key, start)
	return WindowEntry[K, V]{t: &s.t, start: start, slot: slot}, err
}

// Newest returns the newest window start that the store has seen, committed or in this transaction: the time that its
// retention counts from. It is false if there is none yet. A window that was made and deleted in one transaction does not count
// after it, since the changelog does not know it either.
func (s *Window[K, V]) Newest() (start int64, ok bool) { return s.t.newest.start, s.t.newest.ok }

// Changes is as KeyValue.Changes, with the window's start.
func (s *Window[K, V]) Changes(f func(key K, start int64, c Change[V], timestamp int64, h serde.Headers) error) error {
	return s.t.changes(func(local []byte, c Change[V], ts int64, h serde.Headers) error {
		k, start, err := s.split(local)
		if err != nil {
			return err
		}
		return f(k, start, c, ts, h)
	})
}

func (s *Window[K, V]) split(local []byte) (k K, start int64, err error) {
	key, start, err := keyschema.SplitWindow(local)
	if err == nil {
		k, err = s.ks.decode(key)
	}
	if err != nil {
		return k, start, fmt.Errorf("store %s: key %x: %w", s.t.below.id, local, err)
	}
	return k, start, nil
}

// Pending is as KeyValue.Pending.
func (s *Window[K, V]) Pending() bool { return s.t.emitted < len(s.t.writes) }

// OmitOld is as KeyValue.OmitOld.
func (s *Window[K, V]) OmitOld() { s.t.omitOld = true }

// EncodeAtOnce is as KeyValue.EncodeAtOnce.
func (s *Window[K, V]) EncodeAtOnce() { s.t.eager = true }

// Flush implements Layer.
func (s *Window[K, V]) Flush() error { return s.t.flush(s.changelogKey) }

func (s *Window[K, V]) changelogKey(local []byte) ([]byte, error) {
	key, start, err := keyschema.SplitWindow(local)
	s.t.logged.see(start)
	s.log = keyschema.AppendWindowChangelog(s.log[:0], key, start)
	return s.log, err
}

// Commit implements Layer.
func (s *Window[K, V]) Commit(next int64) error { return s.t.commit(next) }

// Drop implements Layer.
func (s *Window[K, V]) Drop() { s.t.drop() }

// Dirty implements Layer.
func (s *Window[K, V]) Dirty() bool { return s.t.flushed < len(s.t.writes) }

// Bytes implements Layer.
func (s *Window[K, V]) Bytes() (dirty, cached int64) { return s.t.usage() }
