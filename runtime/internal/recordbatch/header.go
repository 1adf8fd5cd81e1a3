package recordbatch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
)

var (
	errLength     = errors.New("length is smaller than a batch header")
	errChecksum   = errors.New("checksum does not match")
	errOffsets    = errors.New("offsets run backwards")
	errCount      = errors.New("more records than offsets or bytes")
	errIncomplete = errors.New("no complete record batch")
)

// header is the header of one batch, as far as reading needs it.
type header struct {
	baseOffset      int64
	leaderEpoch     int32
	attributes      uint16
	lastOffsetDelta int32
	baseTimestamp   int64
	maxTimestamp    int64
	producerID      int64
	count           int32
}

func (h *header) end() int64          { return h.baseOffset + int64(h.lastOffsetDelta) + 1 }
func (h *header) codec() Codec        { return Codec(h.attributes & attrCodec) }
func (h *header) transactional() bool { return h.attributes&attrTransactional != 0 }
func (h *header) control() bool       { return h.attributes&attrControl != 0 }
func (h *header) logAppendTime() bool { return h.attributes&attrLogAppendTime != 0 }

// frame returns the first batch of src, with its frame, and what follows it. ok is false if the batch is incomplete.
func frame(src []byte) (batch, rest []byte, ok bool, err error) {
	if len(src) <= posMagic {
		return nil, nil, false, nil
	}
	if m := src[posMagic]; m != magic2 {
		return nil, nil, false, fmt.Errorf("format %d is not supported, only %d", m, magic2)
	}
	length := int64(int32(binary.BigEndian.Uint32(src[posLength:])))
	if length < HeaderBytes-frameBytes {
		return nil, nil, false, errLength
	}
	total := frameBytes + length
	if total > int64(len(src)) {
		return nil, nil, false, nil
	}
	return src[:total:total], src[total:], true, nil
}

func parseHeader(batch []byte) header {
	be := binary.BigEndian
	return header{
		baseOffset:      int64(be.Uint64(batch[posBaseOffset:])),
		leaderEpoch:     int32(be.Uint32(batch[posLeaderEpoch:])),
		attributes:      be.Uint16(batch[posAttributes:]),
		lastOffsetDelta: int32(be.Uint32(batch[posLastOffsetDelta:])),
		baseTimestamp:   int64(be.Uint64(batch[posBaseTimestamp:])),
		maxTimestamp:    int64(be.Uint64(batch[posMaxTimestamp:])),
		producerID:      int64(be.Uint64(batch[posProducerID:])),
		count:           int32(be.Uint32(batch[posCount:])),
	}
}

// checkHeader reads the header of a complete batch and checks what can be checked without its records.
func checkHeader(batch []byte) (header, error) {
	h := parseHeader(batch)
	switch {
	case crc32.Checksum(batch[posAttributes:], castagnoli) != binary.BigEndian.Uint32(batch[posCRC:]):
		return h, errChecksum
	case h.baseOffset < 0 || h.lastOffsetDelta < 0 || h.baseOffset > math.MaxInt64-int64(h.lastOffsetDelta)-1:
		return h, errOffsets
	case h.count < 0 || int64(h.count) > int64(h.lastOffsetDelta)+1: // fewer than offsets: compacted
		return h, errCount
	case h.codec() == None && int64(h.count) > int64(len(batch)-HeaderBytes):
		return h, errCount
	}
	return h, nil
}

// abortMarker reports whether a control batch ends a transaction by aborting it. The key of a control record is a
// version and a type, two bytes each: 0 abort, 1 commit.
func abortMarker(batch []byte) bool {
	rec, ok := firstRecord(batch[HeaderBytes:])
	return ok && len(rec.key) >= 4 && binary.BigEndian.Uint16(rec.key[2:]) == 0
}
