package layer

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestTable compares a table with a map, with keys short and long, and with hashes that collide.
func TestTable(t *testing.T) {
	t.Parallel()
	for name, hash := range map[string]func([]byte) uint64{
		"hash":      Hash,
		"colliding": func(k []byte) uint64 { return uint64(len(k)%3) << 32 },
		"clustered": func(k []byte) uint64 { return (Hash(k) >> 32 & 0xf) << 32 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(1, 2))
			var table Table[int]
			model := map[string]int{}
			for i := range 6_000 {
				key := fmt.Appendf(nil, "%0*d", r.IntN(40), r.IntN(200))
				s, ok := table.Find(hash(key), key)
				want, exists := model[string(key)]
				if ok != exists || ok && (*table.At(s) != want || string(table.Key(s)) != string(key)) {
					t.Fatalf("find %q: %v, want %v", key, ok, exists)
				}
				switch {
				case ok && r.IntN(2) == 0:
					table.Remove(s)
					delete(model, string(key))
				case ok:
					*table.At(s), model[string(key)] = i, i
				case r.IntN(3) > 0:
					s := table.Insert(hash(key), key)
					if *table.At(s) != 0 {
						t.Fatal("a new entry is not zero")
					}
					*table.At(s), model[string(key)] = i, i
				}
				if r.IntN(2000) == 0 {
					table.Reset()
					clear(model)
				}
			}
			n := 0
			table.All(func(s Slot) bool {
				n++
				if model[string(table.Key(s))] != *table.At(s) {
					t.Errorf("entry %q differs", table.Key(s))
				}
				return true
			})
			if n != len(model) || table.Len() != n {
				t.Errorf("%d entries, Len %d, want %d", n, table.Len(), len(model))
			}
		})
	}
}

// TestTableSweep: what is used stays, what is not goes, what is not clean stays in any case.
func TestTableSweep(t *testing.T) {
	t.Parallel()
	var table Table[bool] // the payload says: clean
	key := func(i int) []byte { return fmt.Appendf(nil, "key%d", i) }
	for i := range 1000 {
		*table.At(table.Insert(Hash(key(i)), key(i))) = i%2 == 0
	}
	sweep := func(steps int) (removed int) {
		for {
			var s Slot
			var ok bool
			if s, steps, ok = table.Sweep(steps, func(clean *bool) bool { return *clean }); !ok {
				return removed
			}
			table.Remove(s)
			removed++
		}
	}
	if n := sweep(1000); n != 0 {
		t.Errorf("%d entries removed before the hand was round", n)
	}
	for i := range 100 {
		table.Find(Hash(key(i)), key(i))
	}
	if n := sweep(1000); n != 450 {
		t.Errorf("%d entries removed, want those of 500 clean ones that were not among the 50 used", n)
	}
	for i := range 1000 {
		_, ok := table.Peek(Hash(key(i)), key(i))
		if want := i < 100 || i%2 == 1; ok != want {
			t.Fatalf("entry %d there: %v", i, ok)
		}
	}
}

func TestTableFindAllocatesNothing(t *testing.T) {
	var table Table[[4]int64]
	key := []byte("a key that is longer than a short one")
	table.Insert(Hash(key), key)
	if n := testing.AllocsPerRun(100, func() { table.Find(Hash(key), key) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
