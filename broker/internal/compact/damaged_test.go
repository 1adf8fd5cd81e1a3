package compact

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"testing"

	"github.com/millrace-io/millrace/broker/internal/batch"
)

// seal makes the checksum right after a test changed a batch.
func seal(raw []byte) []byte {
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}

// TestDamaged: K7. What cannot be looked into stays as it is, byte for byte, and the round goes past it.
func TestDamaged(t *testing.T) {
	t.Parallel()
	build := func(offset int64, value string) []byte {
		return batch.Build(batch.Header{BaseOffset: offset, ProducerID: -1, ProducerEpoch: -1, BaseSequence: -1},
			[]batch.Record{{Key: []byte("k"), Value: []byte(value)}, {Key: []byte("other"), Value: []byte(value)}})
	}
	marker := func() []byte {
		return batch.AppendMarker(nil, batch.Marker{BaseOffset: 2, ProducerID: 1, Commit: true})
	}
	for what, damaged := range map[string][]byte{
		"not compressed as it says": func() []byte { b := build(2, "b"); b[22] |= byte(batch.CodecZstd); return seal(b) }(),
		"a record without an end":   func() []byte { b := build(2, "b"); b[len(b)-10] = 0x7f; return seal(b) }(),
		"the first of two is sound": func() []byte { b := build(2, "b"); b[len(b)-1]++; return seal(b) }(),
		"a marker":                  func() []byte { b := marker(); b[22] |= byte(batch.CodecZstd); return seal(b) }(),
	} {
		keys := NewKeys(10, math.MaxInt32)
		log := [][]byte{build(0, "a"), damaged, build(4, "c")} // the last one has what supersedes the others
		scan := NewScan(keys, nil, 0)
		f := Filter{Keys: keys, Active: func(*batch.Header) bool { return false }}
		f.Begin(nil)
		next := int64(0)
		for _, raw := range log {
			h, err := batch.ParseHeader(raw)
			if err == nil {
				err = batch.Verify(raw, &h)
			}
			if err != nil {
				t.Fatal(err)
			}
			if !scan.Batch(raw, &h) {
				t.Errorf("%s: the round ends at it", what)
			}
			next = h.NextOffset()
		}
		if keys.Latest != next-1 {
			t.Errorf("%s: seen up to %d of %d", what, keys.Latest, next-1)
		}
		h, err := batch.ParseHeader(damaged)
		if err != nil {
			t.Fatal(err)
		}
		if kept, err := f.Batch(damaged, &h, false); err != nil || len(kept.Raw) == 0 || &kept.Raw[0] != &damaged[0] {
			t.Errorf("%s: %+v, %v", what, kept, err)
		}
	}
}

// TestPastTransactions: aborted transactions whose batches are all gone say nothing of what their producer wrote later.
func TestPastTransactions(t *testing.T) {
	t.Parallel()
	txns := newTxns([]Aborted{{Producer: 1, First: 0, Last: 5}, {Producer: 1, First: 10, Last: 15}, {Producer: 1, First: 30, Last: 35}})
	for _, c := range []struct {
		offset  int64
		aborted bool
	}{{20, false}, {30, true}, {34, true}, {36, false}} {
		h := batch.Header{BaseOffset: c.offset, ProducerID: 1, Attributes: batch.Attrs(true, false, false)}
		if got := txns.data(&h); got != c.aborted {
			t.Errorf("batch at %d: aborted %v", c.offset, got)
		}
	}
}
