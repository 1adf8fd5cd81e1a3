package main

import (
	"encoding/binary"
)

// Everything that is written is a function of a seed and a number n = 0, 1, 2 …: SplitMix64, so that any language can make the same
// records. README.md has it in words, data_test.go the SHA-256 of what comes out.
const (
	streamSeed = 42
	tableSeed  = 43
	rightSeed  = 44 // of the other side of a stream-stream join

	keyBytes   = 16
	valueBytes = 100
	// firstMillis is the event time of record 0: 2023-11-14T22:13:20Z.
	firstMillis     = 1_700_000_000_000
	recordsPerMilli = 10
)

// mix is the finaliser of SplitMix64.
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// random is output n of SplitMix64 started at seed.
func random(seed uint64, n int64) uint64 {
	return mix(seed + uint64(n+1)*0x9E3779B97F4A7C15)
}

// appendKey appends the prefix of four bytes and i in twelve digits.
func appendKey(dst []byte, prefix string, i int64) []byte {
	var digits [keyBytes - 4]byte
	for d := len(digits) - 1; d >= 0; d-- {
		digits[d] = byte('0' + i%10)
		i /= 10
	}
	return append(append(dst, prefix...), digits[:]...)
}

const (
	firstPrefix  = "key-"
	secondPrefix = "sec-"
)

// appendValue appends value n: n, x = random(seed, n), and random(x, 0), random(x, 1) … up to valueBytes.
func appendValue(dst []byte, seed uint64, n int64) []byte {
	end := len(dst) + valueBytes
	x := random(seed, n)
	dst = binary.BigEndian.AppendUint64(dst, uint64(n))
	dst = binary.BigEndian.AppendUint64(dst, x)
	for word := int64(0); len(dst) < end; word++ {
		dst = binary.BigEndian.AppendUint64(dst, random(x, word))
	}
	return dst[:end]
}

func keyIndex(seed uint64, n, keys int64) int64 { return int64(random(seed, n) % uint64(keys)) }

func eventTime(n int64) int64 { return firstMillis + n/recordsPerMilli }

// secondIndex is the key of the repartition case, which comes from the value alone.
func secondIndex(value []byte) int64 {
	return int64(binary.BigEndian.Uint64(value[8:])>>32) % secondKeys
}

// record is one record of an input.
type record struct {
	key, value []byte
	timestamp  int64
}

// input is one topic that is written before a run.
type input struct {
	topic   string
	records int64
	compact bool
	at      func(n int64) record
}

// streamInput is a topic of records in the order of their times, with random keys.
func streamInput(topic string, seed uint64, records, keys int64) input {
	return input{topic: topic, records: records, at: func(n int64) record {
		return record{
			key:       appendKey(make([]byte, 0, keyBytes), firstPrefix, keyIndex(seed, n, keys)),
			value:     appendValue(make([]byte, 0, valueBytes+8), seed, n),
			timestamp: eventTime(n),
		}
	}}
}

// tableInput is a topic of rows, older than every record of a stream.
func tableInput(topic string, rows int64) input {
	return input{topic: topic, records: rows, compact: true, at: func(n int64) record {
		return record{
			key:       appendKey(make([]byte, 0, keyBytes), firstPrefix, n),
			value:     appendValue(make([]byte, 0, valueBytes+8), tableSeed, n),
			timestamp: firstMillis - 1,
		}
	}}
}

// changelogInput is the changelog of a store of counts: each key once, shuffled; key i has the count i + 1.
func changelogInput(topic string, records int64) input {
	order := shuffled{limit: records}
	return input{topic: topic, records: records, compact: true, at: func(n int64) record {
		i := order.next()
		return record{
			key:       appendKey(make([]byte, 0, keyBytes), firstPrefix, i),
			value:     binary.BigEndian.AppendUint64(nil, uint64(i+1)),
			timestamp: eventTime(n),
		}
	}}
}

// shuffled gives the numbers below limit, each once, in the order of a permutation of all numbers of 24 bits.
type shuffled struct{ limit, at int64 }

const shuffledBits = 24

func (s *shuffled) next() int64 {
	const mask = 1<<shuffledBits - 1
	for {
		x := s.at & mask
		s.at++
		x = (x ^ x>>12) * 0x9E3779B1 & mask
		x = (x ^ x>>12) * 0x85EBCA6B & mask
		if x ^= x >> 12; x < s.limit {
			return x
		}
	}
}
