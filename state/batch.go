package state

import "encoding/binary"

// Batch is a set of writes that an engine applies atomically, in order. The zero Batch is empty.
type Batch struct {
	buf     []byte
	sources []func(write func(op Op, a, b []byte) error) error // writes that follow those in buf, made as they are read
}

// Op is what one write of a batch does.
type Op uint8

// The writes of a batch.
const (
	OpSet         Op = iota + 1 // a is the key, b the value
	OpDelete                    // a is the key
	OpDeleteRange               // a <= key < b
)

// Set writes value under key. It copies both.
func (b *Batch) Set(key, value []byte) { b.put(OpSet, key, value) }

// Delete removes key.
func (b *Batch) Delete(key []byte) { b.put(OpDelete, key, nil) }

// DeleteRange removes lo <= key < hi. Engines pay for it by the call, not by the key: it is meant for wide and rare ranges.
func (b *Batch) DeleteRange(lo, hi []byte) { b.put(OpDeleteRange, lo, hi) }

func (b *Batch) put(op Op, x, y []byte) {
	b.buf = append(b.buf, byte(op))
	b.buf = binary.LittleEndian.AppendUint32(b.buf, uint32(len(x)))
	b.buf = binary.LittleEndian.AppendUint32(b.buf, uint32(len(y)))
	b.buf = append(append(b.buf, x...), y...)
}

// from adds the writes that source gives when the batch is read, so that they need not be copied here.
func (b *Batch) from(source func(write func(op Op, a, b []byte) error) error) {
	b.sources = append(b.sources, source)
}

// Each calls f for every write in order, until it returns an error. The slices are valid during the call.
func (b *Batch) Each(f func(op Op, a, b []byte) error) error {
	for buf := b.buf; len(buf) > 0; {
		op := Op(buf[0])
		x := int(binary.LittleEndian.Uint32(buf[1:]))
		y := int(binary.LittleEndian.Uint32(buf[5:]))
		buf = buf[9:]
		if err := f(op, buf[:x:x], buf[x:x+y:x+y]); err != nil {
			return err
		}
		buf = buf[x+y:]
	}
	for _, s := range b.sources {
		if err := s(f); err != nil {
			return err
		}
	}
	return nil
}

// Empty reports whether there is nothing to write.
func (b *Batch) Empty() bool { return len(b.buf) == 0 && len(b.sources) == 0 }
