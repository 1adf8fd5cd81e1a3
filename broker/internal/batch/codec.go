package batch

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy/xerial"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Codec is a compression codec, by Kafka's number.
type Codec int8

// The codecs.
const (
	CodecNone Codec = iota
	CodecGzip
	CodecSnappy
	CodecLZ4
	CodecZstd
)

// MaxDecompressed bounds what one batch may unfold to. A batch that is larger is served, but it cannot be looked into: it is
// refused on a compacted topic, and searched by its header alone.
const MaxDecompressed = 128 << 20

// errTooLarge is wrapped with ErrCorrupt.
var errTooLarge = errors.New("records unfold to more than a batch may")

// String returns Kafka's name of the codec.
func (c Codec) String() string {
	if !c.Known() {
		return fmt.Sprintf("codec %d", int8(c))
	}
	return [...]string{"none", "gzip", "snappy", "lz4", "zstd"}[c]
}

// Known reports whether c is one of the codecs.
func (c Codec) Known() bool { return c >= CodecNone && c <= CodecZstd }

// decompress returns the records block, of at most limit bytes. The error wraps ErrCorrupt or ErrCodec.
func decompress(c Codec, src []byte, limit int) ([]byte, error) {
	var out []byte
	var err error
	switch c {
	case CodecNone:
		return src, nil
	case CodecGzip:
		var r *gzip.Reader
		if r, err = gzip.NewReader(bytes.NewReader(src)); err == nil {
			out, err = readBounded(r, limit)
		}
	case CodecSnappy:
		out, err = decompressSnappy(src, limit)
	case CodecLZ4:
		out, err = readBounded(lz4.NewReader(bytes.NewReader(src)), limit)
	case CodecZstd:
		out, err = decompressZstd(src, limit)
	default:
		return nil, fmt.Errorf("%w: %d", ErrCodec, c)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: unfold records: %w", ErrCorrupt, err)
	}
	return out, nil
}

// decompressSnappy takes both the framing of the Java client and a bare block. It tries growing buffers, since the framing
// does not say the whole length.
func decompressSnappy(src []byte, limit int) ([]byte, error) {
	for n := 4*len(src) + 64; ; n *= 4 {
		out, err := xerial.DecodeCapped(make([]byte, 0, min(n, limit)), src)
		if !errors.Is(err, xerial.ErrDstTooSmall) {
			return out, err
		}
		if n >= limit {
			return nil, errTooLarge
		}
	}
}

func decompressZstd(src []byte, limit int) ([]byte, error) {
	d, err := zstd.NewReader(bytes.NewReader(src), zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderMaxMemory(MaxDecompressed), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return readBounded(d, limit)
}

func readBounded(r io.Reader, limit int) ([]byte, error) {
	var b bytes.Buffer
	n, err := io.Copy(&b, io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return nil, err
	}
	if n > int64(limit) {
		return nil, errTooLarge
	}
	return b.Bytes(), nil
}
