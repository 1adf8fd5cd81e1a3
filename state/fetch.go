package state

import (
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state/internal/keyschema"
)

// Fetch iterates over the windows of key with from <= start <= to, oldest first. The store may be written during the iteration, but
// not committed; whether such a write is seen is not said. An error ends the iteration.
func (s *Window[K, V]) Fetch(key K, from, to int64) iter.Seq2[WindowRow[K, V], error] {
	r, err := only(&s.ks, key)
	return s.windows(r, err, from, to, false)
}

// FetchBackward is Fetch, newest first.
func (s *Window[K, V]) FetchBackward(key K, from, to int64) iter.Seq2[WindowRow[K, V], error] {
	r, err := only(&s.ks, key)
	return s.windows(r, err, from, to, true)
}

// FetchAll iterates over the windows of all keys with from <= start <= to: by time bucket, in it by encoded key, then start.
func (s *Window[K, V]) FetchAll(from, to int64) iter.Seq2[WindowRow[K, V], error] {
	return s.windows(keyRange{}, nil, from, to, false)
}

// FetchAllBackward is FetchAll downwards.
func (s *Window[K, V]) FetchAllBackward(from, to int64) iter.Seq2[WindowRow[K, V], error] {
	return s.windows(keyRange{}, nil, from, to, true)
}

// FetchRange is FetchAll for the keys with lo <= key <= hi, by their bytes; an absent bound is open (S-03, S-13).
func (s *Window[K, V]) FetchRange(lo, hi serde.Maybe[K], from, to int64) iter.Seq2[WindowRow[K, V], error] {
	r, err := rangeOf(&s.ks, lo, hi)
	return s.windows(r, err, from, to, false)
}

// FetchRangeBackward is FetchRange downwards.
func (s *Window[K, V]) FetchRangeBackward(lo, hi serde.Maybe[K], from, to int64) iter.Seq2[WindowRow[K, V], error] {
	r, err := rangeOf(&s.ks, lo, hi)
	return s.windows(r, err, from, to, true)
}

// windows iterates bucket by bucket over those that the store has in the range, or tells bad, why there is none.
func (s *Window[K, V]) windows(r keyRange, bad error, from, to int64, reverse bool) iter.Seq2[WindowRow[K, V], error] {
	return func(yield func(WindowRow[K, V], error) bool) {
		if bad != nil {
			yield(WindowRow[K, V]{}, fmt.Errorf("store %s: %w", s.t.below.id, bad))
			return
		}
		from := from
		if low, ok := s.low(); ok {
			from = max(from, low)
		}
		if from > to || r.empty() {
			return
		}
		buckets := s.t.buckets(keyschema.BucketOf(from, s.width), keyschema.BucketOf(to, s.width))
		if reverse {
			slices.Reverse(buckets)
		}
		for _, b := range buckets {
			if !s.bucketRows(b, &r, from, to, reverse, yield) {
				return
			}
		}
	}
}

// bucketRows yields the rows of one bucket, and reports whether to go on.
func (s *Window[K, V]) bucketRows(b keyschema.Bucket, r *keyRange, from, to int64, reverse bool, yield func(WindowRow[K, V], error) bool) bool {
	stop := false
	more, err := s.t.walk(r.span(b, from, to), reverse, func(e found[V]) bool {
		enc, start, err := keyschema.SplitWindow(e.local)
		if err == nil && (start < from || start > to || !r.has(enc)) {
			return true
		}
		row := WindowRow[K, V]{Start: start, Value: e.v, Timestamp: e.ts}
		if err == nil {
			row.Key, err = s.ks.decode(enc)
		}
		if err == nil {
			row.Headers, err = decodeHeaders(e.headers)
		}
		if err != nil {
			stop = true
			return yield(WindowRow[K, V]{}, fmt.Errorf("store %s: key %x: %w", s.t.below.id, e.local, err)) && false
		}
		return yield(row, nil)
	})
	if err != nil {
		yield(WindowRow[K, V]{}, err)
		return false
	}
	return more && !stop
}

// low returns the lowest start that the store keeps, if there is a limit.
func (s *Window[K, V]) low() (int64, bool) {
	if !s.t.newest.ok {
		return math.MinInt64, false
	}
	return lowest(s.t.newest.start, s.retention)
}
