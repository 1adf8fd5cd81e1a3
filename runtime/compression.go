package runtime

import "github.com/millrace-io/millrace/runtime/internal/recordbatch"

// Compression says how record batches are compressed. Every Kafka client reads all of them.
type Compression uint8

// The codecs, by Kafka's numbers.
const (
	NoCompression Compression = iota
	Gzip
	Snappy
	LZ4
	Zstd
)

// String names the codec as Kafka does.
func (c Compression) String() string { return c.codec().String() }

func (c Compression) codec() recordbatch.Codec { return recordbatch.Codec(c) }
