// Package murmur3 is the 128-bit Murmur3 hash for 64-bit machines, as Kafka Streams uses it for the values of a foreign-key join.
package murmur3

import (
	"encoding/binary"
	"math/bits"
)

const (
	c1   = 0x87c37b91114253d5
	c2   = 0x4cf5ad432745937f
	seed = 104729 // Kafka's
)

// Sum returns the hash of data, two numbers, each big endian.
func Sum(data []byte) [16]byte {
	h1, h2 := uint64(seed), uint64(seed)
	tail := data
	for ; len(tail) >= 16; tail = tail[16:] {
		h1 ^= mix1(binary.LittleEndian.Uint64(tail))
		h1 = bits.RotateLeft64(h1, 27) + h2
		h1 = h1*5 + 0x52dce729
		h2 ^= mix2(binary.LittleEndian.Uint64(tail[8:]))
		h2 = bits.RotateLeft64(h2, 31) + h1
		h2 = h2*5 + 0x38495ab5
	}
	var last [16]byte
	copy(last[:], tail)
	h2 ^= mix2(binary.LittleEndian.Uint64(last[8:])) // of no bytes: 0
	h1 ^= mix1(binary.LittleEndian.Uint64(last[:]))
	h1 ^= uint64(len(data))
	h2 ^= uint64(len(data))
	h1 += h2
	h2 += h1
	h1, h2 = finish(h1), finish(h2)
	h1 += h2
	h2 += h1
	var sum [16]byte
	binary.BigEndian.PutUint64(sum[:], h1)
	binary.BigEndian.PutUint64(sum[8:], h2)
	return sum
}

func mix1(k uint64) uint64 { return bits.RotateLeft64(k*c1, 31) * c2 }

func mix2(k uint64) uint64 { return bits.RotateLeft64(k*c2, 33) * c1 }

func finish(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
