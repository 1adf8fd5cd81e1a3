package batch

import (
	"encoding/binary"
	"fmt"
)

// NoHorizon is the argument of Rewrite that leaves the delete horizon as it is.
const NoHorizon = -1

// Rewrite makes a batch with some of its records, those for whose index keep is true: at least one, and keep is as long as the
// batch has records. Offsets, sequence numbers, producer, codec, and the last offset and sequence number of the batch stay;
// the maximum timestamp becomes true for what is left. horizon, in milliseconds, is written as the time after which tombstones and
// markers may go (KIP-534), unless it is NoHorizon.
//
// It takes the bytes of what stays from r, which walked over the whole batch or not at all. The error wraps ErrCorrupt.
func (r *Records) Rewrite(keep []bool, horizon int64) ([]byte, error) {
	h := *r.h
	if len(keep) != int(h.Count) {
		return nil, fmt.Errorf("%w: %d records, not %d", ErrCorrupt, h.Count, len(keep))
	}
	shift := int64(0) // of timestamp deltas
	if horizon != NoHorizon {
		shift = h.BaseTimestamp - horizon
		h.Attributes |= attrDeleteHorizon
		h.BaseTimestamp = horizon
	}
	h.Count = 0
	maxTime := int64(NoTimestamp)
	body := make([]byte, 0, len(r.all))
	rest := r.all
	for i, k := range keep {
		f, n, ok := scanRecord(rest)
		if !ok {
			return nil, fmt.Errorf("%w: record %d is malformed", ErrCorrupt, i)
		}
		if k {
			h.Count++
			maxTime = max(maxTime, r.h.BaseTimestamp+f.timestampDelta)
			body = appendShifted(body, rest[:n], &f, shift)
		}
		rest = rest[n:]
	}
	if !h.Attributes.LogAppendTime() {
		h.MaxTimestamp = maxTime
	}
	body, err := compress(h.Attributes.Codec(), body)
	if err != nil {
		return nil, err
	}
	h.Length = int32(HeaderSize - PrefixSize + len(body))
	out := append(make([]byte, HeaderSize, HeaderSize+len(body)), body...)
	h.put(out)
	return out, nil
}

// appendShifted appends a record, with its timestamp delta moved.
func appendShifted(dst, raw []byte, f *fields, shift int64) []byte {
	if shift == 0 {
		return append(dst, raw...)
	}
	delta := f.timestampDelta + shift
	var scratch [binary.MaxVarintLen64]byte
	size := len(raw) - f.afterTime + 1 + binary.PutVarint(scratch[:], delta)
	dst = binary.AppendVarint(dst, int64(size))
	dst = append(dst, 0) // attributes
	dst = binary.AppendVarint(dst, delta)
	return append(dst, raw[f.afterTime:]...)
}

// Empty makes a batch without records that stands for raw: the same offsets, producer, epoch and sequence numbers. It keeps what
// recovering a producer's state needs, as Kafka's cleaner does.
func Empty(h *Header) []byte {
	e := *h
	e.Attributes &= attrLogAppendTime | attrTransactional | attrControl
	e.Length, e.Count, e.BaseTimestamp = HeaderSize-PrefixSize, 0, NoTimestamp
	out := make([]byte, HeaderSize)
	e.put(out)
	return out
}
