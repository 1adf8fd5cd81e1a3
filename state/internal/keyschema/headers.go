package keyschema

import (
	"encoding/binary"

	"github.com/millrace-io/millrace/serde"
)

// AppendHeaders appends headers as Kafka Streams keeps them in front of a value (KIP-1271): the size of what follows, the number of
// headers, and for each the length of its key, the key, the length of its value, -1 if that is null, and the value. Numbers are zigzag
// varints. No headers are the size 0 alone.
func AppendHeaders(dst []byte, headers []serde.Header) []byte {
	if len(headers) == 0 {
		return append(dst, 0)
	}
	size := varintLen(int64(len(headers)))
	for _, h := range headers {
		size += varintLen(int64(len(h.Key))) + len(h.Key) + varintLen(nullableLen(h.Value)) + len(h.Value)
	}
	dst = binary.AppendVarint(dst, int64(size))
	dst = binary.AppendVarint(dst, int64(len(headers)))
	for _, h := range headers {
		dst = append(binary.AppendVarint(dst, int64(len(h.Key))), h.Key...)
		dst = append(binary.AppendVarint(dst, nullableLen(h.Value)), h.Value...)
	}
	return dst
}

func varintLen(n int64) int {
	var b [binary.MaxVarintLen64]byte
	return binary.PutVarint(b[:], n)
}

// nullableLen returns the length of b, -1 if it is nil.
func nullableLen(b []byte) int64 {
	if b == nil {
		return -1
	}
	return int64(len(b))
}

// CutHeaders cuts what AppendHeaders wrote off the front of b: its bytes, the size included, and what follows.
func CutHeaders(b []byte) (headers, rest []byte, err error) {
	size, n := binary.Varint(b)
	if n <= 0 || size < 0 || size > int64(len(b)-n) {
		return nil, nil, ErrFormat
	}
	end := n + int(size)
	return b[:end:end], b[end:], nil
}

// ParseHeaders reads what AppendHeaders wrote. Its values are copies.
func ParseHeaders(b []byte) ([]serde.Header, error) {
	size, n := binary.Varint(b)
	if n <= 0 || size != int64(len(b)-n) {
		return nil, ErrFormat
	}
	if size == 0 {
		return nil, nil
	}
	r := varintReader{b: b[n:]}
	const least = 2 // bytes that a header takes
	count := r.number()
	if count < 0 || count > int64(len(r.b))/least {
		return nil, ErrFormat
	}
	var list []serde.Header // none is nil, however it was written
	if count > 0 {
		list = make([]serde.Header, 0, count)
	}
	for range count {
		h := serde.Header{Key: string(r.take(r.number()))}
		if length := r.number(); length != -1 {
			h.Value = append([]byte{}, r.take(length)...)
		}
		list = append(list, h)
	}
	if r.bad || len(r.b) > 0 {
		return nil, ErrFormat
	}
	return list, nil
}

// varintReader cuts fields off b. It remembers that there were too few bytes.
type varintReader struct {
	b   []byte
	bad bool
}

func (r *varintReader) number() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *varintReader) take(n int64) []byte {
	if n < 0 || n > int64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}
