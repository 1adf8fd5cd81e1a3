package batch

import "encoding/binary"

// Build makes an uncompressed batch from records, as a producer would. Records' offsets are ignored: they are numbered from
// h.BaseOffset. h's Length, LastOffsetDelta, BaseTimestamp, MaxTimestamp and Count are computed, the rest is taken from it.
// It serves tests and tools; the broker stores what producers built.
func Build(h Header, records []Record) []byte {
	raw := make([]byte, HeaderSize, HeaderSize+64*len(records))
	h.Count, h.LastOffsetDelta = int32(len(records)), int32(max(0, len(records)-1))
	h.MaxTimestamp = NoTimestamp
	if len(records) > 0 {
		h.BaseTimestamp = records[0].Timestamp
	}
	var body []byte
	for i, r := range records {
		body = append(body[:0], 0)
		body = binary.AppendVarint(body, r.Timestamp-h.BaseTimestamp)
		body = binary.AppendVarint(body, int64(i))
		body = appendBytes(body, r.Key)
		body = appendBytes(body, r.Value)
		body = append(body, 0)
		raw = binary.AppendVarint(raw, int64(len(body)))
		raw = append(raw, body...)
		h.MaxTimestamp = max(h.MaxTimestamp, r.Timestamp)
	}
	h.Length = int32(len(raw) - PrefixSize)
	h.put(raw)
	return raw
}

// Attrs makes the attributes of a batch that is to be built.
func Attrs(transactional, control, logAppendTime bool) (a Attributes) {
	if transactional {
		a |= attrTransactional
	}
	if control {
		a |= attrControl
	}
	if logAppendTime {
		a |= attrLogAppendTime
	}
	return a
}

func appendBytes(dst, b []byte) []byte {
	if b == nil {
		return binary.AppendVarint(dst, -1)
	}
	return append(binary.AppendVarint(dst, int64(len(b))), b...)
}
