package recordbatch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// B2: a batch that decompresses to more than the bound is an error, by each codec. What it decompresses to is zeros.
func TestInflatesWithinBounds(t *testing.T) {
	if raceEnabled {
		t.Skip("half a GiB takes too long under the race detector, and one goroutine alone touches it")
	}
	const block = 1 << 20
	zeros := make([]byte, block)
	for _, codec := range []Codec{Gzip, Snappy, LZ4, Zstd} {
		var src []byte
		switch codec {
		case Gzip, Zstd: // what is packed apart is one stream when joined
			src = bytes.Repeat(compress(t, codec, zeros), maxInflated/block+1)
		case Snappy:
			packed := compress(t, codec, zeros)
			packed = append(binary.BigEndian.AppendUint32(nil, uint32(len(packed))), packed...)
			src = append(bytes.Clone(xerial), make([]byte, 8)...)
			src = append(src, bytes.Repeat(packed, maxInflated/block+1)...)
		case LZ4:
			src = compress(t, codec, make([]byte, maxInflated+1))
		case None:
		}
		if _, err := decompress(codec, src); !errors.Is(err, errInflated) && !errors.Is(err, zstd.ErrDecoderSizeExceeded) {
			t.Errorf("%v: %v", codec, err)
		}
	}
}
