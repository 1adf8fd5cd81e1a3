package window

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-io/millrace/serde"
)

// Session says what a session is: the records of a key that follow one another with no gap of inactivity. A session goes from its first
// record to its last one, both included; a late record may join two sessions into one. It stands for Kafka Streams'
// SessionWindows. The zero Session is not valid; make one by [Sessions].
type Session struct{ gap, grace time.Duration }

// Sessions returns sessions that end when no record comes for longer than gap, in whole milliseconds, at least one. The grace period is
// zero until set.
func Sessions(gap time.Duration) Session { return Session{gap: gap} }

// Grace returns the same sessions with a grace period: how long after its gap, in the operator's stream time, a session still takes
// records.
func (w Session) Grace(d time.Duration) Session {
	w.grace = d
	return w
}

// Gap returns the gap.
func (w Session) Gap() time.Duration { return w.gap }

// GracePeriod returns the grace period.
func (w Session) GracePeriod() time.Duration { return w.grace }

// Keep returns how long a store must keep a session after its end: gap and grace period.
func (w Session) Keep() time.Duration { return w.gap + w.grace }

// Validate returns all that is wrong with the sessions. The stream builder calls it.
func (w Session) Validate() error {
	return errors.Join(millis("gap", w.gap, 1), millis("grace", w.grace, 0))
}

// SessionKeySerde returns the serde of a session's key in Kafka's format: the inner key's bytes, then the session's end and its start
// in eight bytes each. A sink with it partitions by the inner key alone, as one with [KeySerde] does.
func SessionKeySerde[K any](inner serde.Serde[K]) serde.Serde[Windowed[K]] {
	return sessionSerde[K]{inner}
}

type sessionSerde[K any] struct{ inner serde.Serde[K] }

const sessionBytes = 2 * startBytes

func (s sessionSerde[K]) Append(dst []byte, w Windowed[K]) ([]byte, error) {
	if w.Start < 0 || w.End < w.Start {
		return dst, fmt.Errorf("encode session key: it goes from %d to %d", w.Start, w.End)
	}
	out, err := s.inner.Append(dst, w.Key)
	if err != nil {
		return dst, fmt.Errorf("encode session key: %w", err)
	}
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(out, uint64(w.End)), uint64(w.Start)), nil
}

func (s sessionSerde[K]) Decode(src []byte) (Windowed[K], error) {
	n := len(src) - sessionBytes
	if n < 0 {
		return Windowed[K]{}, fmt.Errorf("decode session key: %d bytes, want the key and %d bytes of end and start", len(src), sessionBytes)
	}
	end, start := int64(binary.BigEndian.Uint64(src[n:])), int64(binary.BigEndian.Uint64(src[n+startBytes:]))
	if start < 0 || end < start {
		return Windowed[K]{}, fmt.Errorf("decode session key: it goes from %d to %d", start, end)
	}
	key, err := s.inner.Decode(src[:n])
	if err != nil {
		return Windowed[K]{}, fmt.Errorf("decode session key: %w", err)
	}
	return Windowed[K]{Key: key, Start: start, End: end}, nil
}

// DecodeAliases reports what the inner serde says of itself.
func (s sessionSerde[K]) DecodeAliases() bool { return serde.Aliases(s.inner) }

// PartitionBytes returns the part of an encoded key that a sink partitions by: the inner key.
func (s sessionSerde[K]) PartitionBytes(encoded []byte) []byte {
	return encoded[:max(0, len(encoded)-sessionBytes)]
}
