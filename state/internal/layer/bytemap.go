package layer

import "bytes"

// Map maps encoded keys to bytes, with an order over the keys, or over those of groups, once somebody asks for it. Keys that were deleted can
// stay, as tombstones. Each entry carries a Mark, by which its user says what may leave. The zero Map is empty.
type Map struct {
	t       Table[value]
	vals    Arena
	order   Order
	key     func(Slot) []byte // of t: bound with the order, since that allocates
	ordered bool
	groups  Groups
	tail    int // what the groups' keys lack; 0: there are none
}

type value struct {
	ref  Ref
	len  int32 // -1: tombstone
	room int32 // what the block was allocated for
	mark Mark
}

// Mark is what the user of a Map notes about an entry: the epoch of its last write, and where that stands in a log. New
// entries have the zero Mark.
type Mark struct {
	Epoch uint64
	Pos   Pos
}

// Entry is what a Map holds for a key. Value is valid until the next call that changes the map.
type Entry struct {
	Slot      Slot
	Value     []byte
	Tombstone bool
}

// Len returns the number of entries, tombstones included.
func (m *Map) Len() int { return m.t.n }

// Bytes returns the memory that the entries hold.
func (m *Map) Bytes() int64 {
	return m.t.Bytes() + m.vals.Used() + 4*int64(m.order.n) + m.groups.Bytes()
}

// Get returns the entry of key.
func (m *Map) Get(hash uint64, key []byte) (Entry, bool) {
	s, ok := m.t.Find(hash, key)
	if !ok {
		return Entry{}, false
	}
	return m.entry(s), true
}

func (m *Map) entry(s Slot) Entry {
	v := m.t.At(s)
	if v.len < 0 {
		return Entry{Slot: s, Tombstone: true}
	}
	return Entry{Slot: s, Value: m.vals.Bytes(v.ref, int(v.len))}
}

// Put writes a copy of val under key. The mark stays.
func (m *Map) Put(hash uint64, key, val []byte) Slot {
	s := m.slot(hash, key)
	v := m.t.At(s)
	if v.ref == 0 || blockCap(int(v.room)) < len(val) {
		m.release(v)
		v.ref, v.room = m.vals.Alloc(len(val)), int32(len(val))
	}
	v.len = int32(len(val))
	copy(m.vals.Bytes(v.ref, len(val)), val)
	return s
}

// Mark returns the mark of an entry, to be read or written. It is valid until the next call that changes the map.
func (m *Map) Mark(s Slot) *Mark { return &m.t.At(s).mark }

// Bury writes a tombstone under key. The mark stays.
func (m *Map) Bury(hash uint64, key []byte) Slot {
	s := m.slot(hash, key)
	v := m.t.At(s)
	m.release(v)
	v.len = -1
	return s
}

func (m *Map) release(v *value) {
	if v.ref != 0 {
		m.vals.Free(v.ref, int(v.room))
		v.ref, v.room = 0, 0
	}
}

// slot returns the slot of key, a new one if need be.
func (m *Map) slot(hash uint64, key []byte) Slot {
	s, ok := m.t.Find(hash, key)
	if ok {
		return s
	}
	s = m.t.Insert(hash, key)
	if m.ordered {
		m.order.Insert(m.seek(key), s)
	}
	if m.tail > 0 {
		m.groups.Add(key, m.tail, s, m.key)
	}
	return s
}

// Remove takes an entry out.
func (m *Map) Remove(s Slot) {
	if m.ordered {
		m.order.Remove(m.seek(m.t.Key(s)))
	}
	if m.tail > 0 {
		m.groups.Remove(m.t.Key(s), m.tail, m.key)
	}
	m.release(m.t.At(s))
	m.t.Remove(s)
}

// RemoveTombstone takes s out if it holds a tombstone not younger than epoch.
func (m *Map) RemoveTombstone(s Slot, epoch uint64) {
	if !m.t.Used(s) {
		return
	}
	if v := m.t.At(s); v.len < 0 && v.mark.Epoch <= epoch {
		m.Remove(s)
	}
}

// Evict removes entries that were written in epoch or before and have not been asked for lately, until the map holds at
// most limit bytes or steps entries were looked at. It returns how many it removed.
func (m *Map) Evict(limit int64, epoch uint64, steps int) (evicted int) {
	clean := func(v *value) bool { return v.mark.Epoch <= epoch }
	for m.Bytes() > limit {
		var s Slot
		var ok bool
		if s, steps, ok = m.t.Sweep(steps, clean); !ok {
			break
		}
		m.Remove(s)
		evicted++
	}
	return evicted
}

func (m *Map) seek(key []byte) Place {
	return m.order.Seek(func(s Slot) int { return bytes.Compare(m.t.Key(s), key) })
}

// sort makes the order, if nobody has asked for it before.
func (m *Map) sort() {
	if m.ordered {
		return
	}
	slots := make([]Slot, 0, m.t.n)
	m.t.All(func(s Slot) bool { slots = append(slots, s); return true })
	m.order.Build(slots, func(a, b Slot) int { return bytes.Compare(m.t.Key(a), m.t.Key(b)) })
	m.key, m.ordered = m.t.Key, true
}

// group makes the groups, if nobody has asked for them before.
func (m *Map) group(tail int) {
	if m.tail > 0 {
		return
	}
	m.key, m.tail = m.t.Key, tail
	m.t.All(func(s Slot) bool { m.groups.Add(m.t.Key(s), tail, s, m.key); return true })
}

// Cursor walks over a range of a Map, or of one of its groups. The map may change meanwhile: what lies ahead is seen as it is when the
// cursor gets there.
type Cursor struct {
	m       *Map
	w       Walk
	g       GroupWalk
	grouped bool
}

// Scan returns a cursor before the first entry with lo <= key < hi, or behind the last one if reverse. A nil hi is open. It
// keeps lo and hi.
func (m *Map) Scan(lo, hi []byte, reverse bool) *Cursor {
	c := &Cursor{}
	m.Restart(c, lo, hi, reverse)
	return c
}

// Restart makes c what Scan returns, in the memory of a cursor that is not used any more.
func (m *Map) Restart(c *Cursor, lo, hi []byte, reverse bool) {
	m.sort()
	c.m, c.grouped = m, false
	c.w.Restart(&m.order, m.key, lo, hi, reverse)
}

// RestartGroup is Restart within a group: that of the keys which begin as lo and hi do and go on for tail bytes. Those begin with the same
// prefix bytes. All groups of a map have keys with the same tail.
func (m *Map) RestartGroup(c *Cursor, lo, hi []byte, prefix, tail int, reverse bool) {
	m.group(tail)
	c.m, c.grouped = m, true
	c.g.Restart(&m.groups, m.key, lo, hi, prefix, reverse)
}

// Next moves to the next entry and returns it with its key, both valid until the map changes.
func (c *Cursor) Next() (key []byte, e Entry, ok bool) {
	var s Slot
	if c.grouped {
		s, ok = c.g.Next()
	} else {
		s, ok = c.w.Next()
	}
	if !ok {
		return nil, Entry{}, false
	}
	return c.m.t.Key(s), c.m.entry(s), true
}
