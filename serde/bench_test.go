package serde_test

import (
	"testing"

	"github.com/millrace-io/millrace/serde"
)

var (
	sinkString string
	sinkBytes  []byte
)

// BenchmarkDecode reads a record's key of 16 bytes and its value of 100, each into memory of its own, or into an arena.
func BenchmarkDecode(b *testing.B) {
	key, value := make([]byte, 16), make([]byte, 100)
	b.Run("alone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			sinkString, _ = serde.String.Decode(key)
			sinkBytes, _ = serde.Bytes.Decode(value)
		}
	})
	b.Run("arena", func(b *testing.B) {
		var a serde.Arena
		k, v := serde.String.(serde.ArenaDecoder[string]), serde.Bytes.(serde.ArenaDecoder[[]byte])
		b.ReportAllocs()
		for b.Loop() {
			sinkString, _ = k.DecodeIn(&a, key)
			sinkBytes, _ = v.DecodeIn(&a, value)
		}
	})
}
