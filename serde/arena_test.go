package serde_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/millrace-io/millrace/serde"
)

// What an arena hands out is nobody else's: neither the source nor a neighbour can change it.
func TestArena(t *testing.T) {
	t.Parallel()
	var a serde.Arena
	var copies, want [][]byte
	for i := range 500 {
		src := bytes.Repeat([]byte{byte(i)}, i)
		got := a.Copy(src)
		if got == nil || cap(got) > len(got) && i <= 256 {
			t.Fatalf("%d bytes: nil is %v, capacity %d", i, got == nil, cap(got))
		}
		copies, want = append(copies, got), append(want, bytes.Clone(src))
		clear(src)
		_ = append(got, 0xff) // must move
	}
	for i := range copies {
		if !bytes.Equal(copies[i], want[i]) {
			t.Errorf("copy of %d bytes was changed", i)
		}
	}
}

// Serdes decode the same into an arena as without one.
func TestDecodeIn(t *testing.T) {
	t.Parallel()
	var a serde.Arena
	for i := range 300 {
		src := fmt.Appendf(nil, "%*d", i, i)[:i]
		s, err := serde.String.(serde.ArenaDecoder[string]).DecodeIn(&a, src)
		if err != nil || s != string(src) {
			t.Errorf("string of %d bytes: %q, %v", i, s, err)
		}
		b, err := serde.Bytes.(serde.ArenaDecoder[[]byte]).DecodeIn(&a, src)
		if err != nil || b == nil || !bytes.Equal(b, src) {
			t.Errorf("%d bytes: %q, %v", i, b, err)
		}
		clear(src)
		if s2, _ := serde.String.Decode(b); i > 0 && s2 != s {
			t.Errorf("%q and %q after the source has changed", s2, s)
		}
	}
}

func TestArenaAllocatesSeldom(t *testing.T) {
	var a serde.Arena
	key, value := make([]byte, 16), make([]byte, 100)
	if n := testing.AllocsPerRun(1000, func() { a.Copy(key); a.Copy(value) }); n != 0 { // the average, rounded down
		t.Errorf("%v allocations for each record", n)
	}
}
