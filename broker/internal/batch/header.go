package batch

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Sizes and constants of the format. HeaderSize is the length of a batch without records.
const (
	HeaderSize  = 61
	PrefixSize  = 12 // base offset and length: what has to be read to know where the batch ends
	crcStart    = 21
	Magic       = 2
	NoTimestamp = -1
	// NoSequence is the sequence number of batches without one.
	NoSequence = -1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Attributes are the flags of a batch.
type Attributes int16

// Codec returns the compression codec.
func (a Attributes) Codec() Codec { return Codec(a & 7) }

// LogAppendTime reports whether the records' time is the broker's: the header's max timestamp.
func (a Attributes) LogAppendTime() bool { return a&attrLogAppendTime != 0 }

// Transactional reports whether the batch belongs to a transaction.
func (a Attributes) Transactional() bool { return a&attrTransactional != 0 }

// Control reports whether the batch holds markers and not records of a producer.
func (a Attributes) Control() bool { return a&attrControl != 0 }

// DeleteHorizon reports whether the base timestamp is the time after which tombstones and markers may go.
func (a Attributes) DeleteHorizon() bool { return a&attrDeleteHorizon != 0 }

const (
	attrLogAppendTime Attributes = 1 << 3
	attrTransactional Attributes = 1 << 4
	attrControl       Attributes = 1 << 5
	attrDeleteHorizon Attributes = 1 << 6
)

// Header is a batch's header.
type Header struct {
	BaseOffset      int64
	Length          int32 // of what follows it
	LeaderEpoch     int32
	CRC             uint32
	Attributes      Attributes
	LastOffsetDelta int32
	BaseTimestamp   int64
	MaxTimestamp    int64
	ProducerID      int64
	ProducerEpoch   int16
	BaseSequence    int32
	Count           int32
}

// Size returns the length of the whole batch.
func (h *Header) Size() int { return PrefixSize + int(h.Length) }

// LastOffset returns the offset of the last record.
func (h *Header) LastOffset() int64 { return h.BaseOffset + int64(h.LastOffsetDelta) }

// NextOffset returns the offset after the last record.
func (h *Header) NextOffset() int64 { return h.LastOffset() + 1 }

// LastSequence returns the sequence number of the last record. Sequences go from 2^31-1 to 0.
func (h *Header) LastSequence() int32 { return AddSequence(h.BaseSequence, h.LastOffsetDelta) }

// AddSequence returns the sequence number n >= 0 after seq, which is in 0..2^31-1.
func AddSequence(seq, n int32) int32 { return int32((uint32(seq) + uint32(n)) & 0x7fffffff) }

// PeekSize returns the length of the batch that begins with b, of which at least PrefixSize bytes must be there.
// The error wraps ErrCorrupt if no batch can have that length.
func PeekSize(b []byte) (int, error) {
	if len(b) < PrefixSize {
		return 0, fmt.Errorf("%w: %d bytes are no batch prefix", ErrCorrupt, len(b))
	}
	n := int32(binary.BigEndian.Uint32(b[8:]))
	if n < HeaderSize-PrefixSize {
		return 0, fmt.Errorf("%w: length %d", ErrCorrupt, n)
	}
	return PrefixSize + int(n), nil
}

// ParseHeader decodes the header of the batch that begins with b, which may hold more than the batch, or only its header.
// It checks what can be checked without the records: magic, length, and that the counts are not negative.
// The error wraps ErrCorrupt, with ErrNumbers if that is all, or ErrMagic.
func ParseHeader(b []byte) (Header, error) {
	if len(b) < HeaderSize {
		if len(b) > 16 && b[16] != Magic {
			return Header{}, fmt.Errorf("%w: magic %d", ErrMagic, int8(b[16]))
		}
		return Header{}, fmt.Errorf("%w: %d bytes are no batch header", ErrCorrupt, len(b))
	}
	if b[16] != Magic {
		return Header{}, fmt.Errorf("%w: magic %d", ErrMagic, int8(b[16]))
	}
	be := binary.BigEndian
	h := Header{
		BaseOffset:      int64(be.Uint64(b)),
		Length:          int32(be.Uint32(b[8:])),
		LeaderEpoch:     int32(be.Uint32(b[12:])),
		CRC:             be.Uint32(b[17:]),
		Attributes:      Attributes(be.Uint16(b[21:])),
		LastOffsetDelta: int32(be.Uint32(b[23:])),
		BaseTimestamp:   int64(be.Uint64(b[27:])),
		MaxTimestamp:    int64(be.Uint64(b[35:])),
		ProducerID:      int64(be.Uint64(b[43:])),
		ProducerEpoch:   int16(be.Uint16(b[51:])),
		BaseSequence:    int32(be.Uint32(b[53:])),
		Count:           int32(be.Uint32(b[57:])),
	}
	if h.Length < HeaderSize-PrefixSize {
		return Header{}, fmt.Errorf("%w: length %d", ErrCorrupt, h.Length)
	}
	if h.LastOffsetDelta < 0 || h.Count < 0 {
		return h, fmt.Errorf("%w: %w: last offset delta %d, count %d", ErrCorrupt, ErrNumbers, h.LastOffsetDelta, h.Count)
	}
	if h.BaseOffset < 0 || h.NextOffset() < 0 {
		return h, fmt.Errorf("%w: %w: base offset %d", ErrCorrupt, ErrNumbers, h.BaseOffset)
	}
	return h, nil
}

// Verify checks the checksum of a whole batch. The error wraps ErrCorrupt.
func Verify(raw []byte, h *Header) error {
	if len(raw) != h.Size() {
		return fmt.Errorf("%w: %d bytes for a batch of %d", ErrCorrupt, len(raw), h.Size())
	}
	if got := crc32.Checksum(raw[crcStart:], castagnoli); got != h.CRC {
		return fmt.Errorf("%w: checksum %08x, stored %08x", ErrCorrupt, got, h.CRC)
	}
	return nil
}

// SetPlace writes the two fields that the broker assigns, which the checksum does not cover.
func SetPlace(raw []byte, h *Header, baseOffset int64, leaderEpoch int32) {
	binary.BigEndian.PutUint64(raw, uint64(baseOffset))
	binary.BigEndian.PutUint32(raw[12:], uint32(leaderEpoch))
	h.BaseOffset, h.LeaderEpoch = baseOffset, leaderEpoch
}

// SetMaxTimestamp writes the max timestamp and the kind of time, and the checksum anew.
func SetMaxTimestamp(raw []byte, h *Header, ts int64, logAppendTime bool) {
	h.MaxTimestamp = ts
	h.Attributes &^= attrLogAppendTime
	if logAppendTime {
		h.Attributes |= attrLogAppendTime
	}
	binary.BigEndian.PutUint16(raw[21:], uint16(h.Attributes))
	binary.BigEndian.PutUint64(raw[35:], uint64(ts))
	h.CRC = crc32.Checksum(raw[crcStart:], castagnoli)
	binary.BigEndian.PutUint32(raw[17:], h.CRC)
}

// PlaceChecksum returns a checksum of the 17 bytes that the batch's own one does not cover (S10), continuing from crc.
func PlaceChecksum(crc uint32, raw []byte) uint32 {
	return crc32.Update(crc, castagnoli, raw[:17])
}

// put writes h into raw[:HeaderSize], whatever raw's length says, with the checksum of raw's records.
func (h *Header) put(raw []byte) {
	be := binary.BigEndian
	be.PutUint64(raw, uint64(h.BaseOffset))
	be.PutUint32(raw[8:], uint32(h.Length))
	be.PutUint32(raw[12:], uint32(h.LeaderEpoch))
	raw[16] = Magic
	be.PutUint16(raw[21:], uint16(h.Attributes))
	be.PutUint32(raw[23:], uint32(h.LastOffsetDelta))
	be.PutUint64(raw[27:], uint64(h.BaseTimestamp))
	be.PutUint64(raw[35:], uint64(h.MaxTimestamp))
	be.PutUint64(raw[43:], uint64(h.ProducerID))
	be.PutUint16(raw[51:], uint16(h.ProducerEpoch))
	be.PutUint32(raw[53:], uint32(h.BaseSequence))
	be.PutUint32(raw[57:], uint32(h.Count))
	h.CRC = crc32.Checksum(raw[crcStart:], castagnoli)
	be.PutUint32(raw[17:], h.CRC)
}
