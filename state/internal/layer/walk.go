package layer

import "bytes"

// Walk goes over lo <= key < hi of an Order, downwards if reverse; a nil hi is open. The order may change meanwhile.
type Walk struct {
	o       *Order
	key     func(Slot) []byte
	lo, hi  []byte
	reverse bool
	started bool
	changes uint64
	place   Place
	last    []byte // copy of the key it stands on, to find the place again
}

// NewWalk returns a walk that has not begun. key returns the key of a slot. It keeps lo and hi.
func NewWalk(o *Order, key func(Slot) []byte, lo, hi []byte, reverse bool) Walk {
	return Walk{o: o, key: key, lo: lo, hi: hi, reverse: reverse}
}

// Restart makes w a walk over another range that has not begun. It keeps lo and hi, and the memory of the walk before.
func (w *Walk) Restart(o *Order, key func(Slot) []byte, lo, hi []byte, reverse bool) {
	last := w.last[:0]
	*w = NewWalk(o, key, lo, hi, reverse)
	w.last = last
}

// Next moves to the next slot.
func (w *Walk) Next() (Slot, bool) {
	if !w.started || w.changes != w.o.changes {
		w.find()
	}
	var s Slot
	var ok bool
	if w.reverse {
		s, w.place, ok = w.o.Prev(w.place)
	} else {
		s, w.place, ok = w.o.Next(w.place)
	}
	if !ok {
		return 0, false
	}
	key := w.key(s)
	if w.reverse && bytes.Compare(key, w.lo) < 0 || !w.reverse && w.hi != nil && bytes.Compare(key, w.hi) >= 0 {
		return 0, false
	}
	w.last = append(w.last[:0], key...)
	return s, true
}

// find sets place, at the start and after a change.
func (w *Walk) find() {
	switch {
	case w.started:
		w.place = w.seek(w.last)
		if s, after, ok := w.o.Next(w.place); ok && !w.reverse && bytes.Equal(w.key(s), w.last) {
			w.place = after
		}
	case w.reverse && w.hi == nil:
		w.place = w.o.End()
	case w.reverse:
		w.place = w.seek(w.hi)
	default:
		w.place = w.seek(w.lo)
	}
	w.started, w.changes = true, w.o.changes
}

func (w *Walk) seek(key []byte) Place {
	return w.o.Seek(func(s Slot) int { return bytes.Compare(w.key(s), key) })
}
