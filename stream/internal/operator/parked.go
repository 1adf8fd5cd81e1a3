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

// A list of parked values is Kafka Streams' list of values of variable size: 1, count (4), and for each one its length (4), side
// (1) and bytes.
const (
	variableSize = 1
	listHeader   = 5
)

var errParked = errors.New("decode list of unmatched values")

// appendParked adds a value to a list, which may be nil.
func appendParked[V any](list []byte, left bool, vs serde.Serde[V], v V) ([]byte, error) {
	if len(list) == 0 {
		list = append(list, variableSize, 0, 0, 0, 0)
	}
	if len(list) < listHeader {
		return list, errParked
	}
	n := len(list)
	out := append(list, 0, 0, 0, 0, side(left))
	out, err := vs.Append(out, v)
	if err != nil {
		return list, err
	}
	binary.BigEndian.PutUint32(out[n:], uint32(len(out)-n-4))
	binary.BigEndian.PutUint32(out[1:], binary.BigEndian.Uint32(out[1:])+1)
	return out, nil
}

// manyParked reports whether a list has more than one value.
func manyParked(list []byte) bool {
	return len(list) >= listHeader && binary.BigEndian.Uint32(list[1:]) > 1
}

// eachParked calls f with the bytes of each value of a list.
func eachParked(list []byte, f func(value []byte) error) error {
	if len(list) < listHeader || list[0] != variableSize {
		return errParked
	}
	count := binary.BigEndian.Uint32(list[1:])
	list = list[listHeader:]
	for range count {
		if len(list) < 5 {
			return errParked
		}
		n := binary.BigEndian.Uint32(list)
		list = list[4:]
		if n == 0 || uint64(n) > uint64(len(list)) {
			return errParked
		}
		if err := f(list[1:n]); err != nil {
			return err
		}
		list = list[n:]
	}
	if len(list) > 0 {
		return errParked
	}
	return nil
}
