package layer

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
)

// grouped is the key of the slot of that number: the group, and what stands in it.
func grouped(s Slot) []byte {
	return binary.BigEndian.AppendUint32([]byte{'k', byte(s / 1000)}, uint32(s%1000))
}

// TestGroups compares groups, and walks over them while they change, with a sorted slice.
func TestGroups(t *testing.T) {
	t.Parallel()
	const tail = 4
	r := rand.New(rand.NewPCG(2, 3))
	var g Groups
	var model []Slot
	change := func() {
		s := Slot(r.IntN(5000))
		if r.IntN(3) > 0 && len(model) > 0 && model[len(model)-1] < 4999 {
			s = model[len(model)-1] + 1 // as time goes
		}
		if i, ok := slices.BinarySearch(model, s); ok {
			g.Remove(grouped(s), tail, grouped)
			model = slices.Delete(model, i, i+1)
		} else {
			g.Remove(grouped(s), tail, grouped) // which does nothing
			g.Add(grouped(s), tail, s, grouped)
			model = slices.Insert(model, i, s)
		}
	}
	var w GroupWalk
	for round := range 400 {
		for range 20 {
			change()
		}
		if round%100 == 50 {
			g.Reset()
			model = nil
		}
		group := Slot(1000 * r.IntN(6)) // of the last there is none
		lo, hi := group+Slot(r.IntN(1000)), group+Slot(r.IntN(1000))
		reverse := r.IntN(2) == 0
		w.Restart(&g, grouped, grouped(lo), grouped(hi), 2, reverse)
		compareWalk(t, r, w.Next, &model, change, lo, hi, reverse)
	}
	for _, s := range model {
		g.Remove(grouped(s), tail, grouped)
	}
	if g.t.Len() > 0 || g.Bytes() > 0 {
		t.Errorf("%d groups are left, of %d bytes", g.t.Len(), g.Bytes())
	}
}

// TestGroupWalkLosesItsPlace: a walk whose group loses the entry it stands on, the last one, or all of them, is at its end.
func TestGroupWalkLosesItsPlace(t *testing.T) {
	t.Parallel()
	const tail = 4
	for _, c := range []struct {
		name   string
		steps  int
		change func(*Groups)
	}{
		{"entry", 3, func(g *Groups) { g.Remove(grouped(2), tail, grouped) }},
		{"all", 1, func(g *Groups) { g.Reset() }},
		{"all, at the end", 3, func(g *Groups) { g.Reset() }},
	} {
		var g Groups
		for s := range Slot(3) {
			g.Add(grouped(s), tail, s, grouped)
		}
		var w GroupWalk
		w.Restart(&g, grouped, grouped(0), grouped(999), 2, false)
		for range c.steps {
			w.Next()
		}
		c.change(&g)
		for range 2 {
			if s, ok := w.Next(); ok {
				t.Errorf("%s: slot %d after the last", c.name, s)
			}
		}
	}
}
