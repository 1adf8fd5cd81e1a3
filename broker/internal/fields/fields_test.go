package fields

import (
	"encoding/binary"
	"errors"
	"math"
	"testing"
)

// sample is a record with a field of each type.
func sample() []byte {
	b := []byte{7}
	b = AppendBool(AppendBool(b, true), false)
	b = binary.AppendVarint(b, math.MinInt64)
	b = AppendString(b, "text")
	b = AppendString(b, []byte{1, 2})
	b = AppendString(b, "")
	b = append(b, make([]byte, 15)...)
	b = append(b, 9)
	return binary.AppendVarint(b, 0) // a count
}

// read is what a decoder finds in a record as sample makes it.
type read struct {
	kind      byte
	yes, no   bool
	least     int64
	text      string
	two, none string
	id        [16]byte
	elements  int64
}

func (r *read) from(d *Decoder) {
	r.kind, r.yes, r.no, r.least, r.text = d.Byte(), d.Bool(), d.Bool(), d.Int(), d.String()
	r.two, r.none, r.id, r.elements = string(d.Bytes()), string(d.Bytes()), d.ID(), d.Count(1)
}

// TestRoundTrip: fields come back as they were written, and a record that is cut off or goes on is damaged.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	want := read{kind: 7, yes: true, least: math.MinInt64, text: "text", two: "\x01\x02", id: [16]byte{15: 9}}
	b := sample()
	var got read
	d := NewDecoder(b)
	if got.from(d); d.End() != nil || got != want {
		t.Errorf("got %+v, %v", got, d.End())
	}
	for n := range b {
		d := NewDecoder(b[:n])
		if new(read).from(d); !errors.Is(d.End(), ErrDamaged) {
			t.Errorf("%d of %d bytes: %v", n, len(b), d.End())
		}
	}
	d = NewDecoder(append(b, 0))
	if new(read).from(d); !errors.Is(d.End(), ErrDamaged) {
		t.Errorf("a byte too many: %v", d.End())
	}
}

// TestAfterDamage: all fields after the first that is not there are zero, though there are bytes for them.
func TestAfterDamage(t *testing.T) {
	t.Parallel()
	for what, spoil := range map[string]func(*Decoder){
		"failed":             func(d *Decoder) { d.Fail() },
		"a length too large": func(d *Decoder) { d.src = append(binary.AppendVarint(nil, 1<<40), d.src...); _ = d.String() },
		"a negative length":  func(d *Decoder) { d.src = append(binary.AppendVarint(nil, -1), d.src...); d.Bytes() },
		"an endless integer": func(d *Decoder) {
			d.src = append([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), d.src...)
			d.Int()
		},
		"too many elements":   func(d *Decoder) { d.src = append(binary.AppendVarint(nil, 5), 1, 1, 1, 1, 1, 1, 1, 1, 1); d.Count(2) },
		"a negative count":    func(d *Decoder) { d.src = append(binary.AppendVarint(nil, -2), d.src...); d.Count(1) },
		"an id that is short": func(d *Decoder) { d.src = d.src[:15]; d.ID() },
	} {
		d := NewDecoder(sample())
		spoil(d)
		var got read
		if got.from(d); got != (read{}) || !errors.Is(d.End(), ErrDamaged) {
			t.Errorf("%s: %+v, %v", what, got, d.End())
		}
	}
	d := NewDecoder(append(binary.AppendVarint(nil, 4), 1, 1, 1, 1, 1, 1, 1, 1))
	if n := d.Count(2); n != 4 {
		t.Errorf("%d elements of two bytes", n)
	}
}

// TestBytesAreACopy: what was decoded outlives the record.
func TestBytesAreACopy(t *testing.T) {
	t.Parallel()
	b := AppendString(nil, "ab")
	got := NewDecoder(b).Bytes()
	if b[1] = 'x'; string(got) != "ab" {
		t.Errorf("got %q", got)
	}
	if got := NewDecoder(AppendString(nil, "")).Bytes(); got != nil {
		t.Errorf("no bytes are %v, not nil", got)
	}
}

// FuzzDecode takes fields off anything: it never panics, and takes no more than there is.
func FuzzDecode(f *testing.F) {
	f.Add(sample())
	f.Fuzz(func(t *testing.T, b []byte) {
		d := NewDecoder(b)
		var r read
		r.from(d)
		if len(r.text)+len(r.two)+len(r.none) > len(b) || r.elements < 0 || r.elements > int64(len(b)) {
			t.Fatalf("%d bytes hold %+v", len(b), r)
		}
	})
}
