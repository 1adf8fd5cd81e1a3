package recordbatch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Codec is how the records of a batch are compressed.
type Codec uint8

// The codecs of the protocol.
const (
	None Codec = iota
	Gzip
	Snappy
	LZ4
	Zstd
)

// String names the codec as Kafka does (compression.type).
func (c Codec) String() string {
	switch c {
	case None:
		return "none"
	case Gzip:
		return "gzip"
	case Snappy:
		return "snappy"
	case LZ4:
		return "lz4"
	case Zstd:
		return "zstd"
	}
	return fmt.Sprintf("codec %d", uint8(c))
}

// maxInflated bounds what one batch may decompress to. Brokers accept batches of 1 MiB by default, and no real data
// shrinks to less than a hundredth.
const maxInflated = 128 << 20

// maxRecycled bounds the buffers that are kept for reuse.
const maxRecycled = 8 << 20

var errInflated = fmt.Errorf("more than %d MiB when decompressed", maxInflated>>20)

// Decompressors and buffers are costly to make and hold no state between batches.
var (
	gzipReaders sync.Pool // *gzip.Reader
	lz4Readers  sync.Pool // *lz4.Reader
	buffers     sync.Pool // *[]byte
	zstdDecoder = sync.OnceValues(func() (*zstd.Decoder, error) {
		return zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxInflated), zstd.WithDecoderLowmem(true))
	})
)

// buffer returns an empty buffer for recycle.
func buffer() []byte {
	if b, ok := buffers.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return nil
}

func recycle(b []byte) {
	if c := cap(b); c > 0 && c <= maxRecycled {
		buffers.Put(&b)
	}
}

// decompress returns the records of a batch in a buffer for recycle.
func decompress(codec Codec, src []byte) ([]byte, error) {
	dst := buffer()
	out, err := decompressTo(dst, codec, src)
	if err != nil {
		recycle(dst)
		return nil, err
	}
	return out, nil
}

func decompressTo(dst []byte, codec Codec, src []byte) ([]byte, error) {
	switch codec {
	case Gzip:
		return gunzip(dst, src)
	case Snappy:
		return unsnappy(dst, src)
	case LZ4:
		return unlz4(dst, src)
	case Zstd:
		d, err := zstdDecoder()
		if err != nil {
			return nil, err
		}
		return d.DecodeAll(src, dst)
	default:
		return nil, errors.New("unknown codec")
	}
}

func gunzip(dst, src []byte) ([]byte, error) {
	in := bytes.NewReader(src)
	r, ok := gzipReaders.Get().(*gzip.Reader)
	if !ok {
		var err error
		if r, err = gzip.NewReader(in); err != nil {
			return nil, err
		}
	} else if err := r.Reset(in); err != nil {
		return nil, err
	}
	defer gzipReaders.Put(r)
	return readAll(dst, r)
}

func unlz4(dst, src []byte) ([]byte, error) {
	in := bytes.NewReader(src)
	r, ok := lz4Readers.Get().(*lz4.Reader)
	if ok {
		r.Reset(in)
	} else {
		r = lz4.NewReader(in)
	}
	defer lz4Readers.Put(r)
	return readAll(dst, r)
}

// xerial begins the framing of snappy-java, which Java clients write: magic, version and compatible version, then blocks,
// each after its length.
var xerial = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

func unsnappy(dst, src []byte) ([]byte, error) {
	if !bytes.HasPrefix(src, xerial) {
		return unsnappyBlock(dst, src)
	}
	const head = 16
	if len(src) < head {
		return nil, io.ErrUnexpectedEOF
	}
	for src = src[head:]; len(src) > 0; {
		if len(src) < 4 {
			return nil, io.ErrUnexpectedEOF
		}
		n := int64(binary.BigEndian.Uint32(src))
		if src = src[4:]; n > int64(len(src)) {
			return nil, io.ErrUnexpectedEOF
		}
		var err error
		if dst, err = unsnappyBlock(dst, src[:n]); err != nil {
			return nil, err
		}
		src = src[n:]
	}
	return dst, nil
}

// unsnappyBlock appends one block to dst. A block says how long it is; the format cannot pack more than 64 bytes into 3.
func unsnappyBlock(dst, src []byte) ([]byte, error) {
	n, err := snappy.DecodedLen(src)
	if err != nil {
		return nil, err
	}
	if n > maxInflated-len(dst) {
		return nil, errInflated
	}
	if n > 32*len(src) {
		return nil, snappy.ErrCorrupt
	}
	dst = growTo(dst, n)
	out, err := snappy.Decode(dst[len(dst):len(dst)+n], src)
	if err != nil {
		return nil, err
	}
	return dst[:len(dst)+len(out)], nil
}

// readAll appends everything r has to dst, up to the bound.
func readAll(dst []byte, r io.Reader) ([]byte, error) {
	for {
		if len(dst) == cap(dst) {
			dst = growTo(dst, 512)
		}
		n, err := r.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if len(dst) > maxInflated {
			return nil, errInflated
		}
		if errors.Is(err, io.EOF) {
			return dst, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// growTo returns dst with room for n bytes more.
func growTo(dst []byte, n int) []byte {
	if cap(dst)-len(dst) >= n {
		return dst
	}
	grown := make([]byte, len(dst), max(len(dst)+n, 2*cap(dst), 4<<10))
	copy(grown, dst)
	return grown
}
