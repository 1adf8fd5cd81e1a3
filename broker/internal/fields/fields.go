// Package fields is how the coordinators' records are encoded: one byte of kind, then fields. Integers are zigzag varints, strings and
// bytes have their length before them, topic ids are 16 bytes. The records are on disk (broker/FORMAT.md).
package fields

import (
	"encoding/binary"
	"errors"
)

// ErrDamaged is the error of a record that is not what its kind says.
var ErrDamaged = errors.New("damaged record")

// AppendString appends a string, or bytes, with the length before it.
func AppendString[T string | []byte](b []byte, s T) []byte {
	return append(binary.AppendVarint(b, int64(len(s))), s...)
}

// AppendBool appends a byte: 1 or 0.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// Decoder takes fields off the front of a record. The first that is not there makes it bad, and all later ones are zero: who decodes
// checks once, with End.
type Decoder struct {
	src []byte
	bad bool
}

// NewDecoder returns a decoder of a record, which it does not change.
func NewDecoder(record []byte) *Decoder { return &Decoder{src: record} }

func (d *Decoder) take(n int64) []byte {
	if d.bad || n < 0 || n > int64(len(d.src)) {
		d.bad = true
		return nil
	}
	b := d.src[:n]
	d.src = d.src[n:]
	return b
}

// Fail makes the record bad: what it says cannot be.
func (d *Decoder) Fail() { d.bad = true }

// Byte reads a byte.
func (d *Decoder) Byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

// Bool reads a byte that is 1 for true.
func (d *Decoder) Bool() bool { return d.Byte() == 1 }

// Int reads an integer.
func (d *Decoder) Int() int64 {
	v, n := binary.Varint(d.src)
	if d.bad || n <= 0 {
		d.bad = true
		return 0
	}
	d.src = d.src[n:]
	return v
}

// Count reads a number of elements, each of which takes at least size bytes, so that loops and memory are bounded by the input.
func (d *Decoder) Count(size int) int64 {
	n := d.Int()
	if n < 0 || n > int64(len(d.src)/size) {
		d.bad = true
		return 0
	}
	return n
}

// String reads a string.
func (d *Decoder) String() string { return string(d.take(d.Int())) }

// Bytes reads bytes, and returns a copy, nil if there are none.
func (d *Decoder) Bytes() []byte { return append([]byte(nil), d.take(d.Int())...) }

// ID reads a topic id.
func (d *Decoder) ID() (id [16]byte) {
	copy(id[:], d.take(int64(len(id))))
	return id
}

// End returns ErrDamaged unless the record was read whole and sound.
func (d *Decoder) End() error {
	if d.bad || len(d.src) != 0 {
		return ErrDamaged
	}
	return nil
}
