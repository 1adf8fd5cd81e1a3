package layer

import (
	"bytes"
	"hash/maphash"
)

// seed is one for the process, so that layers can hand hashes to each other.
var seed = maphash.MakeSeed()

// Hash returns the hash of an encoded key, as tables want it. It differs from process to process.
func Hash(key []byte) uint64 { return maphash.Bytes(seed, key) }

// Slot names an entry of a Table until it is removed. Slots are used again.
type Slot uint32

// Table maps encoded keys to payloads of type P. Keys lie in an arena, entries in chunks, and the hash index is an array of
// numbers: if P has no pointers, there is nothing in it for the garbage collector. The zero Table is empty.
type Table[P any] struct {
	index  []uint64 // open addressing, linear probing: high half of the hash, slot + 1; 0 is free
	chunks [][]cell[P]
	next   Slot // slots below have been handed out once
	free   Slot // head of the list of free slots, + 1
	n      int
	hand   Slot // of the CLOCK, see Sweep
	keys   Arena
}

type cell[P any] struct {
	key  Ref // of a free cell: the next free slot + 1
	tag  uint32
	klen int32 // -1: free
	hot  bool  // seen since the hand passed
	p    P
}

const (
	chunkCells = 256
	minIndex   = 16
)

// Len returns the number of entries.
func (t *Table[P]) Len() int { return t.n }

// Find returns the slot of key, which counts as a use for Sweep.
func (t *Table[P]) Find(hash uint64, key []byte) (Slot, bool) {
	s, ok := t.Peek(hash, key)
	if ok {
		t.cell(s).hot = true
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
		c := t.cell(s)
		if int(c.klen) == len(key) && bytes.Equal(t.keys.Bytes(c.key, len(key)), key) {
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
	c.key, c.tag, c.klen, c.hot = t.keys.Alloc(len(key)), uint32(hash>>32), int32(len(key)), true
	copy(t.keys.Bytes(c.key, len(key)), key)
	t.place(uint64(c.tag)<<32 | uint64(s+1))
	t.n++
	return s
}

func (t *Table[P]) newCell() Slot {
	if t.free != 0 {
		s := t.free - 1
		t.free = Slot(t.cell(s).key)
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
	t.keys.Free(c.key, int(c.klen))
	*c = cell[P]{key: Ref(t.free), klen: -1}
	t.free = s + 1
	t.n--
}

func (t *Table[P]) cell(s Slot) *cell[P] { return &t.chunks[s/chunkCells][s%chunkCells] }

// At returns the payload of an entry. It is valid until the next Insert.
func (t *Table[P]) At(s Slot) *P { return &t.cell(s).p }

// Key returns the key of an entry. It is valid until the entry is removed, and must not be changed.
func (t *Table[P]) Key(s Slot) []byte {
	c := t.cell(s)
	return t.keys.Bytes(c.key, int(c.klen))
}

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
		case c.klen < 0:
		case c.hot:
			c.hot = false
		case clean(&c.p):
			return s, steps - 1, true
		}
	}
	return 0, 0, false
}

// All calls f for every slot in use, in no particular order, until it returns false. f may remove the entry it is given.
func (t *Table[P]) All(f func(Slot) bool) {
	for s := Slot(0); s < t.next; s++ {
		if t.cell(s).klen >= 0 && !f(s) {
			return
		}
	}
}

// Reset empties the table. It keeps the memory of a small one.
func (t *Table[P]) Reset() {
	if t.next > chunkCells {
		*t = Table[P]{}
		return
	}
	clear(t.index)
	for _, c := range t.chunks {
		clear(c)
	}
	chunks, index := t.chunks, t.index
	for i := range chunks {
		chunks[i] = chunks[i][:0]
	}
	*t = Table[P]{index: index, chunks: chunks}
}

// Bytes returns the memory that the entries hold.
func (t *Table[P]) Bytes() int64 {
	return t.keys.Used() + int64(t.n)*(int64(sizeOf[cell[P]]())+16) // an index is between 3/8 and 3/4 full
}
