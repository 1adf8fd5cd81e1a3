package serde_test

import (
	"bytes"
	"testing"

	"github.com/millrace-io/millrace/serde"
)

// roundTrip checks that whatever decodes is written back as the same bytes, and that nothing panics.
func roundTrip[T any](t *testing.T, s serde.Serde[T], src []byte) {
	t.Helper()
	v, err := s.Decode(src)
	if err != nil {
		return
	}
	again, err := s.Append(nil, v)
	if err != nil {
		t.Fatalf("%x decodes to %v, which cannot be written: %v", src, v, err)
	}
	if !bytes.Equal(again, src) {
		t.Fatalf("%x decodes to %v, written as %x", src, v, again)
	}
}

func FuzzDecodePrimitives(f *testing.F) {
	for _, seed := range []string{"", "\x01", "ab", "abcd", "abcdefgh", "k\xc3\xa4se", "\xff\xfe"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		roundTrip(t, serde.String, src)
		roundTrip(t, serde.Bytes, src)
		roundTrip(t, serde.Int64, src)
		roundTrip(t, serde.Int32, src)
		roundTrip(t, serde.Int16, src)
		roundTrip(t, serde.Bool, src)
		roundTrip(t, serde.Nullable(serde.Int64), src)
		// A NaN has one encoding of many, so a float is compared after one round.
		for _, s := range []serde.Serde[float64]{serde.Float64} {
			if v, err := s.Decode(src); err == nil {
				b, _ := s.Append(nil, v)
				roundTrip(t, s, b)
			}
		}
	})
}

func FuzzDecodeJSON(f *testing.F) {
	type value struct {
		A string             `json:"a"`
		B []int              `json:"b,omitempty"`
		C map[string]float64 `json:"c,omitempty"`
		D *value             `json:"d,omitempty"`
	}
	for _, seed := range []string{`{"a":"x"}`, `{"a":"","b":[1],"c":{"k":1.5},"d":{"a":"y"}}`, `null`, `{} {}`, `{"z":1}`, `[`, ``} {
		f.Add([]byte(seed))
	}
	plain, strict := serde.JSON[value](), serde.JSON[value](serde.Strict())
	f.Fuzz(func(t *testing.T, src []byte) {
		v, err := plain.Decode(src)
		if _, errStrict := strict.Decode(src); errStrict == nil && err != nil {
			t.Fatalf("%q: strict takes it, plain does not: %v", src, err)
		}
		if err != nil {
			return
		}
		b, err := plain.Append(nil, v)
		if err != nil {
			t.Fatalf("%q decodes to %v, which cannot be written: %v", src, v, err)
		}
		roundTrip(t, plain, b)
		roundTrip(t, strict, b)
	})
}
