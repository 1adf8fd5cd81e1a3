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

// TestGroupHeader: it comes back as it was written, and not if any bit of it is another, or if it says what cannot be.
func TestGroupHeader(t *testing.T) {
	t.Parallel()
	sound := groupHeader{epoch: 3, first: 8, durable: 7, count: 2, bytes: 16}
	var b [groupSize]byte
	sound.put(b[:])
	if got, ok := decodeGroupHeader(b[:]); !ok || got != sound {
		t.Errorf("%+v, %v", got, ok)
	}
	if _, ok := decodeGroupHeader(b[:groupSize-1]); ok {
		t.Error("a header that is cut off is taken")
	}
	for bit := range 8 * len(b) {
		b[bit/8] ^= 1 << (bit % 8)
		if _, ok := decodeGroupHeader(b[:]); ok {
			t.Errorf("bit %d of byte %d is not looked at", bit%8, bit/8)
		}
		b[bit/8] ^= 1 << (bit % 8)
	}
	for what, change := range map[string]func(*groupHeader){
		"before the first entry": func(h *groupHeader) { h.first, h.durable = 0, 0 },
		"vouches for itself":     func(h *groupHeader) { h.durable = h.first },
		"entries without a size": func(h *groupHeader) { h.bytes-- },
	} {
		h := sound
		change(&h)
		h.put(b[:])
		if _, ok := decodeGroupHeader(b[:]); ok {
			t.Errorf("%s: %+v is taken", what, h)
		}
	}
}

// TestGroupsAreBounded: a group ends before it is too large, unless its first entry is.
func TestGroupsAreBounded(t *testing.T) {
	t.Parallel()
	body := make([]byte, maxGroupBytes)
	fits := maxGroupBytes - groupSize - 2*entryHeader // of the bodies of two entries
	for _, c := range []struct{ sizes, groups []int }{
		{[]int{1, 2, 3}, []int{3}},
		{[]int{fits - 1, 1}, []int{2}},
		{[]int{fits - 1, 2}, []int{1, 1}},
		{[]int{1, len(body), len(body), 1}, []int{1, 1, 1, 1}},
	} {
		var p pending
		for i, size := range c.sizes {
			p.add(LSN(1+i), &Entry{body: body[:size]})
		}
		var groups []int
		for i := 0; i < len(c.sizes); {
			var b []byte
			from := i
			b, i = p.appendGroup(nil, i, 1, 0)
			groups = append(groups, i-from)
			if h, ok := decodeGroupHeader(b); !ok || int(h.count) != i-from || h.first != LSN(1+from) || int(h.bytes) != len(b)-groupSize {
				t.Fatalf("entries of %v bytes: header %+v, %v", c.sizes, h, ok)
			}
		}
		if !slices.Equal(groups, c.groups) {
			t.Errorf("entries of %v bytes: groups of %v, want %v", c.sizes, groups, c.groups)
		}
	}
}
