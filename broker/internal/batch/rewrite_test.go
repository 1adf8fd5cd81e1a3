package batch

import (
	"bytes"
	"math"
	"testing"
)

// TestRewrite takes records out of batches of every codec: what stays is as it was, where it was, whatever the horizon does to the
// base timestamp.
func TestRewrite(t *testing.T) {
	t.Parallel()
	for codec := CodecNone; codec <= CodecZstd; codec++ {
		for mask := 1; mask < 8; mask++ {
			for _, horizon := range []int64{NoHorizon, 5000, math.MaxInt64} {
				raw, _ := build(t, Header{BaseOffset: 70, LeaderEpoch: 3, ProducerID: 5, ProducerEpoch: 6, BaseSequence: 7,
					Attributes: Attrs(true, false, false)}, someRecords())
				raw, err := Compress(raw, codec)
				if err != nil {
					t.Fatal(err)
				}
				h, err := ParseHeader(raw)
				if err != nil {
					t.Fatal(err)
				}
				checkRewrite(t, raw, &h, mask, horizon)
			}
		}
	}
}

func checkRewrite(t *testing.T, raw []byte, h *Header, mask int, horizon int64) {
	t.Helper()
	records, err := NewRecords(raw, h)
	if err != nil {
		t.Fatal(err)
	}
	keep := []bool{mask&1 > 0, mask&2 > 0, mask&4 > 0}
	out, err := records.Rewrite(keep, horizon)
	if err != nil {
		t.Fatal(err)
	}
	o, err := ParseHeader(out)
	if err != nil {
		t.Fatal(err)
	}
	if err := Verify(out, &o); err != nil {
		t.Fatal(err)
	}
	if o.Attributes.DeleteHorizon() != (horizon != NoHorizon) || o.Attributes.DeleteHorizon() && o.BaseTimestamp != horizon {
		t.Errorf("horizon %d: header %+v", horizon, o)
	}
	got, err := NewRecords(out, &o)
	if err != nil {
		t.Fatal(err)
	}
	maxTime, n := int64(-1), int32(0)
	for i, want := range someRecords() {
		if !keep[i] {
			continue
		}
		n++
		maxTime = max(maxTime, want.Timestamp)
		if r := got.Record(); !got.Next() {
			t.Fatalf("no record %d: %v", i, got.Err())
		} else if r = got.Record(); r.Offset != 70+int64(i) || r.Timestamp != want.Timestamp ||
			!bytes.Equal(r.Key, want.Key) || (r.Key == nil) != (want.Key == nil) || !bytes.Equal(r.Value, want.Value) || (r.Value == nil) != (want.Value == nil) {
			t.Errorf("record %d: %+v", i, r)
		}
	}
	if got.Next() || got.Err() != nil {
		t.Errorf("more than was kept: %v", got.Err())
	}
	o.Attributes &^= attrDeleteHorizon
	want := *h
	want.Count, want.MaxTimestamp = n, maxTime
	want.Length, want.CRC, o.BaseTimestamp = o.Length, o.CRC, want.BaseTimestamp
	if o != want {
		t.Errorf("header %+v, want %+v", o, want)
	}
}

// TestEmpty: what stands for a batch keeps its place and its producer's.
func TestEmpty(t *testing.T) {
	t.Parallel()
	raw, _ := build(t, Header{BaseOffset: 70, LeaderEpoch: 3, ProducerID: 5, ProducerEpoch: 6, BaseSequence: 7,
		Attributes: Attrs(true, false, false)}, someRecords())
	raw, err := Compress(raw, CodecLZ4)
	if err != nil {
		t.Fatal(err)
	}
	h, err := ParseHeader(raw)
	if err != nil {
		t.Fatal(err)
	}
	out := Empty(&h)
	e, err := ParseHeader(out)
	if err != nil {
		t.Fatal(err)
	}
	if err := Verify(out, &e); err != nil {
		t.Fatal(err)
	}
	if e.Count != 0 || e.BaseOffset != 70 || e.NextOffset() != 73 || e.LastSequence() != 9 || e.ProducerEpoch != 6 || e.LeaderEpoch != 3 ||
		!e.Attributes.Transactional() || e.Attributes.Codec() != CodecNone || e.MaxTimestamp != h.MaxTimestamp {
		t.Errorf("header %+v", e)
	}
	if r, err := NewRecords(out, &e); err != nil || r.Next() || r.Err() != nil {
		t.Errorf("records: %v", err)
	}
}
