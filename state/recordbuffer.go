package state

import (
	"bytes"
	"fmt"
	"math"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state/internal/keyschema"
)

// RecordBufferSpec declares the buffer of a stream's records: its layer is a *RecordBuffer[K, V].
func RecordBufferSpec[K, V any](name string, ks serde.Serde[K], vs serde.Serde[V], opts ...SpecOption) *Spec {
	s := &Spec{Name: name, Kind: KindRecordBuffer, Logging: true}
	s.Open = func(e Env) (Layer, error) { return newRecordBuffer(e, ks, vs) }
	return s.typed(ks, vs, opts)
}

// RecordBuffer holds back records of a stream, each one for itself, in the order of time, then encoded key, then arrival (S-24). It
// belongs to the task's goroutine. Its changelog is Kafka Streams', with the record's time where that writes the wall clock.
type RecordBuffer[K, V any] struct {
	t        transaction[string] // the form of bufferedValue
	ks       keyCodec[K]
	vs       bufferCodec[V]
	sequence uint32
	count    int
	first    int64 // no record that waits is older
	key      []byte
	value    []byte
	buf, out []byte
}

func newRecordBuffer[K, V any](e Env, ks serde.Serde[K], vs serde.Serde[V]) (*RecordBuffer[K, V], error) {
	if e.Committed == nil {
		return nil, errNoPartition
	}
	s := &RecordBuffer[K, V]{t: newTransaction(e, serde.String), ks: newKeyCodec(ks), vs: newBufferCodec(vs), first: math.MaxInt64}
	s.t.omitOld = true
	_, err := s.t.walk(span{}, false, func(e found[string]) bool {
		s.count++
		s.first = min(s.first, e.ts)
		return true
	})
	return s, err
}

// Add adds a record.
func (s *RecordBuffer[K, V]) Add(key K, value V, timestamp int64, h serde.Headers, from Coordinates) error {
	var err error
	if s.key, err = s.ks.Append(s.key[:0], key); err != nil {
		return fmt.Errorf("store %s: encode key: %w", s.t.below.id, err)
	}
	var v bufferedValue
	v.context(timestamp, h, from)
	if v.value, err = s.vs.encode(&s.value, serde.Some(value)); err != nil {
		return fmt.Errorf("store %s: encode value: %w", s.t.below.id, err)
	}
	s.out = v.append(s.out[:0])
	for {
		s.sequence = (s.sequence + 1) & math.MaxInt32
		s.buf = keyschema.AppendTimeFirst(s.buf[:0], s.key, timestamp, s.sequence)
		slot, err := s.t.find(s.buf)
		if err != nil {
			return err
		}
		if s.t.table.At(slot).flags&flagPresent != 0 {
			continue // of a task before this one
		}
		s.count++
		s.first = min(s.first, timestamp)
		s.t.set(slot, string(s.out), timestamp, serde.Headers{})
		return nil
	}
}

// Len returns how many records wait.
func (s *RecordBuffer[K, V]) Len() int { return s.count }

// dueRecord is a record that Take has found.
type dueRecord struct{ local, value []byte }

// atOnce bounds how many records Take holds in memory.
const atOnce = 256

// Take takes out the records with times up to and including until, and calls f with each. An error of f ends it and is returned; the
// record is out all the same. f must not use the buffer.
func (s *RecordBuffer[K, V]) Take(until int64, f func(Buffered[K, V]) error) error {
	for s.count > 0 && until >= s.first {
		due, next, err := s.due(until)
		if err != nil {
			return err
		}
		for _, d := range due {
			slot, err := s.t.find(d.local)
			if err != nil {
				return err
			}
			e, err := s.entry(d)
			if err != nil {
				return err
			}
			s.t.delete(slot, e.Timestamp, serde.Headers{})
			s.count--
			if err := f(e); err != nil {
				return err
			}
		}
		s.first = next // not before: f may fail, and the others stay due
	}
	return nil
}

// due returns the first records with times up to until, and how old the next one is.
func (s *RecordBuffer[K, V]) due(until int64) (list []dueRecord, next int64, err error) {
	next = math.MaxInt64
	_, err = s.t.walk(span{}, false, func(e found[string]) bool {
		if e.ts > until || len(list) == atOnce {
			next = e.ts
			return false
		}
		list = append(list, dueRecord{bytes.Clone(e.local), []byte(e.v)})
		return true
	})
	return list, next, err
}

func (s *RecordBuffer[K, V]) entry(d dueRecord) (e Buffered[K, V], err error) {
	enc, _, _, err := keyschema.SplitTimeFirst(d.local)
	var v bufferedValue
	if err == nil {
		v, err = splitBuffered(d.value, &s.vs.topics)
	}
	var key K
	if err == nil {
		key, err = s.ks.decode(enc)
	}
	if err == nil {
		e, err = entryOf(&s.vs, key, &v)
	}
	if err != nil {
		return e, fmt.Errorf("store %s: key %x: %w", s.t.below.id, d.local, err)
	}
	return e, nil
}

// Flush implements Layer.
func (s *RecordBuffer[K, V]) Flush() error {
	return s.t.flush(func(local []byte) ([]byte, error) { return local, nil })
}

// Commit implements Layer.
func (s *RecordBuffer[K, V]) Commit(next int64) error { return s.t.commit(next) }

// Drop implements Layer. The buffer is not to be used afterwards.
func (s *RecordBuffer[K, V]) Drop() { s.t.drop() }

// Dirty implements Layer.
func (s *RecordBuffer[K, V]) Dirty() bool { return s.t.flushed < len(s.t.writes) }

// Bytes implements Layer.
func (s *RecordBuffer[K, V]) Bytes() (dirty, cached int64) { return s.t.usage() }
