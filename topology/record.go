package topology

import "github.com/millrace-io/millrace/serde"

// Header is one record header.
type Header = serde.Header

// Headers are a record's headers. They are defined in serde, the lowest package, since stores keep them too.
type Headers = serde.Headers

// Record is a record in flight between two nodes, passed by value (Kafka Streams' Record, X-01). Timestamp is its event
// time in milliseconds since the epoch, never negative.
//
// Null is a property of the record, not of the types: where K or V cannot hold nil, a null key or value reads as the zero
// value with HasKey or HasValue false. Where they can (pointer, slice, map, interface), null is nil as well as flagged.
type Record[K, V any] struct {
	Key       K
	Value     V
	Timestamp int64
	Headers   Headers
	null      uint8
}

const (
	nullKey uint8 = 1 << iota
	nullValue
)

// NewRecord returns a record with a key and a value, both present.
func NewRecord[K, V any](key K, value V, timestamp int64) Record[K, V] {
	return Record[K, V]{Key: key, Value: value, Timestamp: timestamp}
}

// Tombstone returns a record with a key and a null value.
func Tombstone[K, V any](key K, timestamp int64) Record[K, V] {
	return Record[K, V]{Key: key, Timestamp: timestamp, null: nullValue}
}

// HasKey reports whether the key is not null.
func (r *Record[K, V]) HasKey() bool { return r.null&nullKey == 0 }

// HasValue reports whether the value is not null.
func (r *Record[K, V]) HasValue() bool { return r.null&nullValue == 0 }

// WithoutKey returns r with a null key.
func (r Record[K, V]) WithoutKey() Record[K, V] {
	var zero K
	r.Key, r.null = zero, r.null|nullKey
	return r
}

// WithoutValue returns r with a null value.
func (r Record[K, V]) WithoutValue() Record[K, V] {
	var zero V
	r.Value, r.null = zero, r.null|nullValue
	return r
}

// WithKey returns r with another key, present. Time, headers and value stay.
func WithKey[K2, K, V any](r Record[K, V], key K2) Record[K2, V] {
	return Record[K2, V]{Key: key, Value: r.Value, Timestamp: r.Timestamp, Headers: r.Headers, null: r.null &^ nullKey}
}

// WithValue returns r with another value, present. Time, headers and key stay.
func WithValue[V2, K, V any](r Record[K, V], value V2) Record[K, V2] {
	return Record[K, V2]{Key: r.Key, Value: value, Timestamp: r.Timestamp, Headers: r.Headers, null: r.null &^ nullValue}
}

// SetValue sets out to r with another value, present: WithValue for operators, where the copies of a record that returning it
// costs are half the work.
func SetValue[V2, K, V any](out *Record[K, V2], r *Record[K, V], value V2) {
	out.Key, out.Value = r.Key, value
	out.Timestamp, out.Headers, out.null = r.Timestamp, r.Headers, r.null&^nullValue
}

// SetKey sets out to r with another key, present: WithKey for operators, see SetValue.
func SetKey[K2, K, V any](out *Record[K2, V], r *Record[K, V], key K2) {
	out.Key, out.Value = key, r.Value
	out.Timestamp, out.Headers, out.null = r.Timestamp, r.Headers, r.null&^nullKey
}

// WithoutValueAs returns r as a tombstone of another value type.
func WithoutValueAs[V2, K, V any](r Record[K, V]) Record[K, V2] {
	return Record[K, V2]{Key: r.Key, Timestamp: r.Timestamp, Headers: r.Headers, null: r.null | nullValue}
}

// Emit receives a record: the only edge between nodes. Errors do not travel back along it: a node hands them to
// Scope.Fail, where they stick in the task.
type Emit[K, V any] func(Record[K, V])

// Raw is a record as bytes: what a source reads and a sink writes. A nil Key or Value is null; an empty one is not nil. All
// slices belong to the giver and are valid until its next call: who keeps them copies them.
type Raw struct {
	Key, Value []byte
	Timestamp  int64 // milliseconds since the epoch
	Offset     int64 // of an input record; unused on output
	Headers    []Header
}
