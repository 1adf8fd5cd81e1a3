package state

import (
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/millrace-io/millrace/state/internal/keyschema"
)

// Fetch iterates over the windows of key with from <= start <= to, oldest first. The store may be written during the iteration, but
// not committed; whether such a write is seen is not said. An error ends the iteration.
func (s *Window[K, V]) Fetch(key K, from, to int64) iter.Seq2[WindowRow[K, V], error] {
	return s.windows(&key, from, to, false)
}

// FetchBackward is Fetch, newest first.
func (s *Window[K, V]) FetchBackward(key K, from, to int64) iter.Seq2[WindowRow[K, V], error] {
	return s.windows(&key, from, to, true)
}

// FetchAll iterates over the windows of all keys with from <= start <= to: by time bucket, in it by encoded key, then start.
func (s *Window[K, V]) FetchAll(from, to int64) iter.Seq2[WindowRow[K, V], error] {
	return s.windows(nil, from, to, false)
}

// FetchAllBackward is FetchAll downwards.
func (s *Window[K, V]) FetchAllBackward(from, to int64) iter.Seq2[WindowRow[K, V], error] {
	return s.windows(nil, from, to, true)
}

// windows iterates bucket by bucket over those that the store has in the range: of one key, or of all if it is nil.
func (s *Window[K, V]) windows(key *K, from, to int64, reverse bool) iter.Seq2[WindowRow[K, V], error] {
	return func(yield func(WindowRow[K, V], error) bool) {
		if low, ok := s.low(); ok {
			from = max(from, low)
		}
		if from > to {
			return
		}
		var enc []byte
		if key != nil {
			var err error
			if enc, err = s.ks.Append([]byte{}, *key); err != nil {
				yield(WindowRow[K, V]{}, fmt.Errorf("store %s: encode key: %w", s.t.below.id, err))
				return
			}
		}
		buckets := s.t.buckets(keyschema.BucketOf(from, s.width), keyschema.BucketOf(to, s.width))
		if reverse {
			slices.Reverse(buckets)
		}
		for _, b := range buckets {
			if !s.bucketRows(b, enc, from, to, reverse, yield) {
				return
			}
		}
	}
}

// bucketRows yields the rows of one bucket, and reports whether to go on.
func (s *Window[K, V]) bucketRows(b keyschema.Bucket, enc []byte, from, to int64, reverse bool, yield func(WindowRow[K, V], error) bool) bool {
	sp := span{bucket: b, lo: keyschema.AppendBucket(nil, b)}
	sp.hi = keyschema.Successor(sp.lo)
	if enc != nil {
		prefix := append(sp.lo, enc...)
		sp.lo = keyschema.AppendStart(slices.Clone(prefix), from)
		sp.hi = append(keyschema.AppendStart(slices.Clone(prefix), to), 0)
	}
	stop := false
	more, err := s.t.walk(sp, reverse, func(e found[V]) bool {
		// Between two windows of a key there may be others, of keys that it is a prefix of (S-16).
		if enc != nil && len(e.local) != keyschema.BucketLen+len(enc)+keyschema.StartLen {
			return true
		}
		k, start, err := s.split(e.local)
		if err != nil {
			stop = true
			return yield(WindowRow[K, V]{}, err) && false
		}
		if start < from || start > to {
			return true
		}
		h, err := decodeHeaders(e.headers)
		return yield(WindowRow[K, V]{k, start, e.v, e.ts, h}, err)
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
