package state

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state/internal/keyschema"
	"github.com/millrace-io/millrace/state/internal/layer"
)

// SessionSpec declares a session store (S-17): its layer is a *Session[K, V]. retention says how long sessions are kept after the newest
// end of one, in event time; hold how much longer they stay without the changelog's topic being told.
func SessionSpec[K, V any](name string, ks serde.Serde[K], vs serde.Serde[V], retention, hold time.Duration, opts ...SpecOption) *Spec {
	s := &Spec{Name: name, Kind: KindSession, Logging: true, Retention: max(retention, time.Millisecond), Hold: hold}
	s.Open = func(e Env) (Layer, error) { return newSession(e, ks, vs) }
	return s.typed(ks, vs, opts)
}

// Session is the session store of one task (S-17): the transaction layer, typed, over a Partition. It belongs to the task's
// goroutine. A session is named by its key, its start and its end, both inclusive, in milliseconds of event time.
//
// Sessions that end at or before the newest end minus the retention are gone: reads do not see them, writes return ErrExpired.
type Session[K, V any] struct {
	t        transaction[V]
	ks       keyCodec[K]
	width    int64
	keep     int64 // retention in milliseconds
	buf, log []byte
}

// SessionRow is one session of a session store. Its value is the reader's.
type SessionRow[K, V any] struct {
	Key        K
	Start, End int64
	Value      V
	Timestamp  int64         // of the record that wrote it last
	Headers    serde.Headers // that the store keeps, see KeepHeaders
}

func newSession[K, V any](e Env, ks serde.Serde[K], vs serde.Serde[V]) (*Session[K, V], error) {
	if e.Committed == nil {
		return nil, errNoPartition
	}
	return &Session[K, V]{t: newTransaction(e, vs), ks: newKeyCodec(ks), width: e.Committed.width, keep: e.Committed.retention}, nil
}

func (s *Session[K, V]) find(key K, start, end int64) (layer.Slot, error) {
	b := keyschema.AppendBucket(s.buf[:0], keyschema.BucketOf(end, s.width))
	b, err := s.ks.Append(b, key)
	if err != nil {
		return 0, fmt.Errorf("store %s: encode key: %w", s.t.below.id, err)
	}
	s.buf = keyschema.AppendSession(b, start, end)
	return s.t.find(s.buf)
}

// Get returns the value of one session and the time of the record that wrote it last, and whether there is one.
func (s *Session[K, V]) Get(key K, start, end int64) (v V, timestamp int64, ok bool, err error) {
	if s.expired(end) {
		return v, -1, false, nil
	}
	slot, err := s.find(key, start, end)
	if err != nil {
		return v, -1, false, err
	}
	return s.t.copyOf(slot)
}

// Row is Get with the headers that the store keeps.
func (s *Session[K, V]) Row(key K, start, end int64) (row SessionRow[K, V], ok bool, err error) {
	if s.expired(end) {
		return row, false, nil
	}
	slot, err := s.find(key, start, end)
	if err != nil {
		return row, false, err
	}
	row.Key, row.Start, row.End = key, start, end
	row.Value, row.Timestamp, row.Headers, ok, err = s.t.rowAt(slot)
	return row, ok, err
}

// OmitHeaders is as KeyValue.OmitHeaders.
func (s *Session[K, V]) OmitHeaders() { s.t.kept.bare = true }

// Put stores a copy of v as Entry.SetShared does. timestamp is the time of the record that brought it.
func (s *Session[K, V]) Put(key K, start, end int64, v V, timestamp int64, h serde.Headers) error {
	if s.expired(end) {
		return ErrExpired
	}
	slot, err := s.find(key, start, end)
	if err != nil {
		return err
	}
	if err := s.t.setShared(slot, v, timestamp, h); err != nil {
		return err
	}
	s.t.newest.see(end)
	return nil
}

// Delete removes a session.
func (s *Session[K, V]) Delete(key K, start, end, timestamp int64, h serde.Headers) error {
	if s.expired(end) {
		return ErrExpired
	}
	slot, err := s.find(key, start, end)
	if err != nil {
		return err
	}
	s.t.delete(slot, timestamp, h)
	return nil
}

// Find calls f for the sessions of key that end at or after earliestEnd and start at or before latestStart, in the order of their
// ends, then of their starts, until f returns false. It does not allocate as long as V is plain and the sessions are in memory.
// f may write the store.
func (s *Session[K, V]) Find(key K, earliestEnd, latestStart int64, f func(start, end int64, v V) bool) error {
	return s.findOf(key, earliestEnd, latestStart, false, f)
}

// FindBackward is Find, the last one first.
func (s *Session[K, V]) FindBackward(key K, earliestEnd, latestStart int64, f func(start, end int64, v V) bool) error {
	return s.findOf(key, earliestEnd, latestStart, true, f)
}

func (s *Session[K, V]) findOf(key K, earliestEnd, latestStart int64, reverse bool, f func(start, end int64, v V) bool) error {
	if !s.t.newest.ok {
		return nil
	}
	if low, ok := s.low(); ok {
		earliestEnd = max(earliestEnd, low)
	}
	c := s.t.borrow()
	err := lookFor(c, &s.ks, key)
	if err == nil {
		err = c.each(s.width, earliestEnd, s.t.newest.start, keyschema.StartLen, reverse, func(local []byte, v V, _ int64) error {
			_, start, end, err := keyschema.SplitSession(local)
			if err == nil && start <= latestStart && !f(start, end, v) {
				err = errStop
			}
			return err
		})
	}
	return c.release(err)
}

// FindRange iterates over the sessions of the keys with lo <= key <= hi, by their bytes, that end at or after earliestEnd and start at or before
// latestStart (S-17): by time bucket, in it by encoded key, then end, then start. An absent bound is open. The store may be written during the
// iteration, but not committed; whether such a write is seen is not said. An error ends the iteration.
func (s *Session[K, V]) FindRange(lo, hi serde.Maybe[K], earliestEnd, latestStart int64) iter.Seq2[SessionRow[K, V], error] {
	r, err := rangeOf(&s.ks, lo, hi)
	return s.sessions(r, err, earliestEnd, latestStart, false)
}

// FindRangeBackward is FindRange downwards.
func (s *Session[K, V]) FindRangeBackward(lo, hi serde.Maybe[K], earliestEnd, latestStart int64) iter.Seq2[SessionRow[K, V], error] {
	r, err := rangeOf(&s.ks, lo, hi)
	return s.sessions(r, err, earliestEnd, latestStart, true)
}

// sessions iterates bucket by bucket over those that the store has in the range, or tells bad, why there is none.
func (s *Session[K, V]) sessions(r keyRange, bad error, earliestEnd, latestStart int64, reverse bool) iter.Seq2[SessionRow[K, V], error] {
	return func(yield func(SessionRow[K, V], error) bool) {
		if bad != nil {
			yield(SessionRow[K, V]{}, fmt.Errorf("store %s: %w", s.t.below.id, bad))
			return
		}
		from, to := earliestEnd, s.t.newest.start
		if low, ok := s.low(); ok {
			from = max(from, low)
		}
		if !s.t.newest.ok || from > to || r.empty() {
			return
		}
		buckets := s.t.buckets(keyschema.BucketOf(from, s.width), keyschema.BucketOf(to, s.width))
		if reverse {
			slices.Reverse(buckets)
		}
		for _, b := range buckets {
			more, err := s.walkRows(r.span(b, from, to), reverse, func(enc []byte, start, end int64) bool {
				return end >= from && end <= to && start <= latestStart && r.has(enc)
			}, func(row SessionRow[K, V]) bool { return yield(row, nil) })
			if err != nil {
				yield(SessionRow[K, V]{}, err)
			}
			if err != nil || !more {
				return
			}
		}
	}
}

// All calls f for the sessions of all keys with from <= end <= to that the store shows: by time bucket, in it by encoded key,
// then end, then start. An error of f ends the call and is returned.
func (s *Session[K, V]) All(from, to int64, f func(SessionRow[K, V]) error) error {
	if low, ok := s.low(); ok {
		from = max(from, low)
	}
	if from > to {
		return nil
	}
	for _, b := range s.t.buckets(keyschema.BucketOf(from, s.width), keyschema.BucketOf(to, s.width)) {
		if err := s.allOf(b, from, to, f); err != nil {
			return err
		}
	}
	return nil
}

func (s *Session[K, V]) allOf(b keyschema.Bucket, from, to int64, f func(SessionRow[K, V]) error) error {
	var bad error
	_, err := s.walkRows((&keyRange{}).span(b, from, to), false,
		func(_ []byte, _, end int64) bool { return end >= from && end <= to },
		func(row SessionRow[K, V]) bool { bad = f(row); return bad == nil })
	return errors.Join(bad, err)
}

// walkRows calls yield for the rows of a span that keep accepts, and reports whether it was to the end.
func (s *Session[K, V]) walkRows(sp span, reverse bool, keep func(enc []byte, start, end int64) bool, yield func(SessionRow[K, V]) bool) (more bool, err error) {
	var bad error
	more, err = s.t.walk(sp, reverse, func(e found[V]) bool {
		enc, start, end, err := keyschema.SplitSession(e.local)
		if err == nil && !keep(enc, start, end) {
			return true
		}
		row := SessionRow[K, V]{Start: start, End: end, Value: e.v, Timestamp: e.ts}
		if err == nil {
			row.Key, err = s.ks.decode(enc)
		}
		if err == nil {
			row.Headers, err = decodeHeaders(e.headers)
		}
		if err != nil {
			bad = fmt.Errorf("store %s: key %x: %w", s.t.below.id, e.local, err)
			return false
		}
		return yield(row)
	})
	return more, errors.Join(bad, err)
}

func (s *Session[K, V]) split(local []byte) (k K, start, end int64, err error) {
	key, start, end, err := keyschema.SplitSession(local)
	if err == nil {
		k, err = s.ks.decode(key)
	}
	if err != nil {
		return k, start, end, fmt.Errorf("store %s: key %x: %w", s.t.below.id, local, err)
	}
	return k, start, end, nil
}

// Newest returns the newest session end that the store has seen, and whether there is one: the time that its retention counts
// from.
func (s *Session[K, V]) Newest() (end int64, ok bool) { return s.t.newest.start, s.t.newest.ok }

func (s *Session[K, V]) expired(end int64) bool {
	low, ok := s.low()
	return ok && end < low
}

func (s *Session[K, V]) low() (int64, bool) {
	if !s.t.newest.ok {
		return math.MinInt64, false
	}
	return lowest(s.t.newest.start, s.keep)
}

// Changes is as KeyValue.Changes, with the session's start and end.
func (s *Session[K, V]) Changes(f func(key K, start, end int64, c Change[V], timestamp int64, h serde.Headers) error) error {
	return s.t.changes(func(local []byte, c Change[V], ts int64, h serde.Headers) error {
		k, start, end, err := s.split(local)
		if err != nil {
			return err
		}
		return f(k, start, end, c, ts, h)
	})
}

// OmitOld is as KeyValue.OmitOld.
func (s *Session[K, V]) OmitOld() { s.t.omitOld = true }

// EncodeAtOnce is as KeyValue.EncodeAtOnce.
func (s *Session[K, V]) EncodeAtOnce() { s.t.eager = true }

// Flush implements Layer.
func (s *Session[K, V]) Flush() error { return s.t.flush(s.changelogKey) }

func (s *Session[K, V]) changelogKey(local []byte) ([]byte, error) {
	key, start, end, err := keyschema.SplitSession(local)
	s.t.logged.see(end)
	s.log = keyschema.AppendSessionChangelog(s.log[:0], key, start, end)
	return s.log, err
}

// Commit implements Layer.
func (s *Session[K, V]) Commit(next int64) error { return s.t.commit(next) }

// Drop implements Layer.
func (s *Session[K, V]) Drop() { s.t.drop() }

// Dirty implements Layer.
func (s *Session[K, V]) Dirty() bool { return s.t.flushed < len(s.t.writes) }

// Bytes implements Layer.
func (s *Session[K, V]) Bytes() (dirty, cached int64) { return s.t.usage() }
