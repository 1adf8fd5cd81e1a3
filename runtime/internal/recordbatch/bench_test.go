package recordbatch

import (
	"testing"

	"github.com/millrace-io/millrace/topology"
)

// Expected: some 25 ns a record, most of it copying 116 bytes and the checksum; no allocation.
func BenchmarkBuilder(b *testing.B) {
	const n = 5000
	key, value := make([]byte, 16), make([]byte, 100)
	builder := NewBuilder(0, 0)
	b.ReportAllocs()
	b.SetBytes(n * int64(len(key)+len(value)))
	for b.Loop() {
		builder.Reset()
		for i := range n {
			if err := builder.Append(key, value, int64(i), nil); err != nil {
				b.Fatal(err)
			}
		}
		builder.Finish(NoProducer)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/record")
}

// Expected: some 20 ns a record and a handful of allocations a batch.
func BenchmarkReader(b *testing.B) {
	const n = 5000
	builder := NewBuilder(0, 0)
	for i := range n {
		if err := builder.Append(make([]byte, 16), make([]byte, 100), int64(i), nil); err != nil {
			b.Fatal(err)
		}
	}
	plain := builder.Finish(NoProducer)
	for _, c := range []Codec{None, Snappy, LZ4, Zstd, Gzip} {
		batch := compressed(b, c, plain)
		b.Run(c.String(), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(n * 116)
			var raw topology.Raw
			for b.Loop() {
				r, err := NewReader(Fetched{Records: batch})
				for ok := true; ok && err == nil; {
					ok, err = r.Next(&raw)
				}
				if err != nil {
					b.Fatal(err)
				}
				r.Release()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/record")
		})
	}
}
