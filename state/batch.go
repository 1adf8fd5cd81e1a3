package state

// Batch is a set of writes that an engine applies atomically, in order. The zero Batch is empty.
type Batch struct {
	buf []byte
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
func (b *Batch) Set(key, value []byte) { panic("") }

// Delete removes key.
func (b *Batch) Delete(key []byte) { panic("") }

// DeleteRange removes lo <= key < hi. Engines pay for it by the call, not by the key: it is meant for wide and rare ranges.
func (b *Batch) DeleteRange(lo, hi []byte) { panic("") }

// Each calls f for every write in order. The slices are valid during the call.
func (b *Batch) Each(f func(op Op, a, b []byte) error) error { panic("") }

// Len is the size in bytes.
func (b *Batch) Len() int { return len(b.buf) }

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() { b.buf = b.buf[:0] }
