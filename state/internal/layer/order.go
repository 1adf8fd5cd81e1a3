package layer

import "slices"

// Order keeps slots in the order of their keys, as blocks of bounded size: an insertion moves one block's tail. The
// keys are asked for by cmp, so they stand where they are. The zero Order is empty.
type Order struct {
	blocks  [][]Slot // none is empty
	n       int
	changes uint64 // counts what makes places invalid
}

const orderBlock = 512

// Place is a place between the entries of an Order; it is valid until the next insertion or removal.
type Place struct{ block, i int }

// Len returns the number of slots.
func (o *Order) Len() int { return o.n }

// Build fills an empty order with slots, which it takes over and sorts. compare compares the keys of two slots.
func (o *Order) Build(slots []Slot, compare func(a, b Slot) int) {
	slices.SortFunc(slots, compare)
	o.blocks, o.n = o.blocks[:0], len(slots)
	o.changes++
	for b := range slices.Chunk(slots, orderBlock/2) {
		o.blocks = append(o.blocks, slices.Clip(b))
	}
}

// Seek returns the place before the first slot whose key is not below the sought one: compare returns the order of a slot's key
// relative to that.
func (o *Order) Seek(compare func(Slot) int) Place {
	// The last block whose first key is below, or the first block.
	b, _ := slices.BinarySearchFunc(o.blocks, 0, func(block []Slot, _ int) int {
		if compare(block[0]) < 0 {
			return -1
		}
		return 1
	})
	b = max(b-1, 0)
	if len(o.blocks) == 0 {
		return Place{}
	}
	i, _ := slices.BinarySearchFunc(o.blocks[b], 0, func(s Slot, _ int) int {
		if compare(s) < 0 {
			return -1
		}
		return 1
	})
	return Place{b, i}
}

// End returns the place after the last slot.
func (o *Order) End() Place {
	if len(o.blocks) == 0 {
		return Place{}
	}
	last := len(o.blocks) - 1
	return Place{last, len(o.blocks[last])}
}

// Next returns the slot after p, and the place after that slot.
func (o *Order) Next(p Place) (Slot, Place, bool) {
	for p.block < len(o.blocks) && p.i == len(o.blocks[p.block]) {
		p = Place{p.block + 1, 0}
	}
	if p.block >= len(o.blocks) {
		return 0, p, false
	}
	return o.blocks[p.block][p.i], Place{p.block, p.i + 1}, true
}

// Prev returns the slot before p, and the place before that slot.
func (o *Order) Prev(p Place) (Slot, Place, bool) {
	for p.i == 0 {
		if p.block == 0 {
			return 0, p, false
		}
		p = Place{p.block - 1, len(o.blocks[p.block-1])}
	}
	return o.blocks[p.block][p.i-1], Place{p.block, p.i - 1}, true
}

// Insert adds s at p, which Seek returned for its key.
func (o *Order) Insert(p Place, s Slot) {
	o.n++
	o.changes++
	if len(o.blocks) == 0 {
		o.blocks = append(o.blocks, []Slot{s})
		return
	}
	b := slices.Insert(o.blocks[p.block], p.i, s)
	if len(b) < orderBlock {
		o.blocks[p.block] = b
		return
	}
	half := len(b) / 2
	if p.block == len(o.blocks)-1 && p.i == len(b)-1 {
		half = len(b) - 1 // keys come in order: leave full blocks behind
	}
	right := append(make([]Slot, 0, orderBlock), b[half:]...)
	o.blocks[p.block] = b[:half:half]
	o.blocks = slices.Insert(o.blocks, p.block+1, right)
}

// Remove takes out the slot after p.
func (o *Order) Remove(p Place) {
	_, p, ok := o.Next(p)
	if !ok {
		return
	}
	o.n--
	o.changes++
	b := slices.Delete(o.blocks[p.block], p.i-1, p.i)
	if len(b) == 0 {
		o.blocks = slices.Delete(o.blocks, p.block, p.block+1)
		return
	}
	o.blocks[p.block] = b
}

// Reset empties the order.
func (o *Order) Reset() { *o = Order{changes: o.changes + 1} }
