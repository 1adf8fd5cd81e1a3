package recordbatch

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Compressors are costly to make and hold no state between batches.
var (
	gzipWriters sync.Pool // *gzip.Writer
	lz4Writers  sync.Pool // *lz4.Writer
	zstdEncoder = sync.OnceValues(func() (*zstd.Encoder, error) {
		return zstd.NewWriter(nil, zstd.WithEncoderConcurrency(0), zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
	})
)

// Valid reports whether c is a codec of the protocol.
func (c Codec) Valid() bool { return c <= Zstd }

// compressTo appends src, compressed, to dst, in the form that Java clients read: LZ4 frames of independent blocks of 64 KiB, Snappy as
// one block without xerial's framing.
func compressTo(dst []byte, codec Codec, src []byte) ([]byte, error) {
	switch codec {
	case Gzip:
		return deflate(dst, src)
	case Snappy:
		at, most := len(dst), snappy.MaxEncodedLen(len(src))
		if most < 0 {
			return nil, fmt.Errorf("snappy: %d bytes are too many", len(src))
		}
		if cap(dst)-at < most {
			dst = append(make([]byte, 0, at+most), dst...)
		}
		out := snappy.Encode(dst[at:at+most], src)
		return dst[:at+len(out)], nil
	case LZ4:
		return packLZ4(dst, src)
	case Zstd:
		e, err := zstdEncoder()
		if err != nil {
			return nil, err
		}
		return e.EncodeAll(src, dst), nil
	default:
		return nil, fmt.Errorf("%v is not known", codec)
	}
}

func deflate(dst, src []byte) ([]byte, error) {
	out := bytes.NewBuffer(dst)
	w, ok := gzipWriters.Get().(*gzip.Writer)
	if ok {
		w.Reset(out)
	} else {
		w = gzip.NewWriter(out)
	}
	defer gzipWriters.Put(w)
	if _, err := w.Write(src); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func packLZ4(dst, src []byte) ([]byte, error) {
	out := bytes.NewBuffer(dst)
	w, ok := lz4Writers.Get().(*lz4.Writer)
	if ok {
		w.Reset(out)
	} else {
		w = lz4.NewWriter(out)
		if err := w.Apply(lz4.BlockSizeOption(lz4.Block64Kb), lz4.ConcurrencyOption(1)); err != nil {
			return nil, err
		}
	}
	defer lz4Writers.Put(w)
	if _, err := w.Write(src); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
