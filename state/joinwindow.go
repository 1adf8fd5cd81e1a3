package state

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state/internal/keyschema"
	"github.com/millrace-io/millrace/state/internal/layer"
)

// JoinWindowSpec declares the store of one side of a stream-stream join: its layer is a *JoinWindow[K, V]. span is the length of the range that
// a record of the other side looks at, retention how long records are kept after the newest one, in event time.
func JoinWindowSpec[K, V any](name string, ks serde.Serde[K], vs serde.Serde[V], span, retention time.Duration, opts ...SpecOption) *Spec {
	// A bucket of half a span: a look-up meets three of them at most.
	s := &Spec{Name: name, Kind: KindJoinWindow, Logging: true, WindowSize: span / 2, Retention: max(retention, time.Millisecond)}
	s.Open = func(e Env) (Layer, error) { return newJoinWindow(e, ks, vs) }
	return s.typed(ks, vs, opts)
}

// JoinWindow is a window store that keeps duplicates (S-14) of one task: all records of a stream in a span of event time, also those
// of one key and time. It belongs to the task's goroutine. Entries are told apart by a sequence number, which counts the
// writes since the task was built.
//
// Records that are as old as the newest one minus the retention are gone: Each does not see them.
type JoinWindow[K, V any] struct {
	t        transaction[V]
	ks       keyCodec[K]
	width    int64
	keep     int64  // retention in milliseconds
	before   newest // of what the tasks before this one have added
	sequence uint32
	buf, log []byte
	value    []byte
}

func newJoinWindow[K, V any](e Env, ks serde.Serde[K], vs serde.Serde[V]) (*JoinWindow[K, V], error) {
	if e.Committed == nil {
		return nil, errNoPartition
	}
	s := &JoinWindow[K, V]{t: newTransaction(e, vs), ks: newKeyCodec(ks), width: e.Committed.width, keep: e.Committed.retention}
	s.t.omitOld, s.before = true, s.t.newest
	s.t.headed, _ = e.Changelog.(HeaderChangelog)
	return s, nil
}

// Add adds a record. One that is older than the store keeps is written to the changelog only, as Kafka Streams does, whose
// stores drop what is old in larger steps.
func (s *JoinWindow[K, V]) Add(key K, v V, timestamp int64, h serde.Headers) error {
	if low, ok := s.low(); ok && timestamp < low {
		b, err := s.t.vs.Append(s.value[:0], v)
		if err != nil {
			return fmt.Errorf("store %s: encode value: %w", s.t.below.id, err)
		}
		if s.value = b; b == nil {
			b = []byte{}
		}
		return s.note(key, timestamp, b, h)
	}
	b := keyschema.AppendBucket(s.buf[:0], keyschema.BucketOf(timestamp, s.width))
	b, err := s.ks.Append(b, key)
	if err != nil {
		return fmt.Errorf("store %s: encode key: %w", s.t.below.id, err)
	}
	n := len(b)
	for {
		b = keyschema.AppendDuplicate(b[:n], timestamp, s.next())
		slot, err := s.place(b, timestamp)
		if s.buf = b; err != nil {
			return err
		}
		if s.t.table.At(slot).flags&flagPresent != 0 {
			continue // of a task before this one
		}
		if err := s.t.setShared(slot, v, timestamp, h); err != nil {
			return err
		}
		s.t.newest.see(timestamp)
		return nil
	}
}

// place returns the entry of a key inside the store and the time in it.
func (s *JoinWindow[K, V]) place(local []byte, timestamp int64) (layer.Slot, error) {
	if !s.before.ok || timestamp > s.before.start {
		return s.t.fresh(local) // this task numbers its own apart
	}
	return s.t.find(local)
}

// EncodeAtOnce is as KeyValue.EncodeAtOnce.
func (s *JoinWindow[K, V]) EncodeAtOnce() { s.t.eager = true }

// Null takes note of a record without a value: it is not stored, but counts, as in Kafka Streams.
func (s *JoinWindow[K, V]) Null() { s.next() }

// note writes to the changelog what the store does not keep.
func (s *JoinWindow[K, V]) note(key K, timestamp int64, value []byte, h serde.Headers) error {
	enc, err := s.ks.Append(s.buf[:0], key)
	if err != nil {
		return fmt.Errorf("store %s: encode key: %w", s.t.below.id, err)
	}
	s.buf = enc
	s.log = keyschema.AppendDuplicateChangelog(s.log[:0], enc, timestamp, s.next())
	if s.t.log == nil {
		return nil
	}
	return s.t.append(h, s.log, value, timestamp)
}

// next returns the next sequence number: positive, as Kafka Streams has it.
func (s *JoinWindow[K, V]) next() uint32 {
	s.sequence = (s.sequence + 1) & math.MaxInt32
	return s.sequence
}

// Each calls f for the records of key with from <= time <= to, in the order of their times, then of their sequence numbers, until f
// returns an error, which is returned. It does not allocate as long as V is plain and the records are in memory. A V that is
// not plain is decoded anew: it is the caller's. f may write the store.
func (s *JoinWindow[K, V]) Each(key K, from, to int64, f func(v V, timestamp int64) error) error {
	if low, ok := s.low(); ok {
		from = max(from, low)
	}
	c := s.t.borrow()
	err := lookFor(c, &s.ks, key)
	if err == nil {
		err = c.each(s.width, from, to, keyschema.SequenceLen, false, func(_ []byte, v V, ts int64) error { return f(v, ts) })
	}
	return c.release(err)
}

// All calls f for every record that the store shows: by time bucket, in it by encoded key, then time. An error of f is returned.
func (s *JoinWindow[K, V]) All(f func(key K, v V, timestamp int64) error) error {
	low, limited := s.low()
	for _, b := range s.t.buckets(math.MinInt64, math.MaxInt64) {
		sp := span{bucket: b, lo: keyschema.AppendBucket(nil, b)}
		sp.hi = keyschema.Successor(sp.lo)
		var bad error
		_, err := s.t.walk(sp, false, func(e found[V]) bool {
			enc, time, _, err := keyschema.SplitDuplicate(e.local)
			if err == nil && limited && time < low {
				return true
			}
			var k K
			if err == nil {
				k, err = s.ks.decode(enc)
			}
			if err == nil {
				err = f(k, e.v, e.ts)
			}
			bad = err
			return err == nil
		})
		if err := errors.Join(bad, err); err != nil {
			return err
		}
	}
	return nil
}

// Newest returns the highest event time of all records that the store has seen, and whether there is one: the time that its
// retention counts from. It survives a restart.
func (s *JoinWindow[K, V]) Newest() (timestamp int64, ok bool) {
	return s.t.newest.start, s.t.newest.ok
}

func (s *JoinWindow[K, V]) low() (int64, bool) {
	if !s.t.newest.ok {
		return math.MinInt64, false
	}
	return lowest(s.t.newest.start, s.keep)
}

// Flush implements Layer.
func (s *JoinWindow[K, V]) Flush() error { return s.t.flush(s.changelogKey) }

func (s *JoinWindow[K, V]) changelogKey(local []byte) ([]byte, error) {
	key, timestamp, sequence, err := keyschema.SplitDuplicate(local)
	s.t.logged.see(timestamp)
	s.log = keyschema.AppendDuplicateChangelog(s.log[:0], key, timestamp, sequence)
	return s.log, err
}

// Commit implements Layer.
func (s *JoinWindow[K, V]) Commit(next int64) error { return s.t.commit(next) }

// Drop implements Layer.
func (s *JoinWindow[K, V]) Drop() { s.t.drop() }

// Dirty implements Layer.
func (s *JoinWindow[K, V]) Dirty() bool { return s.t.flushed < len(s.t.writes) }

// Bytes implements Layer.
func (s *JoinWindow[K, V]) Bytes() (dirty, cached int64) { return s.t.usage() }
