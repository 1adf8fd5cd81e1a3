package journal

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
	"testing"
)

// TestFileHeader: it comes back as it was written, and not if any bit of it is another, or it is of a version to come.
func TestFileHeader(t *testing.T) {
	t.Parallel()
	for _, async := range []bool{false, true} {
		h := fileHeader{epoch: 7, owner: owner, async: async}
		raw := h.encode()
		if got, err := decodeFileHeader(raw); err != nil || got != h {
			t.Errorf("%+v, %v", got, err)
		}
		for bit := range 8 * len(raw) {
			b := slices.Clone(raw)
			b[bit/8] ^= 1 << (bit % 8)
			if _, err := decodeFileHeader(b); err == nil {
				t.Errorf("bit %d of byte %d is not looked at", bit%8, bit/8)
			}
		}
		for i := range 8 {
			b := slices.Clone(raw)
			b[i]++
			binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
			if _, err := decodeFileHeader(b); err == nil {
				t.Errorf("byte %d of the magic is not looked at", i)
			}
		}
	}
}

// TestEntryBelongsSomewhere: an intact entry is taken in its own place only, and not from a header that is cut off.
func TestEntryBelongsSomewhere(t *testing.T) {
	t.Parallel()
	var p pending
	e := NewEntry([]byte("he"), []byte("ad"))
	p.add(5, &e)
	group, _ := p.appendGroup(nil, 0, 3, 4)
	raw := group[groupSize:]
	if payload, rest, err := decodeEntry(raw, 5, 3); err != nil || string(payload) != "head" || len(rest) != 0 {
		t.Errorf("%q, %q, %v", payload, rest, err)
	}
	for _, place := range []struct {
		lsn   LSN
		epoch uint64
	}{{6, 3}, {4, 3}, {5, 4}, {5, 2}} {
		if _, _, err := decodeEntry(raw, place.lsn, place.epoch); err == nil {
			t.Errorf("it is taken for entry %d of epoch %d", place.lsn, place.epoch)
		}
	}
	for n := range raw {
		if _, _, err := decodeEntry(raw[:n], 5, 3); err == nil {
			t.Errorf("%d of %d bytes are taken", n, len(raw))
		}
	}
	if sealEntry(0, 1, 5, 3) == sealEntry(0, 2, 5, 3) {
		t.Error("the size is not sealed")
	}
}
