package window

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/millrace-io/millrace/serde"
)

// Windowed is a key in a window: the key of a windowed aggregate. Start and End are in milliseconds since the epoch.
type Windowed[K any] struct {
	Key        K
	Start, End int64
}

// StartTime returns the start of the window, in UTC.
func (w Windowed[K]) StartTime() time.Time { return time.UnixMilli(w.Start).UTC() }

// EndTime returns the end of the window, in UTC; the window does not include it.
func (w Windowed[K]) EndTime() time.Time { return time.UnixMilli(w.End).UTC() }

// End returns the end of a window of size milliseconds that begins at start. It stops at the end of time.
func End(start, size int64) int64 {
	if end := start + size; end >= start {
		return end
	}
	return math.MaxInt64
}

// startBytes is what a time-windowed key has after the inner key: the start, big endian.
const startBytes = 8

// KeySerde returns the serde of a time-windowed key in Kafka's format: the inner key's bytes, then the window's start in
// eight bytes. The end is not written, so the reader must be told the windows' size.
//
// A sink with this key serde partitions by the inner key alone, so that all windows of a key are in one partition (as
// Kafka's WindowedStreamPartitioner does).
func KeySerde[K any](inner serde.Serde[K], size time.Duration) serde.Serde[Windowed[K]] {
	return keySerde[K]{inner: inner, size: size.Milliseconds()}
}

type keySerde[K any] struct {
	inner serde.Serde[K]
	size  int64
}

func (s keySerde[K]) Append(dst []byte, w Windowed[K]) ([]byte, error) {
	if w.Start < 0 {
		return dst, fmt.Errorf("encode windowed key: window start %d is before the epoch", w.Start)
	}
	out, err := s.inner.Append(dst, w.Key)
	if err != nil {
		return dst, fmt.Errorf("encode windowed key: %w", err)
	}
	return binary.BigEndian.AppendUint64(out, uint64(w.Start)), nil
}

func (s keySerde[K]) Decode(src []byte) (Windowed[K], error) {
	n := len(src) - startBytes
	if n < 0 {
		return Windowed[K]{}, fmt.Errorf("decode windowed key: %d bytes, want the key and %d bytes of window start", len(src), startBytes)
	}
	start := int64(binary.BigEndian.Uint64(src[n:]))
	if start < 0 {
		return Windowed[K]{}, errors.New("decode windowed key: window start is before the epoch")
	}
	key, err := s.inner.Decode(src[:n])
	if err != nil {
		return Windowed[K]{}, fmt.Errorf("decode windowed key: %w", err)
	}
	return Windowed[K]{Key: key, Start: start, End: End(start, s.size)}, nil
}

// DecodeAliases reports what the inner serde says of itself.
func (s keySerde[K]) DecodeAliases() bool { return serde.Aliases(s.inner) }

// PartitionBytes returns the part of an encoded key that a sink partitions by: the inner key.
func (s keySerde[K]) PartitionBytes(encoded []byte) []byte {
	return encoded[:max(0, len(encoded)-startBytes)]
}
