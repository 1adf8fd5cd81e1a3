package recordbatch

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"
)

// Positions in a batch of format 2. The CRC covers everything from the attributes on.
const (
	posBaseOffset      = 0
	posLength          = 8
	posLeaderEpoch     = 12
	posMagic           = 16
	posCRC             = 17
	posAttributes      = 21
	posLastOffsetDelta = 23
	posBaseTimestamp   = 27
	posMaxTimestamp    = 35
	posProducerID      = 43
	posProducerEpoch   = 51
	posBaseSequence    = 53
	posCount           = 57

	// HeaderBytes is the size of a batch without records.
	HeaderBytes = 61

	frameBytes = posLeaderEpoch // base offset and length, which the length does not count
	magic2     = 2
)

// Attribute bits.
const (
	attrCodec         = 0x07
	attrLogAppendTime = 0x08
	attrTransactional = 0x10
	attrControl       = 0x20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// uvarintLen returns how many bytes the varint of u takes: one for each seven bits.
func uvarintLen(u uint64) int { return (bits.Len64(u|1)*9 + 64) >> 6 }

// putUvarint writes u at b[i:], which has room for it, and returns the position after it. The loop is elsewhere so that
// the usual case, one byte, is inlined.
func putUvarint(b []byte, i int, u uint64) int {
	if u < 0x80 {
		b[i] = byte(u)
		return i + 1
	}
	return putLongUvarint(b, i, u)
}

func putLongUvarint(b []byte, i int, u uint64) int {
	for u >= 0x80 {
		b[i] = byte(u) | 0x80
		u >>= 7
		i++
	}
	b[i] = byte(u)
	return i + 1
}

// readUvarint reads the varint at b[i:] and returns the position after it, negative if there is none. As putUvarint.
func readUvarint(b []byte, i int) (uint64, int) {
	if i < len(b) && b[i] < 0x80 {
		return uint64(b[i]), i + 1
	}
	return readLongUvarint(b, i)
}

func readLongUvarint(b []byte, i int) (uint64, int) {
	if i+1 < len(b) && b[i+1] < 0x80 {
		return uint64(b[i]&0x7f) | uint64(b[i+1])<<7, i + 2
	}
	u, n := binary.Uvarint(b[min(i, len(b)):])
	if n <= 0 {
		return 0, -1
	}
	return u, i + n
}

func zigzag(v int64) uint64   { return uint64(v<<1) ^ uint64(v>>63) }
func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }
