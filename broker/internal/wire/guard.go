package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	// maxTags bounds the tagged fields of one struct. Kafka defines at most a handful.
	maxTags = 64
	// tagCost is what one unknown tag makes the decoder allocate: a map, its bucket, a slice header.
	tagCost = 256
	// stringCost is what a string takes besides its bytes.
	stringCost = 16
	// nullableCost is what a struct behind a pointer takes.
	nullableCost = 64
	// decodedFactor and decodedSlack bound what a request may decode into, given the length of its body.
	decodedFactor = 16
	decodedSlack  = 64 << 10
)

// ErrMalformed is wrapped by every refusal of a request's bytes.
var ErrMalformed = errors.New("malformed request")

// guard proves that body is a request of s at version: that it can be decoded without reading past its end, that it
// ends where body ends, and that decoding allocates at most a small multiple of its length.
func guard(s *schema, version int16, body []byte) error {
	w := walker{src: body, version: version, flexible: version >= s.flexible, budget: decodedFactor*len(body) + decodedSlack}
	w.fields(s.fields)
	w.structTags(s.tags)
	if w.err == nil && len(w.src) != 0 {
		w.err = fmt.Errorf("%w: %d bytes left over", ErrMalformed, len(w.src))
	}
	return w.err
}

// walker goes over the bytes of a request once, along its schema. The first error sticks and empties src, so that
// every loop ends.
type walker struct {
	src      []byte
	version  int16
	flexible bool
	budget   int // bytes that decoding may still allocate
	err      error
}

func (w *walker) fail(what string) {
	if w.err == nil {
		w.err = fmt.Errorf("%w: %s", ErrMalformed, what)
	}
	w.src = nil
}

func (w *walker) fields(fields []field) {
	for i := range fields {
		if f := &fields[i]; f.in(w.version) {
			w.field(f)
		}
	}
}

func (w *walker) field(f *field) {
	if w.err != nil {
		return
	}
	switch f.kind {
	case fixedField:
		w.skip(f.size)
	case stringField:
		n := w.length(int16Size)
		w.spend(n + stringCost)
		w.skip(n)
	case bytesField:
		w.skip(w.length(int32Size))
	case listField:
		w.list(f)
	case structField:
		w.fields(f.elem)
		w.structTags(f.tags)
	case nullableField:
		w.nullable(f)
	}
}

// nullable walks a struct, unless the byte before it says that there is none.
func (w *walker) nullable(f *field) {
	if len(w.src) == 0 {
		w.fail("truncated struct")
		return
	}
	present := int8(w.src[0]) != -1
	w.src = w.src[1:]
	if present {
		w.spend(nullableCost)
		w.fields(f.elem)
		w.structTags(f.tags)
	}
}

// list checks a count against the bytes left before it walks the elements: each takes at least one byte.
func (w *walker) list(f *field) {
	n := w.length(int32Size)
	if n > len(w.src) {
		w.fail("array count exceeds the bytes present")
		return
	}
	w.spend(n * f.size)
	for ; n > 0 && w.err == nil; n-- {
		w.fields(f.elem)
		if f.record {
			w.structTags(f.tags)
		}
	}
}

// structTags walks the tag section that ends every struct of a flexible version.
func (w *walker) structTags(known []taggedField) {
	if !w.flexible || w.err != nil {
		return
	}
	n := w.uvarint()
	if n > maxTags {
		w.fail("too many tagged fields")
		return
	}
	for ; n > 0 && w.err == nil; n-- {
		key, size := w.uvarint(), w.uvarint()
		if uint64(size) > uint64(len(w.src)) {
			w.fail("tagged field exceeds the bytes present")
			return
		}
		w.spend(tagCost)
		w.tagged(known, key, int(size))
	}
}

// tagged checks one tag's size bytes: by its schema if the decoder looks into it, else they are opaque.
func (w *walker) tagged(known []taggedField, key uint32, size int) {
	for i := range known {
		if known[i].tag != key {
			continue
		}
		rest := w.src[size:]
		w.src = w.src[:size]
		w.field(&known[i].field)
		if w.err == nil && len(w.src) != 0 {
			w.fail("tagged field has bytes left over")
		}
		if w.err == nil {
			w.src = rest
		}
		return
	}
	w.skip(size)
}

// length reads a length or count: a compact one in flexible versions, else an integer of size bytes. Null is 0.
func (w *walker) length(size int) int {
	if w.flexible {
		if n := w.uvarint(); n > 0 {
			return int(n) - 1
		}
		return 0
	}
	if len(w.src) < size {
		w.fail("truncated length")
		return 0
	}
	n := int(int16(binary.BigEndian.Uint16(w.src)))
	if size == int32Size {
		n = int(int32(binary.BigEndian.Uint32(w.src)))
	}
	w.src = w.src[size:]
	if n < -1 {
		w.fail("negative length")
	}
	return max(n, 0)
}

// uvarint reads an unsigned varint of at most 32 bits.
func (w *walker) uvarint() uint32 {
	n, used := binary.Uvarint(w.src[:min(len(w.src), 5)])
	if used <= 0 || n > 1<<31-1 {
		w.fail("bad varint")
		return 0
	}
	w.src = w.src[used:]
	return uint32(n)
}

func (w *walker) skip(n int) {
	if n > len(w.src) {
		w.fail("length exceeds the bytes present")
		return
	}
	w.src = w.src[n:]
}

func (w *walker) spend(n int) {
	if w.budget -= n; w.budget < 0 {
		w.fail("decodes into too much memory")
	}
}
