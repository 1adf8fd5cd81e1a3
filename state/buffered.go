package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf16"
	"unsafe"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state/internal/keyschema"
)

// Buffered is what waits in a buffer: a change of a table, or a record of a stream as the change's new value. Timestamp, headers and
// Source are those of the last record that made it.
type Buffered[K, V any] struct {
	Key       K
	Change    Change[V]
	Timestamp int64 // event time in milliseconds since the epoch
	Headers   serde.Headers
	Source    Coordinates
}

// bufferedValue is what waits in a buffer, as bytes in Kafka Streams' form (version 3): the record's context (time, offset, topic,
// partition, headers), the value before all that is buffered, the old and the new value of the last change, and when it entered the buffer.
// Nil values are absent.
type bufferedValue struct {
	timestamp, offset int64
	topic             string
	partition         int32
	headers           []serde.Header
	prior, old, value []byte
	at                int64
	parts             parts // not among the bytes
}

const (
	noBytes   = -1 // in place of a length
	sameAsOld = -2 // of the old value: it is the prior one
)

var errBuffered = errors.New("decode buffered record")

func (v *bufferedValue) append(dst []byte) []byte {
	put32, put64 := binary.BigEndian.AppendUint32, binary.BigEndian.AppendUint64
	dst = put64(put64(dst, uint64(v.timestamp)), uint64(v.offset))
	if v.topic == "" {
		dst = put32(dst, math.MaxUint32)
	} else {
		dst = append(put32(dst, uint32(len(v.topic))), v.topic...)
	}
	dst = put32(put32(dst, uint32(v.partition)), uint32(len(v.headers)))
	for _, h := range v.headers {
		dst = append(put32(dst, uint32(len(h.Key))), h.Key...)
		dst = appendSized(dst, h.Value)
	}
	dst = appendSized(dst, v.prior)
	if same := sameAsOld; v.repeats() {
		dst = put32(dst, uint32(int32(same)))
	} else {
		dst = appendSized(dst, v.old)
	}
	return put64(appendSized(dst, v.value), uint64(v.at))
}

// repeats reports whether the old value is the prior one.
func (v *bufferedValue) repeats() bool {
	return v.old != nil && v.prior != nil && bytes.Equal(v.old, v.prior)
}

// appendSized appends the length of b, and b. Nil is absent.
func appendSized(dst, b []byte) []byte {
	if b == nil {
		return binary.BigEndian.AppendUint32(dst, math.MaxUint32)
	}
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(b))), b...)
}

// lastTopic keeps the name of the topic that was read last: most entries come from the same one.
type lastTopic string

func (l *lastTopic) of(name []byte) string {
	if string(name) != string(*l) {
		*l = lastTopic(name)
	}
	return string(*l)
}

// bytesOf returns the bytes of s, which must not be written, without a copy. They are never nil.
func bytesOf(s string) []byte {
	if s == "" {
		return []byte{}
	}
	return unsafe.Slice(unsafe.StringData(s), len(s))
}

// stringOf returns b, which must not be written any more, as a string without a copy.
func stringOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// splitBuffered reads what append wrote. Its slices share memory with b.
func splitBuffered(b []byte, topics *lastTopic) (v bufferedValue, err error) {
	r := bufferReader{b: b}
	v.timestamp, v.offset = r.long(), r.long()
	v.topic = topics.of(r.sized())
	v.partition = r.int()
	count := r.int()
	for range count {
		h := serde.Header{Key: string(r.sized()), Value: r.sized()}
		if r.bad {
			break // before a count out of nowhere makes work
		}
		v.headers = append(v.headers, h)
	}
	v.prior = r.sized()
	if n := r.int(); n == sameAsOld {
		v.old = v.prior
	} else {
		v.old = r.take(n)
	}
	v.value = r.sized()
	v.at = r.long()
	if r.bad || len(r.b) > 0 || count < 0 {
		return v, fmt.Errorf("%w of %d bytes: %w", errBuffered, len(b), keyschema.ErrFormat)
	}
	return v, nil
}

// bufferReader cuts fields off b. It reports at the end that there were too few bytes.
type bufferReader struct {
	b   []byte
	bad bool
}

func (r *bufferReader) cut(n int) []byte {
	if r.bad || n > len(r.b) {
		r.bad = true
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *bufferReader) long() int64 {
	b := r.cut(8)
	if r.bad {
		return 0
	}
	return int64(binary.BigEndian.Uint64(b))
}

func (r *bufferReader) int() int32 {
	b := r.cut(4)
	if r.bad {
		return 0
	}
	return int32(binary.BigEndian.Uint32(b))
}

func (r *bufferReader) sized() []byte { return r.take(r.int()) }

// take returns the next n bytes, nil for absent ones.
func (r *bufferReader) take(n int32) []byte {
	if n < noBytes {
		r.bad = true
	}
	if n < 0 {
		return nil
	}
	return r.cut(int(n))
}

// size is what the entry counts against a bound of bytes: Kafka Streams' measure, which is about what it takes in memory there.
func (v *bufferedValue) size(key int) int64 {
	const fixed = 8 + 8 + 8 + 4 // time in the buffer, timestamp, offset, partition
	n := fixed + key + units(v.topic) + len(v.prior) + len(v.value)
	if !v.repeats() {
		n += len(v.old)
	}
	for _, h := range v.headers {
		n += units(h.Key) + len(h.Value)
	}
	if v.parts.kept {
		n += v.partsSize()
	}
	return int64(n)
}

// units returns the length of a string in UTF-16.
func units(s string) (n int) {
	for _, r := range s {
		n += max(1, utf16.RuneLen(r))
	}
	return n
}

// bufferCodec is what encodes and decodes the parts of an entry. It belongs to a store.
type bufferCodec[V any] struct {
	vs     serde.Serde[V]
	copied bool // vs may alias what it decodes
	topics lastTopic
}

func newBufferCodec[V any](vs serde.Serde[V]) bufferCodec[V] {
	return bufferCodec[V]{vs: vs, copied: serde.Aliases(vs)}
}

// encode returns the bytes of a value in buf, which it grows, never nil if there is one.
func (c *bufferCodec[V]) encode(buf *[]byte, m serde.Maybe[V]) ([]byte, error) {
	v, ok := m.Get()
	if !ok {
		return nil, nil
	}
	if *buf == nil {
		*buf = []byte{}
	}
	b, err := c.vs.Append((*buf)[:0], v)
	if err == nil && len(b) > MaxValue {
		err = fmt.Errorf("%d bytes: %w", len(b), ErrTooLarge)
	}
	if err == nil {
		*buf = b
	}
	return b, err
}

func (c *bufferCodec[V]) decode(b []byte) (serde.Maybe[V], error) {
	if b == nil {
		return serde.None[V](), nil
	}
	if c.copied {
		b = bytes.Clone(b)
	}
	v, err := c.vs.Decode(b)
	if err != nil {
		return serde.None[V](), err
	}
	return serde.Some(v), nil
}

// context fills what is not a value.
func (v *bufferedValue) context(timestamp int64, h serde.Headers, from Coordinates) {
	v.timestamp, v.headers = timestamp, h.All()
	v.topic, v.partition, v.offset = from.Topic, from.Partition, from.Offset
}

// entry returns the decoded entry of key. Headers are copied.
func entryOf[K, V any](c *bufferCodec[V], key K, v *bufferedValue) (e Buffered[K, V], err error) {
	e.Key, e.Timestamp = key, v.timestamp
	e.Source = Coordinates{Topic: v.topic, Partition: v.partition, Offset: v.offset}
	for i := range v.headers {
		v.headers[i].Value = bytes.Clone(v.headers[i].Value)
	}
	e.Headers = serde.NewHeaders(v.headers)
	e.Change.Latest = true
	if e.Change.New, err = c.decode(v.value); err == nil {
		e.Change.Old, err = c.decode(v.old)
	}
	return e, err
}
