package topology

import (
	"fmt"
	"reflect"

	"github.com/millrace-io/millrace/serde"
)

// Extractor chooses the event time of a record, in milliseconds since the epoch. r.Timestamp is the time that the log holds;
// partitionTime is the highest event time seen on the partition so far, -1 if none. A negative result drops the record as
// ReasonTimestamp. An error goes to the deserialisation handler. It is Kafka Streams' TimestampExtractor.
type Extractor[K, V any] func(r Record[K, V], from Coordinates, partitionTime int64) (int64, error)

// SourceOption configures a source that emits Record[K, V].
type SourceOption[K, V any] func(*source[K, V])

// WithExtractor makes a source take event times from e. Without it the time in the log counts, and a negative one there is
// an error for the deserialisation handler (Kafka Streams' FailOnInvalidTimestamp).
func WithExtractor[K, V any](e Extractor[K, V]) SourceOption[K, V] {
	return func(s *source[K, V]) { s.extract = e }
}

// NewSource returns a source node, not yet part of a topology. A null key or value reaches neither serde nor extractor as
// anything but null: the record is flagged, see Record.
func NewSource[K, V any](name string, topics []string, key serde.Serde[K], value serde.Serde[V], options ...SourceOption[K, V]) *Node {
	s := &source[K, V]{key: key, value: value}
	s.keyIn, _ = key.(serde.ArenaDecoder[K])
	if reflect.TypeFor[V]().Kind() != reflect.String {
		s.valueIn, _ = value.(serde.ArenaDecoder[V])
	}
	for _, o := range options {
		o(s)
	}
	return &Node{
		Name:   name,
		Kind:   KindSource,
		Out:    EdgeOf[K, V](),
		Topics: topics,
		Reset:  s.reset,
		Fan:    Fan[K, V],
		Build: func(_ Scope, down any) (Instance, error) {
			emit, ok := down.(Emit[K, V])
			if !ok {
				return Instance{}, fmt.Errorf("built with %T, want %T", down, emit)
			}
			return Instance{Ports: []any{NewHead(func() Head { return &head[K, V]{source: s, down: emit} })}}, nil
		},
	}
}

type source[K, V any] struct {
	key     serde.Serde[K]
	value   serde.Serde[V]
	extract Extractor[K, V]
	reset   OffsetReset
	// Of serdes that can decode many values into one allocation; else nil. Strings are let do so as keys alone: stores hold
	// keys as bytes, but keep a string value as it is, which would then keep a whole chunk.
	keyIn   serde.ArenaDecoder[K]
	valueIn serde.ArenaDecoder[V]
}

// head is the decoded record at the front of one input queue.
type head[K, V any] struct {
	*source[K, V]
	down   Emit[K, V]
	record Record[K, V]
	arena  serde.Arena
}

func (h *head[K, V]) Decode(from Coordinates, r *Raw, partitionTime int64) (int64, error) {
	rec := Record[K, V]{Timestamp: r.Timestamp}
	var err error
	if r.Key == nil {
		rec.null |= nullKey
	} else if rec.Key, err = decode(&h.arena, h.keyIn, h.key, r.Key); err != nil {
		return 0, fmt.Errorf("decode key: %w", err)
	}
	if r.Value == nil {
		rec.null |= nullValue
	} else if rec.Value, err = decode(&h.arena, h.valueIn, h.value, r.Value); err != nil {
		return 0, fmt.Errorf("decode value: %w", err)
	}
	if len(r.Headers) > 0 {
		rec.Headers = ownHeaders(r.Headers)
	}
	if h.extract == nil {
		if r.Timestamp < 0 {
			return 0, invalidTimestamp(r.Timestamp)
		}
		h.record = rec
		return r.Timestamp, nil
	}
	t, err := h.extract(rec, from, partitionTime)
	if err != nil {
		return 0, fmt.Errorf("extract timestamp: %w", err)
	}
	rec.Timestamp = t
	h.record = rec
	return t, nil
}

func decode[T any](a *serde.Arena, in serde.ArenaDecoder[T], of serde.Serde[T], src []byte) (T, error) {
	if in != nil {
		return in.DecodeIn(a, src)
	}
	return of.Decode(src)
}

func (h *head[K, V]) Emit() { h.down(h.record) }

// ownHeaders copies headers out of the batch they were read from: they travel with records into stores and output.
func ownHeaders(headers []Header) Headers {
	n := 0
	for _, h := range headers {
		n += len(h.Value)
	}
	bytes := make([]byte, 0, n)
	list := make([]Header, len(headers))
	for i, h := range headers {
		list[i].Key = h.Key
		if h.Value != nil {
			start := len(bytes)
			bytes = append(bytes, h.Value...)
			list[i].Value = bytes[start:len(bytes):len(bytes)]
		}
	}
	return serde.NewHeaders(list)
}

// invalidTimestamp is a record time of the log that is no event time.
type invalidTimestamp int64

func (e invalidTimestamp) Error() string {
	return fmt.Sprintf("record timestamp %d is negative; give the source an extractor that finds the event time elsewhere", int64(e))
}

func (invalidTimestamp) DropReason() Reason { return ReasonTimestamp }
