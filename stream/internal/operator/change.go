package operator

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
)

// Changes is the form of a table's changes in a repartition topic, Kafka's (D-46): the values, and behind them one byte that
// says which there are. Of two the first has its length in front.
func Changes[V any](value serde.Serde[V]) serde.Serde[state.Change[V]] {
	return changeSerde[V]{value}
}

type changeSerde[V any] struct{ value serde.Serde[V] }

const (
	onlyOld  = 0
	onlyNew  = 1
	newAfter = 2 // new and old
)

var errNoChange = errors.New("a change has neither a new nor an old value")

func (s changeSerde[V]) Append(dst []byte, c state.Change[V]) ([]byte, error) {
	n, isNew := c.New.Get()
	o, isOld := c.Old.Get()
	switch {
	case isNew && isOld:
		return s.appendBoth(dst, n, o)
	case isNew:
		return s.appendOne(dst, n, onlyNew)
	case isOld:
		return s.appendOne(dst, o, onlyOld)
	}
	return dst, errNoChange
}

func (s changeSerde[V]) appendOne(dst []byte, v V, flag byte) ([]byte, error) {
	b, err := s.value.Append(dst, v)
	if err != nil {
		return dst, err
	}
	return append(b, flag), nil
}

// appendBoth encodes the new value first and then makes room for its length, which is known only then.
func (s changeSerde[V]) appendBoth(dst []byte, n, o V) ([]byte, error) {
	start := len(dst)
	b, err := s.value.Append(dst, n)
	if err != nil {
		return dst, err
	}
	var length [binary.MaxVarintLen64]byte
	size := len(b) - start
	w := binary.PutUvarint(length[:], uint64(size)<<1) // zigzag, as Kafka's ByteUtils.writeVarint
	b = append(b, length[:w]...)
	copy(b[start+w:], b[start:start+size])
	copy(b[start:], length[:w])
	if b, err = s.value.Append(b, o); err != nil {
		return dst, err
	}
	return append(b, newAfter), nil
}

func (s changeSerde[V]) Decode(src []byte) (c state.Change[V], err error) {
	if len(src) == 0 {
		return c, errors.New("decode change: no bytes")
	}
	c.Latest = true
	body := src[:len(src)-1]
	switch flag := src[len(src)-1]; flag {
	case onlyOld:
		c.Old, err = s.decode(body)
	case onlyNew:
		c.New, err = s.decode(body)
	case newAfter:
		zigzag, w := binary.Uvarint(body)
		if size := zigzag >> 1; w <= 0 || zigzag&1 != 0 || size > uint64(len(body)-w) {
			return c, fmt.Errorf("decode change: %d bytes do not hold the new value that they announce", len(src))
		}
		split := w + int(zigzag>>1)
		if c.New, err = s.decode(body[w:split]); err == nil {
			c.Old, err = s.decode(body[split:])
		}
	default:
		return c, fmt.Errorf("decode change: flag %d, want 0, 1 or 2", flag)
	}
	return c, err
}

func (s changeSerde[V]) decode(b []byte) (serde.Maybe[V], error) {
	v, err := s.value.Decode(b)
	if err != nil {
		return serde.None[V](), fmt.Errorf("decode change: %w", err)
	}
	return serde.Some(v), nil
}

// DecodeAliases implements serde.Aliaser.
func (s changeSerde[V]) DecodeAliases() bool {
	a, ok := s.value.(serde.Aliaser)
	return ok && a.DecodeAliases()
}
