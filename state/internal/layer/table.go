package layer

import (
	"encoding/binary"
	"hash/maphash"
)

// seed is one for the process, so that layers can hand hashes to each other.
var seed = maphash.MakeSeed()

// Hash returns the hash of an encoded key, as tables want it. It differs from process to process.
func Hash(key []byte) uint64 { return maphash.Bytes(seed, key) }

// Slot names an entry of a Table until it is removed. Slots are used again.
type Slot uint32

// Table maps encoded keys to payloads of type P. Entries lie in chunks, long keys in an arena, and the hash index is an array of
// numbers: if P has no pointers, there is nothing in it for the garbage collector. Slots are fewer than 2^30, and keys shorter. The
// zero Table is empty.
type Table[P any] struct {
	index  []uint64 // open addressing, linear probing: high half of the hash, slot + 1; 0 is free
	chunks [][]cell[P]
	next   Slot // slots below have been handed out once
	free   Slot // head of the list of free slots, + 1
	n      int
	hand   Slot // of the CLOCK, see Sweep
	keys   Arena
}

// cell is one entry. A short key stands in it, which saves a cache miss; in place of a long one stands its Ref. With a payload of
// 32 bytes it fills a cache line.
type cell[P any] struct {
	key  [shortKey]byte
	tag  uint32 // high half of the hash
	klen uint32 // length of the key and flags; of a free cell: the next free slot + 1
	p    P
}

const (
	shortKey   = 24
	chunkCells = 256
	minIndex   = 16

	cellUsed = 1 << 31
	cellHot  = 1 << 30 // found since the hand passed it
	klenMask = cellHot - 1
)

func (c *cell[P]) used() bool { return c.klen&cellUsed != 0 }
func (c *cell[P]) len() int   { return int(c.klen & klenMask) }

// keyOf returns the key of a used cell.
func (t *Table[P]) keyOf(c *cell[P]) []byte {
	n := c.len()
	if n <= shortKey {
		return c.key[:n:n]
	}
	return t.keys.Bytes(c.ref(), n)
}

func (c *cell[P]) ref() Ref { return Ref(binary.LittleEndian.Uint64(c.key[:])) }

// Len returns the number of entries.
func (t *Table[P]) Len() int { return t.n }

// Find returns the slot of key, which counts as a use for Sweep.
func (t *Table[P]) Find(hash uint64, key []byte) (Slot, bool) {
	s, ok := t.Peek(hash, key)
	if ok {
		t.cell(s).klen |= cellHot
	}
	return s, ok
}

// Peek is Find without a trace: several goroutines may call it at once while nobody changes the table.
func (t *Table[P]) Peek(hash uint64, key []byte) (Slot, bool) {
	if t.n == 0 {
		return 0, false
	}
	tag, mask := uint32(hash>>32), uint32(len(t.index)-1)
	for i := tag & mask; ; i = (i + 1) & mask {
		x := t.index[i]
		if x == 0 {
			return 0, false
		}
		if uint32(x>>32) != tag {
			continue
		}
		s := Slot(uint32(x)) - 1
		if string(t.keyOf(t.cell(s))) == string(key) {
			return s, true
		}
	}
}

// Insert adds an entry for key, which the table does not have, with a zero payload. It copies key. Payload pointers from
// before are not valid afterwards.
func (t *Table[P]) Insert(hash uint64, key []byte) Slot {
	if 4*(t.n+1) > 3*len(t.index) {
		t.grow()
	}
	s := t.newCell()
	c := t.cell(s)
	c.tag, c.klen = uint32(hash>>32), uint32(len(key))|cellUsed|cellHot
	if len(key) > shortKey {
		binary.LittleEndian.PutUint64(c.key[:], uint64(t.keys.Alloc(len(key))))
	}
	copy(t.keyOf(c), key)
	t.place(uint64(c.tag)<<32 | uint64(s+1))
	t.n++
	return s
}

func (t *Table[P]) newCell() Slot {
	if t.free != 0 {
		s := t.free - 1
		t.free = Slot(t.cell(s).klen)
		return s
	}
	s := t.next
	t.next++
	k := int(s / chunkCells)
	if k == len(t.chunks) {
		t.chunks = append(t.chunks, nil)
		if k > 0 {
			t.chunks[k] = make([]cell[P], 0, chunkCells)
		}
	}
	t.chunks[k] = append(t.chunks[k], cell[P]{}) // the first chunk grows, so that small tables stay small
	return s
}

func (t *Table[P]) place(x uint64) {
	mask := uint32(len(t.index) - 1)
	i := uint32(x>>32) & mask
	for t.index[i] != 0 {
		i = (i + 1) & mask
	}
	t.index[i] = x
}

func (t *Table[P]) grow() {
	old := t.index
	t.index = make([]uint64, max(minIndex, 2*len(old)))
	for _, x := range old {
		if x != 0 {
			t.place(x)
		}
	}
}

// Remove takes an entry out. Its slot may be handed out again.
func (t *Table[P]) Remove(s Slot) {
	c := t.cell(s)
	mask := uint32(len(t.index) - 1)
	want := uint64(c.tag)<<32 | uint64(s+1)
	i := c.tag & mask
	for t.index[i] != want {
		i = (i + 1) & mask
	}
	// Close the gap: move back every following entry that may stand there.
	for j := (i + 1) & mask; t.index[j] != 0; j = (j + 1) & mask {
		home := uint32(t.index[j]>>32) & mask
		if (j-home)&mask >= (j-i)&mask {
			t.index[i] = t.index[j]
			i = j
		}
	}
	t.index[i] = 0
	if n := c.len(); n > shortKey {
		t.keys.Free(c.ref(), n)
	}
	*c = cell[P]{klen: uint32(t.free)}
	t.free = s + 1
	t.n--
}

func (t *Table[P]) cell(s Slot) *cell[P] { return &t.chunks[s/chunkCells][s%chunkCells] }

// At returns the payload of an entry. It is valid until the next Insert.
func (t *Table[P]) At(s Slot) *P { return &t.cell(s).p }

// Key returns the key of an entry. It is valid until the entry is removed, and must not be changed.
func (t *Table[P]) Key(s Slot) []byte { return t.keyOf(t.cell(s)) }

// Used reports whether s is the slot of an entry.
func (t *Table[P]) Used(s Slot) bool { return s < t.next && t.cell(s).used() }

// Sweep moves the CLOCK's hand over at most steps entries, to the first that has not been found since the hand passed it
// last and that clean accepts; the caller removes it. It returns how many steps are left, and whether it found one.
func (t *Table[P]) Sweep(steps int, clean func(*P) bool) (s Slot, left int, ok bool) {
	for ; steps > 0 && t.n > 0; steps-- {
		if t.hand >= t.next {
			t.hand = 0
		}
		s = t.hand
		t.hand++
		switch c := t.cell(s); {
		case !c.used():
		case c.klen&cellHot != 0:
			c.klen &^= cellHot
		case clean(&c.p):
			return s, steps - 1, true
		}
	}
	return 0, 0, false
}

// All calls f for every slot in use, in no particular order, until it returns false. f may remove the entry it is given.
func (t *Table[P]) All(f func(Slot) bool) {
	for s := Slot(0); s < t.next; s++ {
		if t.cell(s).used() && !f(s) {
			return
		}
	}
}

// Reset empties the table. It keeps its memory on the terms of Arena.Reset.
func (t *Table[P]) Reset() {
	if t.next > chunkCells && seldom(int(t.next), chunkCells*len(t.chunks)) {
		*t = Table[P]{}
		return
	}
	clear(t.index)
	for i, c := range t.chunks {
		clear(c)
		t.chunks[i] = c[:0]
	}
	t.keys.Reset()
	*t = Table[P]{index: t.index, chunks: t.chunks, keys: t.keys}
}

// Bytes returns the memory that the entries hold.
func (t *Table[P]) Bytes() int64 {
	return t.keys.Used() + int64(t.n)*(int64(sizeOf[cell[P]]())+16) // an index is between 3/8 and 3/4 full
}
