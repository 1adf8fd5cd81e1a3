package batch

import (
	"fmt"
	"math"
)

// Record is one record of a batch. Key and Value alias the batch, or the buffer it was unfolded into.
type Record struct {
	Offset    int64
	Timestamp int64
	Key       []byte // nil: null
	Value     []byte // nil: null
}

// Records walks over the records of one batch.
//
//	r, err := batch.NewRecords(raw, &h)
//	for r.Next() { use(r.Record()) }
//	err = r.Err()
type Records struct {
	h    *Header
	all  []byte // unfolded
	rest []byte
	n    int32
	rec  Record
	err  error
}

// NewRecords unfolds the records of a whole batch. The error wraps ErrCorrupt or ErrCodec.
func NewRecords(raw []byte, h *Header) (*Records, error) {
	if len(raw) != h.Size() {
		return nil, fmt.Errorf("%w: %d bytes for a batch of %d", ErrCorrupt, len(raw), h.Size())
	}
	data, err := decompress(h.Attributes.Codec(), raw[HeaderSize:], MaxDecompressed)
	if err != nil {
		return nil, err
	}
	return &Records{h: h, all: data, rest: data}, nil
}

// Next moves to the next record. It returns false at the end, and when the bytes are not what they should be: see Err.
func (r *Records) Next() bool {
	if r.err != nil || r.n == r.h.Count {
		if r.err == nil && len(r.rest) > 0 {
			r.err = fmt.Errorf("%w: %d bytes after the last record", ErrCorrupt, len(r.rest))
		}
		return false
	}
	f, n, ok := scanRecord(r.rest)
	if !ok {
		r.err = fmt.Errorf("%w: record %d is malformed", ErrCorrupt, r.n)
		return false
	}
	r.rec = Record{Offset: r.h.BaseOffset + int64(f.offsetDelta), Timestamp: r.h.BaseTimestamp + f.timestampDelta}
	if r.h.Attributes.LogAppendTime() {
		r.rec.Timestamp = r.h.MaxTimestamp
	}
	if f.keyLen >= 0 {
		r.rec.Key = r.rest[f.keyAt : f.keyAt+f.keyLen : f.keyAt+f.keyLen]
	}
	if f.valueLen >= 0 {
		r.rec.Value = r.rest[f.valueAt : f.valueAt+f.valueLen : f.valueAt+f.valueLen]
	}
	r.rest = r.rest[n:]
	r.n++
	return true
}

// Record returns the record that Next moved to.
func (r *Records) Record() Record { return r.rec }

// Err returns why Next returned false, or nil at the end. It wraps ErrCorrupt.
func (r *Records) Err() error { return r.err }

// Scan is what a look at every record found.
type Scan struct {
	MinTimestamp int64 // math.MaxInt64 if there is no record
	MaxTimestamp int64 // NoTimestamp if there is no record
	NullKey      int   // index of the first record without a key, or -1
}

// ScanRecords looks at every record of a whole batch: that they are well formed, as many as the header says, numbered from 0
// without a gap. The error wraps ErrCorrupt or ErrCodec.
func ScanRecords(raw []byte, h *Header) (Scan, error) {
	s := Scan{MinTimestamp: math.MaxInt64, MaxTimestamp: NoTimestamp, NullKey: -1}
	rest, err := decompress(h.Attributes.Codec(), raw[HeaderSize:], MaxDecompressed)
	if err != nil {
		return s, err
	}
	for i := range h.Count {
		f, n, ok := scanRecord(rest)
		if !ok {
			return s, fmt.Errorf("%w: record %d is malformed", ErrCorrupt, i)
		}
		if f.offsetDelta != i {
			return s, fmt.Errorf("%w: record %d has offset delta %d", ErrCorrupt, i, f.offsetDelta)
		}
		if f.keyLen < 0 && s.NullKey < 0 {
			s.NullKey = int(i)
		}
		s.MinTimestamp = min(s.MinTimestamp, h.BaseTimestamp+f.timestampDelta)
		s.MaxTimestamp = max(s.MaxTimestamp, h.BaseTimestamp+f.timestampDelta)
		rest = rest[n:]
	}
	if len(rest) > 0 {
		return s, fmt.Errorf("%w: %d bytes after the last record", ErrCorrupt, len(rest))
	}
	return s, nil
}

// fields says where things are in a record's bytes. A length of -1 is null.
type fields struct {
	timestampDelta    int64
	afterTime         int // where what follows the timestamp begins
	offsetDelta       int32
	keyAt, keyLen     int
	valueAt, valueLen int
}

// scanRecord finds the fields of the record that b begins with, and its length.
func scanRecord(b []byte) (f fields, n int, ok bool) {
	size, at := varint(b, 0)
	if at < 0 || size < 1 || size > int64(len(b)-at) {
		return f, 0, false
	}
	end := at + int(size)
	b = b[:end]
	at++ // the attributes byte is unused
	if f.timestampDelta, at = varint(b, at); at < 0 {
		return f, 0, false
	}
	f.afterTime = at
	var v int64
	if v, at = varint(b, at); at < 0 || v < 0 || v > math.MaxInt32 {
		return f, 0, false
	}
	f.offsetDelta = int32(v)
	if f.keyAt, f.keyLen, at = scanBytes(b, at); at < 0 {
		return f, 0, false
	}
	if f.valueAt, f.valueLen, at = scanBytes(b, at); at < 0 {
		return f, 0, false
	}
	count, at := varint(b, at)
	if at < 0 || count < 0 || count > int64(len(b)) {
		return f, 0, false
	}
	for range count {
		var keyLen int
		if _, keyLen, at = scanBytes(b, at); at < 0 || keyLen < 0 {
			return f, 0, false
		}
		if _, _, at = scanBytes(b, at); at < 0 {
			return f, 0, false
		}
	}
	return f, end, at == end
}

// scanBytes finds a length-prefixed field. next is -1 if it is malformed.
func scanBytes(b []byte, at int) (start, size, next int) {
	v, start := varint(b, at)
	if start < 0 || v < -1 || v > int64(len(b)-start) {
		return 0, 0, -1
	}
	if v < 0 {
		return start, -1, start
	}
	return start, int(v), start + int(v)
}

// varint decodes a zigzag varint at b[at:], and returns where it ends, or -1. It stands here, and not encoding/binary's, since a
// scan spends its time in it.
func varint(b []byte, at int) (v int64, next int) {
	var u uint64
	for shift := uint(0); at < len(b) && shift < 64; shift += 7 {
		c := b[at]
		at++
		u |= uint64(c&0x7f) << shift
		if c < 0x80 {
			if shift == 63 && c > 1 {
				break // more than 64 bits
			}
			return int64(u>>1) ^ -int64(u&1), at
		}
	}
	return 0, -1
}
