package layer

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

func TestArenaClasses(t *testing.T) {
	t.Parallel()
	last, lastSize := -1, 0
	for n := range maxBlock + 1 {
		c, size := class(n)
		if size < n || c < last || c >= classes || c == last && size != lastSize || c > last+1 {
			t.Fatalf("class(%d) = %d of %d bytes, after class %d of %d", n, c, size, last, lastSize)
		}
		if n > fineBlock && 4*(size-n) > size {
			t.Fatalf("class(%d) wastes %d bytes", n, size-n)
		}
		last, lastSize = c, size
	}
	if last != classes-1 {
		t.Errorf("%d classes in use, %d declared", last+1, classes)
	}
}

// TestArenaBlocks writes each block and checks that no other write reaches it.
func TestArenaBlocks(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 1))
	var a Arena
	type block struct {
		ref  Ref
		n    int
		fill byte
	}
	var live []block
	for i := range 20_000 {
		if len(live) > 0 && (r.IntN(3) == 0 || len(live) > 300) {
			k := r.IntN(len(live))
			b := live[k]
			if want := bytes.Repeat([]byte{b.fill}, b.n); !bytes.Equal(a.Bytes(b.ref, b.n), want) {
				t.Fatalf("block of %d bytes was overwritten", b.n)
			}
			a.Free(b.ref, b.n)
			live[k] = live[len(live)-1]
			live = live[:len(live)-1]
			continue
		}
		n := r.IntN(300)
		if r.IntN(100) == 0 {
			n = r.IntN(3 * maxBlock)
		}
		b := block{a.Alloc(n), n, byte(i)}
		for j := range a.Bytes(b.ref, b.n) {
			a.Bytes(b.ref, b.n)[j] = b.fill
		}
		live = append(live, b)
	}
	for _, b := range live {
		a.Free(b.ref, b.n)
	}
	if a.Used() != 0 {
		t.Errorf("%d bytes used in the end", a.Used())
	}
}

// TestReset: what is filled and emptied in turn makes no memory any more, and gives up what it needs no longer.
func TestReset(t *testing.T) { // counts allocations: not in parallel
	key := func(i int) []byte { return fmt.Appendf(nil, "a key that is longer than a cell %08d", i) }
	var keys [3000][]byte
	for i := range keys {
		keys[i] = key(i)
	}
	var table Table[[4]uint64]
	var groups Groups
	of := func(s Slot) []byte { return keys[s] }
	fill := func(n int) {
		for i := range n {
			s := table.Insert(Hash(keys[i]), keys[i])
			table.At(s)[0] = uint64(i)
			groups.Add(keys[i], 2, Slot(i), of)
		}
		for i := range n {
			s, ok := table.Find(Hash(keys[i]), keys[i])
			if !ok || table.At(s)[0] != uint64(i) || table.At(s)[1] != 0 || !bytes.Equal(table.Key(s), keys[i]) {
				t.Fatalf("entry %d: %v, %s, %v", i, ok, table.Key(s), *table.At(s))
			}
		}
		if table.Len() != n || groups.t.Len() != (n+99)/100 {
			t.Fatalf("%d entries, %d groups of %d", table.Len(), groups.t.Len(), n)
		}
		table.Reset()
		groups.Reset()
		if table.Len() != 0 || table.Bytes() != 0 || groups.Bytes() != 0 {
			t.Fatal("not empty after Reset")
		}
	}
	fill(len(keys))
	if n := testing.AllocsPerRun(10, func() { fill(len(keys)) }); n > 0 {
		t.Errorf("%v allocations to fill it again", n)
	}
	fill(len(keys) / 5)
	if len(table.chunks) > 0 || len(table.keys.chunks) > 0 || len(groups.slots.chunks) > 0 {
		t.Error("memory is kept of which a fifth was used")
	}
	fill(len(keys))
}
