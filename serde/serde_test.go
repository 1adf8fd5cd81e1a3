package serde_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/serde"
)

// TestKafkaBytes compares the basic formats with what Kafka's serialisers write, in both directions.
func TestKafkaBytes(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("testdata/kafka-basic.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Entries []struct{ Serde, Value, Bytes string }
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	integer := func(bits int) func(string) (int64, error) {
		return func(s string) (int64, error) { return strconv.ParseInt(s, 10, bits) }
	}
	checked := 0
	for _, e := range file.Entries {
		checked++
		switch e.Serde {
		case "string":
			same(t, serde.String, e.Value, e.Bytes)
		case "long":
			same(t, serde.Int64, parse(t, e.Value, integer(64)), e.Bytes)
		case "integer":
			same(t, serde.Int32, int32(parse(t, e.Value, integer(32))), e.Bytes)
		case "short":
			same(t, serde.Int16, int16(parse(t, e.Value, integer(16))), e.Bytes)
		case "double":
			same(t, serde.Float64, parse(t, e.Value, float), e.Bytes)
		case "float":
			same(t, serde.Float32, float32(parse(t, e.Value, float)), e.Bytes)
		case "boolean":
			same(t, serde.Bool, parse(t, e.Value, strconv.ParseBool), e.Bytes)
		default: // uuid and lists, which this package does not have
			checked--
		}
	}
	if checked != 36 {
		t.Errorf("%d entries compared, want 36", checked)
	}
}

func parse[T any](t *testing.T, s string, f func(string) (T, error)) T {
	t.Helper()
	v, err := f(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func float(s string) (float64, error) { return strconv.ParseFloat(s, 64) }

// same checks that v is written as the hexadecimal bytes and read back from them.
func same[T comparable](t *testing.T, s serde.Serde[T], v T, want string) {
	t.Helper()
	prefix := []byte("kept")
	got, err := s.Append(prefix, v)
	if err != nil || hex.EncodeToString(bytes.TrimPrefix(got, prefix)) != want || !bytes.HasPrefix(got, prefix) {
		t.Errorf("append %v: %x, %v; want %s behind what was there", v, got, err, want)
	}
	raw, err := hex.DecodeString(want)
	if err != nil {
		t.Fatal(err)
	}
	back, err := s.Decode(raw)
	if err != nil || back != v && (v == v || back == back) { // a NaN equals nothing, itself included
		t.Errorf("decode %s: %v, %v; want %v", want, back, err, v)
	}
}

// TestNaN: every NaN has one encoding, so that equal keys have equal bytes.
func TestNaN(t *testing.T) {
	t.Parallel()
	other := math.Float64frombits(0xfff8000000000123)
	got, err := serde.Float64.Append(nil, other)
	if err != nil || hex.EncodeToString(got) != "7ff8000000000000" {
		t.Errorf("append NaN: %x, %v", got, err)
	}
	got, err = serde.Float32.Append(nil, math.Float32frombits(0xffc00123))
	if err != nil || hex.EncodeToString(got) != "7fc00000" {
		t.Errorf("append NaN of four bytes: %x, %v", got, err)
	}
}

// TestDecodeErrors: bytes that are no T are refused with a text that says so.
func TestDecodeErrors(t *testing.T) {
	t.Parallel()
	type point struct{ X, Y int }
	for _, c := range []struct {
		name   string
		decode func([]byte) error
		src    string
		want   string
	}{
		{"int64", decoder(serde.Int64), "1234567", "decode int64: 7 bytes, want 8"},
		{"int32", decoder(serde.Int32), "", "decode int32: 0 bytes, want 4"},
		{"int16", decoder(serde.Int16), "123", "decode int16: 3 bytes, want 2"},
		{"float64", decoder(serde.Float64), "123", "decode float64: 3 bytes, want 8"},
		{"float32", decoder(serde.Float32), "123", "decode float32: 3 bytes, want 4"},
		{"bool of two bytes", decoder(serde.Bool), "12", "decode bool: 2 bytes, want 1"},
		{"bool of 2", decoder(serde.Bool), "\x02", "decode bool: byte 0x02, want 0 or 1"},
		{"nullable", decoder(serde.Nullable(serde.Int64)), "1", "decode int64: 1 bytes, want 8"},
		{"JSON of nothing", decoder(serde.JSON[point]()), "", "decode serde_test.point from JSON: unexpected end of JSON input"},
		{"JSON with a tail", decoder(serde.JSON[point]()), "{} {}", "after top-level value"},
		{"JSON of another type", decoder(serde.JSON[point]()), `"x"`, "cannot unmarshal string into Go value of type serde_test.point"},
		{"strict JSON of nothing", decoder(serde.JSON[point](serde.Strict())), "", "unexpected end of JSON input"},
		{"strict JSON with a tail", decoder(serde.JSON[point](serde.Strict())), "{}{", "data after the value"},
		{"strict JSON with an unknown field", decoder(serde.JSON[point](serde.Strict())), `{"Z":1}`, `unknown field "Z"`},
	} {
		err := c.decode([]byte(c.src))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// TestStrictJSON: it takes what it knows, with white space behind it; of what it refuses nothing is left.
func TestStrictJSON(t *testing.T) {
	t.Parallel()
	type point struct{ X, Y int }
	strict := serde.JSON[point](serde.Strict())
	if p, err := strict.Decode([]byte("{\"X\":1,\"Y\":2}\n ")); err != nil || p != (point{1, 2}) {
		t.Errorf("decoded %v, %v", p, err)
	}
	for _, src := range []string{`{"X":1,"Z":2}`, `{"X":1} 2`} {
		if p, err := strict.Decode([]byte(src)); err == nil || p != (point{}) {
			t.Errorf("%s: decoded %v, %v", src, p, err)
		}
	}
}

func decoder[T any](s serde.Serde[T]) func([]byte) error {
	return func(src []byte) error {
		_, err := s.Decode(src)
		return err
	}
}

// TestAppendError: an error leaves what was there.
func TestAppendError(t *testing.T) {
	t.Parallel()
	got, err := serde.JSON[chan int]().Append([]byte("kept"), nil)
	if err == nil || string(got) != "kept" {
		t.Errorf("append a channel as JSON: %q, %v", got, err)
	}
	got, err = serde.Nullable(serde.String).Append([]byte("kept"), nil)
	if err == nil || string(got) != "kept" {
		t.Errorf("append nil: %q, %v", got, err)
	}
}

// TestDecodeCopies: what was decoded does not change with the bytes (S3), unless the serde says that it aliases.
func TestDecodeCopies(t *testing.T) {
	t.Parallel()
	src := []byte("abc")
	s, _ := serde.String.Decode(src)
	b, _ := serde.Bytes.Decode(src)
	p, _ := serde.Nullable(serde.String).Decode(src)
	copy(src, "xyz")
	if s != "abc" || string(b) != "abc" || *p != "abc" {
		t.Errorf("decoded %q, %q and %q changed with their bytes", s, b, *p)
	}
	if empty, _ := serde.Bytes.Decode([]byte{}); empty == nil {
		t.Error("empty bytes decode to nil, which stands for null")
	}
}

type aliasing struct{ serde.Serde[[]byte] }

func (aliasing) DecodeAliases() bool { return true }

func TestAliases(t *testing.T) {
	t.Parallel()
	if serde.Aliases(serde.Bytes) || serde.Aliases(serde.Nullable(serde.Bytes)) {
		t.Error("Bytes copies, but is said to alias")
	}
	a := aliasing{serde.Bytes}
	if !serde.Aliases[[]byte](a) || !serde.Aliases(serde.Nullable[[]byte](a)) {
		t.Error("a serde that aliases is not said to")
	}
}

// TestStringKeepsBytes: text that is not UTF-8 stays as it is, in both directions.
func TestStringKeepsBytes(t *testing.T) {
	t.Parallel()
	const src = "a\xff\xc3"
	v, err := serde.String.Decode([]byte(src))
	if err != nil || v != src {
		t.Errorf("decoded %q, %v", v, err)
	}
	if b, err := serde.String.Append(nil, v); err != nil || string(b) != src {
		t.Errorf("encoded %q, %v", b, err)
	}
}
