package layer

import (
	"bytes"
	"encoding/binary"
)

// Groups finds slots by the beginning of their keys: those whose keys are equal but for a tail of fixed length make a group, and stand in the
// order of their keys. A look-up in time of one key's entries goes through its group alone, where an Order would search through those of all
// keys. The zero Groups is empty.
type Groups struct {
	t       Table[group]
	slots   Arena  // of each group, 4 bytes a slot
	changes uint64 // counts what makes places invalid
}

type group struct {
	ref     Ref
	n, room uint32 // slots
	last    uint64 // no tail begins with more: a key whose tail does comes last, and no other need be looked at
}

const slotLen = 4

func slotAt(b []byte, i int) Slot     { return Slot(binary.LittleEndian.Uint32(b[slotLen*i:])) }
func putSlot(b []byte, i int, s Slot) { binary.LittleEndian.PutUint32(b[slotLen*i:], uint32(s)) }

func (g *Groups) bytesOf(gr *group) []byte { return g.slots.Bytes(gr.ref, slotLen*int(gr.n)) }

// Add adds an entry that is not there yet. tail is the length of what is left out of its key to have the group's. keyOf returns the key of
// a slot.
func (g *Groups) Add(key []byte, tail int, s Slot, keyOf func(Slot) []byte) {
	g.changes++
	prefix := key[:len(key)-tail]
	hash := Hash(prefix)
	at, ok := g.t.Peek(hash, prefix)
	if !ok {
		at = g.t.Insert(hash, prefix)
	}
	gr := g.t.At(at)
	n := int(gr.n)
	if gr.n == gr.room {
		g.grow(gr)
	}
	gr.n++
	b := g.bytesOf(gr)
	i := n
	begin := head(key[len(prefix):])
	if n > 0 && begin <= gr.last && bytes.Compare(keyOf(slotAt(b, n-1)), key) > 0 { // keys come in order, as a rule
		i = seekSlot(b[:slotLen*n], key, keyOf)
		copy(b[slotLen*(i+1):], b[slotLen*i:slotLen*n])
	}
	putSlot(b, i, s)
	gr.last = max(gr.last, begin)
}

func (g *Groups) grow(gr *group) {
	room := max(2*gr.room, 2)
	ref := g.slots.Alloc(slotLen * int(room))
	if gr.room > 0 {
		copy(g.slots.Bytes(ref, slotLen*int(room)), g.bytesOf(gr))
		g.slots.Free(gr.ref, slotLen*int(gr.room))
	}
	gr.ref, gr.room = ref, room
}

// Remove takes an entry out whose key is still known.
func (g *Groups) Remove(key []byte, tail int, keyOf func(Slot) []byte) {
	prefix := key[:len(key)-tail]
	at, ok := g.t.Peek(Hash(prefix), prefix)
	if !ok {
		return
	}
	gr := g.t.At(at)
	b := g.bytesOf(gr)
	i := seekSlot(b, key, keyOf)
	if i == int(gr.n) || !bytes.Equal(keyOf(slotAt(b, i)), key) {
		return
	}
	g.changes++
	copy(b[slotLen*i:], b[slotLen*(i+1):])
	if gr.n--; gr.n == 0 {
		g.slots.Free(gr.ref, slotLen*int(gr.room))
		g.t.Remove(at)
	}
}

// seekSlot returns the place of the first of the slots in b whose key is not below key.
func seekSlot(b []byte, key []byte, keyOf func(Slot) []byte) int {
	lo, hi := 0, len(b)/slotLen
	for lo < hi {
		if mid := (lo + hi) / 2; bytes.Compare(keyOf(slotAt(b, mid)), key) < 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// Bytes returns the memory that it holds.
func (g *Groups) Bytes() int64 { return g.t.Bytes() + g.slots.Used() }

// Reset empties it. It keeps its memory on the terms of Arena.Reset.
func (g *Groups) Reset() {
	g.t.Reset()
	g.slots.Reset()
	g.changes++
}

// GroupWalk goes over lo <= key < hi of a group, downwards if reverse. The groups may change meanwhile.
type GroupWalk struct {
	g       *Groups
	key     func(Slot) []byte
	lo, hi  []byte
	prefix  int // length of the group's key
	reverse bool
	started bool
	changes uint64
	slots   []byte
	i       int
	last    []byte // copy of the key it stands on, to find the place again
}

// Restart makes w a walk that has not begun, of the group whose key is the first prefix bytes of lo and of hi. It keeps both, and the memory of
// the walk before.
func (w *GroupWalk) Restart(g *Groups, key func(Slot) []byte, lo, hi []byte, prefix int, reverse bool) {
	*w = GroupWalk{g: g, key: key, lo: lo, hi: hi, prefix: prefix, reverse: reverse, last: w.last[:0]}
}

// Next moves to the next slot.
func (w *GroupWalk) Next() (Slot, bool) {
	if !w.started || w.changes != w.g.changes {
		w.find()
	}
	if w.reverse {
		w.i--
	}
	if w.i < 0 || w.i >= len(w.slots)/slotLen {
		return 0, false
	}
	s := slotAt(w.slots, w.i)
	key := w.key(s)
	if w.reverse && bytes.Compare(key[w.prefix:], w.lo[w.prefix:]) < 0 || !w.reverse && bytes.Compare(key[w.prefix:], w.hi[w.prefix:]) >= 0 {
		w.slots, w.i = nil, 0
		return 0, false
	}
	if !w.reverse {
		w.i++
	}
	w.last = append(w.last[:0], key...)
	return s, true
}

// find sets the place, at the start and after a change.
func (w *GroupWalk) find() {
	w.slots = nil
	if at, ok := w.g.t.Peek(Hash(w.lo[:w.prefix]), w.lo[:w.prefix]); ok {
		w.slots = w.g.bytesOf(w.g.t.At(at))
	}
	from := w.lo
	again := len(w.last) > 0
	switch {
	case again:
		from = w.last
	case w.reverse:
		from = w.hi
	}
	w.i = seekSlot(w.slots, from, w.key)
	if again && !w.reverse && w.i < len(w.slots)/slotLen && bytes.Equal(w.key(slotAt(w.slots, w.i)), w.last) {
		w.i++
	}
	w.started, w.changes = true, w.g.changes
}
