package batch

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy/xerial"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

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

// Compress returns an uncompressed batch with its records compressed, as a producer would. Like Build it serves tests and tools.
func Compress(raw []byte, codec Codec) ([]byte, error) {
	h, err := ParseHeader(raw)
	if err != nil {
		return nil, err
	}
	body, err := compress(codec, raw[HeaderSize:])
	if err != nil {
		return nil, err
	}
	h.Attributes |= Attributes(codec)
	h.Length = int32(HeaderSize - PrefixSize + len(body))
	out := append(make([]byte, HeaderSize, HeaderSize+len(body)), body...)
	h.put(out)
	return out, nil
}

func compress(codec Codec, src []byte) ([]byte, error) {
	var b bytes.Buffer
	var w io.WriteCloser
	switch codec {
	case CodecNone:
		return src, nil
	case CodecSnappy:
		return xerial.Encode(nil, src), nil
	case CodecGzip:
		w = gzip.NewWriter(&b)
	case CodecLZ4:
		w = lz4.NewWriter(&b)
	case CodecZstd:
		z, err := zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
		if err != nil {
			return nil, err
		}
		w = z
	default:
		return nil, fmt.Errorf("%w: %d", ErrCodec, codec)
	}
	if _, err := w.Write(src); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
