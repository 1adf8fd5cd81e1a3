package operator

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/millrace-io/millrace/serde"
)

// parkedKey names the records of one side, key and time that a left or outer join has found no match for yet.
type parkedKey[K any] struct {
	time int64
	left bool
	key  K
}

// parkedKeys is Kafka Streams' format: time (8), side (1: 1 is the left one), key. So a store of them is sorted by time.
type parkedKeys[K any] struct{ key serde.Serde[K] }

const (
	rightSide = 0
	leftSide  = 1
	sideAt    = 8
)

func (s parkedKeys[K]) Append(dst []byte, k parkedKey[K]) ([]byte, error) {
	b := append(binary.BigEndian.AppendUint64(dst, uint64(k.time)), side(k.left))
	b, err := s.key.Append(b, k.key)
	if err != nil {
		return dst, err
	}
	return b, nil
}

func side(left bool) byte {
	if left {
		return leftSide
	}
	return rightSide
}

func (s parkedKeys[K]) Decode(src []byte) (k parkedKey[K], err error) {
	if len(src) <= sideAt || src[sideAt] > leftSide {
		return k, fmt.Errorf("decode key of an unmatched record: %x", src)
	}
	k.time, k.left = int64(binary.BigEndian.Uint64(src)), src[sideAt] == leftSide
	k.key, err = s.key.Decode(src[sideAt+1:])
	return k, err
}

func (s parkedKeys[K]) DecodeAliases() bool { return serde.Aliases(s.key) }

// appendParked appends a parked value as Kafka Streams keeps it in a list: side (1), bytes.
func appendParked[V any](dst []byte, left bool, vs serde.Serde[V], v V) ([]byte, error) {
	return vs.Append(append(dst, side(left)), v)
}

var errParked = errors.New("an unmatched value has no bytes, not even its side's")

// parkedValue returns the value's own bytes.
func parkedValue(entry []byte) ([]byte, error) {
	if len(entry) == 0 {
		return nil, errParked
	}
	return entry[1:], nil
}
