package batch

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
)

func someRecords() []Record {
	return []Record{
		{Timestamp: 1000, Key: []byte("a"), Value: []byte("one")},
		{Timestamp: 990, Key: nil, Value: bytes.Repeat([]byte("two"), 100)},
		{Timestamp: 1200, Key: []byte(""), Value: nil},
	}
}

func build(t testing.TB, h Header, records []Record) ([]byte, Header) {
	t.Helper()
	raw := Build(h, records)
	h, err := ParseHeader(raw)
	if err != nil {
		t.Fatal(err)
	}
	return raw, h
}

// TestRoundTrip builds, compresses and reads with every codec.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for codec := CodecNone; codec <= CodecZstd; codec++ {
		raw, _ := build(t, Header{BaseOffset: 70, ProducerID: 5, ProducerEpoch: 6, BaseSequence: 7}, someRecords())
		raw, err := Compress(raw, codec)
		if err != nil {
			t.Fatal(err)
		}
		h, err := ParseHeader(raw)
		if err != nil {
			t.Fatal(err)
		}
		if err := Verify(raw, &h); err != nil {
			t.Fatal(err)
		}
		if h.Attributes.Codec() != codec || h.MaxTimestamp != 1200 || h.BaseTimestamp != 1000 || h.NextOffset() != 73 ||
			h.LastSequence() != 9 || h.ProducerID != 5 || h.ProducerEpoch != 6 {
			t.Errorf("codec %d: header %+v", codec, h)
		}
		s, err := ScanRecords(raw, &h)
		if err != nil || s.MaxTimestamp != 1200 || s.NullKey != 1 {
			t.Errorf("codec %d: scan %+v, %v", codec, s, err)
		}
		records, err := NewRecords(raw, &h)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range someRecords() {
			want.Offset = 70 + int64(i)
			if !records.Next() {
				t.Fatalf("codec %d: %v", codec, records.Err())
			}
			if got := records.Record(); fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", want) {
				t.Errorf("codec %d: record %#v, want %#v", codec, got, want)
			}
		}
		if records.Next() || records.Err() != nil {
			t.Errorf("codec %d: after the end: %v", codec, records.Err())
		}
	}
}

// TestMarkerVector compares a marker with the bytes that Kafka 4 writes for a commit of producer 1000, epoch 3, coordinator epoch 0,
// as laid out in its message format documentation.
func TestMarkerVector(t *testing.T) {
	t.Parallel()
	raw := AppendMarker(nil, Marker{BaseOffset: 42, Timestamp: 1_700_000_000_000, ProducerID: 1000, ProducerEpoch: 3, Commit: true})
	want := "000000000000002a" + "00000042" + "00000000" + "02" + // base offset, length, leader epoch, magic
		hex.EncodeToString(raw[17:21]) + "0030" + "00000000" + // checksum, attributes, last offset delta
		"0000018bcfe56800" + "0000018bcfe56800" + // timestamps
		"00000000000003e8" + "0003" + "ffffffff" + "00000001" + // producer, sequence, count
		"20" + "00" + "00" + "00" + "08" + "00000001" + "0c" + "000000000000" + "00"
	if got := hex.EncodeToString(raw); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	h, err := ParseHeader(raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := Verify(raw, &h); err != nil {
		t.Error(err)
	}
	if commit, ok := ParseMarker(raw, &h); !commit || !ok {
		t.Errorf("parsed %v, %v", commit, ok)
	}
	raw = AppendMarker(nil, Marker{})
	if h, err = ParseHeader(raw); err != nil {
		t.Fatal(err)
	}
	if commit, ok := ParseMarker(raw, &h); commit || !ok {
		t.Errorf("abort parsed %v, %v", commit, ok)
	}
}

func TestSequenceWrap(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ seq, n, want int32 }{
		{0, 0, 0}, {5, 3, 8}, {math.MaxInt32, 0, math.MaxInt32}, {math.MaxInt32, 1, 0}, {math.MaxInt32 - 1, 4, 2},
	} {
		if got := AddSequence(c.seq, c.n); got != c.want {
			t.Errorf("%d+%d: %d, want %d", c.seq, c.n, got, c.want)
		}
	}
}

func TestSetMaxTimestamp(t *testing.T) {
	t.Parallel()
	raw, h := build(t, Header{}, someRecords())
	SetMaxTimestamp(raw, &h, 5000, true)
	SetPlace(raw, &h, 10, 2)
	again, err := ParseHeader(raw)
	if err != nil || again != h {
		t.Fatalf("%+v, %v, want %+v", again, err, h)
	}
	if err := Verify(raw, &h); err != nil {
		t.Fatal(err)
	}
	records, err := NewRecords(raw, &h)
	if err != nil {
		t.Fatal(err)
	}
	for records.Next() {
		if r := records.Record(); r.Timestamp != 5000 {
			t.Errorf("record at %d has time %d", r.Offset, r.Timestamp)
		}
	}
}

// TestBomb does not unfold what is far larger than it looks.
func TestBomb(t *testing.T) {
	t.Parallel()
	const limit = 1 << 20
	for codec := CodecGzip; codec <= CodecZstd; codec++ {
		for size, fits := range map[int]bool{limit: true, limit + 1: false, 20 * limit: false} {
			b, err := compress(codec, make([]byte, size))
			if err != nil {
				t.Fatal(err)
			}
			out, err := decompress(codec, b, limit)
			if fits && (err != nil || len(out) != size) || !fits && !errors.Is(err, ErrCorrupt) {
				t.Errorf("codec %d: %d bytes to %d: %d, %v", codec, len(b), size, len(out), err)
			}
		}
	}
}

func TestScanAllocatesNothing(t *testing.T) {
	raw, h := build(t, Header{}, someRecords())
	if n := testing.AllocsPerRun(100, func() {
		if _, err := ScanRecords(raw, &h); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzDecodeBatch reads anything as a batch, in every way there is.
func FuzzDecodeBatch(f *testing.F) {
	for codec := CodecNone; codec <= CodecZstd; codec++ {
		raw, err := Compress(Build(Header{ProducerID: -1}, someRecords()), codec)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add(AppendMarker(nil, Marker{Commit: true}))
	f.Add([]byte(strings.Repeat("\x02", 61)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		h, err := ParseHeader(raw)
		if err != nil {
			return
		}
		if n, err := PeekSize(raw); err != nil || n != h.Size() {
			t.Fatalf("size %d, %v, header %d", n, err, h.Size())
		}
		if len(raw) < h.Size() {
			return
		}
		raw = raw[:h.Size()]
		_ = Verify(raw, &h)
		ParseMarker(raw, &h)
		scan, scanErr := ScanRecords(raw, &h)
		records, err := NewRecords(raw, &h)
		if err != nil {
			return
		}
		n, highest := int32(0), int64(NoTimestamp)
		for records.Next() {
			n++
			highest = max(highest, records.Record().Timestamp)
		}
		if scanErr == nil && (records.Err() != nil || n != h.Count || !h.Attributes.LogAppendTime() && highest != scan.MaxTimestamp) {
			t.Fatalf("scan %+v, but %d records, max timestamp %d, %v", scan, n, highest, records.Err())
		}
	})
}

func BenchmarkScanRecords(b *testing.B) {
	records := make([]Record, 1000)
	for i := range records {
		records[i] = Record{Timestamp: int64(i), Key: []byte("key-000000"), Value: make([]byte, 82)}
	}
	raw, h := build(b, Header{}, records)
	b.ReportAllocs()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if _, err := ScanRecords(raw, &h); err != nil {
			b.Fatal(err)
		}
	}
}
