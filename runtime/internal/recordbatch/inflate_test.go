package recordbatch

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
)

// B2: a batch that decompresses to more than the bound is an error, by each codec. What it decompresses to is zeros.
func TestInflatesWithinBounds(t *testing.T) {
	const block = 1 << 20
	zeros := make([]byte, block)
	for _, codec := range []Codec{Gzip, Snappy, LZ4, Zstd} {
		var src []byte
		switch codec {
		case Gzip: // members one after the other are one stream
			var member bytes.Buffer
			w := gzip.NewWriter(&member)
			if _, err := w.Write(zeros); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			src = bytes.Repeat(member.Bytes(), maxInflated/block+1)
		case Snappy:
			packed := snappy.Encode(nil, zeros)
			packed = append(binary.BigEndian.AppendUint32(nil, uint32(len(packed))), packed...)
			src = append(bytes.Clone(xerial), make([]byte, 8)...)
			src = append(src, bytes.Repeat(packed, maxInflated/block+1)...)
		case LZ4, Zstd:
			src = compress(t, codec, make([]byte, maxInflated+1))
		case None:
		}
		if _, err := decompress(codec, src); !errors.Is(err, errInflated) && !errors.Is(err, zstd.ErrDecoderSizeExceeded) {
			t.Errorf("%v: %v", codec, err)
		}
	}
}
