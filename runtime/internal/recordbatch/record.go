package recordbatch

import (
	"encoding/binary"
	"errors"
)

var errRecord = errors.New("record does not fit its length")

// record is one record as encoded, its headers still to be read.
type record struct {
	timestampDelta int64
	offsetDelta    int64
	key, value     []byte
	headerCount    int64
	headers        []byte
}

// readRecord reads the first record of src.
func readRecord(src []byte, rec *record) (rest []byte, ok bool) {
	n, src, ok := readVarint(src)
	if !ok || n < 1 || n > int64(len(src)) {
		return nil, false
	}
	body, rest := src[1:n], src[n:] // [0] are attributes, unused
	if rec.timestampDelta, body, ok = readVarint(body); !ok {
		return nil, false
	}
	if rec.offsetDelta, body, ok = readVarint(body); !ok {
		return nil, false
	}
	if rec.key, body, ok = readBytes(body); !ok {
		return nil, false
	}
	if rec.value, body, ok = readBytes(body); !ok {
		return nil, false
	}
	if rec.headerCount, body, ok = readVarint(body); !ok || rec.headerCount < 0 || rec.headerCount > int64(len(body)/2) {
		return nil, false // a header has at least two bytes
	}
	rec.headers = body
	return rest, rec.headerCount > 0 || len(body) == 0
}

func firstRecord(src []byte) (record, bool) {
	var rec record
	_, ok := readRecord(src, &rec)
	return rec, ok
}

// readVarint reads a zigzag varint.
func readVarint(src []byte) (v int64, rest []byte, ok bool) {
	if len(src) > 0 && src[0] < 0x80 {
		return unzigzag(uint64(src[0])), src[1:], true
	}
	u, n := binary.Uvarint(src)
	if n <= 0 {
		return 0, nil, false
	}
	return unzigzag(u), src[n:], true
}

// readBytes reads a length and as many bytes; length -1 is nil.
func readBytes(src []byte) (b, rest []byte, ok bool) {
	n, src, ok := readVarint(src)
	if !ok || n > int64(len(src)) {
		return nil, nil, false
	}
	if n < 0 {
		return nil, src, n == -1
	}
	return src[:n:n], src[n:], true
}
