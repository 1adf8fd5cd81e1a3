package layer

import (
	"cmp"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
)

// number is the key of the slot of that number.
func number(s Slot) []byte { return binary.BigEndian.AppendUint32(nil, uint32(s)) }

// TestOrder compares an order, and walks over it while it changes, with a sorted slice.
func TestOrder(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 3))
	var o Order
	var model []Slot
	for range 1500 {
		model = append(model, Slot(2*r.IntN(5000)))
	}
	slices.Sort(model)
	model = slices.Compact(model)
	o.Build(slices.Clone(model), func(a, b Slot) int { return cmp.Compare(a, b) })
	change := func() {
		s := Slot(r.IntN(10_000))
		p := o.Seek(func(x Slot) int { return cmp.Compare(x, s) })
		i, ok := slices.BinarySearch(model, s)
		if ok {
			o.Remove(p)
			model = slices.Delete(model, i, i+1)
		} else {
			o.Insert(p, s)
			model = slices.Insert(model, i, s)
		}
	}
	for range 150 {
		for range 20 {
			change()
		}
		lo, hi := Slot(r.IntN(10_000)), Slot(r.IntN(10_000))
		reverse := r.IntN(2) == 0
		w := NewWalk(&o, number, number(lo), number(hi), reverse)
		compareWalk(t, r, w.Next, &model, change, lo, hi, reverse)
		if o.Len() != len(model) {
			t.Fatalf("%d slots, want %d", o.Len(), len(model))
		}
	}
}

// compareWalk takes some steps of a walk over what is in the model, which changes meanwhile.
func compareWalk(t *testing.T, r *rand.Rand, step func() (Slot, bool), model *[]Slot, change func(), lo, hi Slot, reverse bool) {
	t.Helper()
	at, started := Slot(0), false
	for range r.IntN(200) {
		if r.IntN(10) == 0 {
			change()
		}
		// The next one is the nearest, as the model is now, beyond the last.
		want, exists := next(*model, lo, hi, reverse, at, started)
		got, ok := step()
		if ok != exists || ok && got != want {
			t.Fatalf("walk %d to %d, reverse %v, after %d: %d, %v; want %d, %v", lo, hi, reverse, at, got, ok, want, exists)
		}
		if !ok {
			return
		}
		at, started = got, true
	}
}

func next(model []Slot, lo, hi Slot, reverse bool, after Slot, started bool) (Slot, bool) {
	list := slices.Clone(model)
	if reverse {
		slices.Reverse(list)
	}
	for _, s := range list {
		if s < lo || s >= hi || started && (!reverse && s <= after || reverse && s >= after) {
			continue
		}
		return s, true
	}
	return 0, false
}

// TestOrderAscending: keys that come in order leave full blocks.
func TestOrderAscending(t *testing.T) {
	t.Parallel()
	var o Order
	const n = 50 * orderBlock
	for s := range Slot(n) {
		o.Insert(o.End(), s)
	}
	if len(o.blocks) > n/orderBlock+2 {
		t.Errorf("%d blocks for %d slots", len(o.blocks), n)
	}
	p := o.Seek(func(Slot) int { return 0 })
	for want := range Slot(n) {
		s, after, ok := o.Next(p)
		if !ok || s != want {
			t.Fatalf("%d, %v; want %d", s, ok, want)
		}
		p = after
	}
}

// TestWalkOverReset: a walk whose order is emptied is at its end, until something comes after where it stands.
func TestWalkOverReset(t *testing.T) {
	t.Parallel()
	var o Order
	o.Build([]Slot{1, 2, 3}, func(a, b Slot) int { return cmp.Compare(a, b) })
	w := NewWalk(&o, number, nil, nil, false)
	if s, ok := w.Next(); s != 1 || !ok {
		t.Errorf("%d, %v, want 1", s, ok)
	}
	again := w
	o.Reset()
	if s, ok := w.Next(); ok {
		t.Errorf("slot %d of an empty order", s)
	}
	w = again // had it not asked meanwhile
	o.Insert(o.Seek(func(Slot) int { return 0 }), 2)
	if s, ok := w.Next(); s != 2 || !ok {
		t.Errorf("%d, %v, want 2", s, ok)
	}
}
