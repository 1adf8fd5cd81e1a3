package layer

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestLog compares what a log gives, in order and sorted, with slices and maps.
func TestLog(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 4))
	var l Log
	for round := range 5 {
		var all []string
		last := map[string]string{}
		for range 3000 {
			key := fmt.Sprint("prefix", r.IntN(1000))
			if r.IntN(4) == 0 {
				l.Bury(Hash([]byte(key)), []byte(key))
				last[key] = "-"
			} else {
				val := bytes.Repeat([]byte{byte('a' + r.IntN(26))}, r.IntN(300))
				l.Put(Hash([]byte(key)), []byte(key), val[:len(val)/2], val[len(val)/2:])
				last[key] = string(val)
			}
			all = append(all, key+"="+last[key])
		}
		var got []string
		l.All(func(r Record) {
			if r.Hash != Hash(r.Key) {
				t.Fatal("another hash")
			}
			got = append(got, show(r))
		})
		if !slices.Equal(got, all) {
			t.Fatalf("round %d: the log differs", round)
		}
		var want []string
		for _, k := range slices.Sorted(maps.Keys(last)) {
			want = append(want, k+"="+last[k])
		}
		if got := sorted(t, &l); !slices.Equal(got, want) {
			t.Fatalf("round %d: sorted, the log differs", round)
		}
		l.Reset()
		if l.Len() != 0 || l.Bytes() != 0 || len(sorted(t, &l)) != 0 {
			t.Fatal("not empty after Reset")
		}
		if len(l.spare) > logSpare {
			t.Fatalf("%d pieces of memory are kept", len(l.spare))
		}
	}
}

func show(r Record) string {
	if r.Tombstone {
		return string(r.Key) + "=-"
	}
	return fmt.Sprintf("%s=%s", r.Key, r.Value)
}

func sorted(t *testing.T, l *Log) (list []string) {
	if err := l.Sorted(func(r Record) error { list = append(list, show(r)); return nil }); err != nil {
		t.Fatal(err)
	}
	return list
}

func TestLogOverwriteAndKill(t *testing.T) {
	t.Parallel()
	var l Log
	put := func(k, v string) Pos { return l.Put(Hash([]byte(k)), []byte(k), []byte(v), nil) }
	put("b", "1")
	a := put("a", "22")
	c := put("c", "3")
	if !l.Overwrite(a, []byte("xy")) {
		t.Error("a value of the same length was not overwritten")
	}
	if l.Overwrite(a, []byte("longer")) {
		t.Error("a value of another length was overwritten")
	}
	l.Kill(c)
	l.Kill(l.Bury(Hash([]byte("d")), []byte("d")))
	put("e", "")
	if got, want := sorted(t, &l), []string{"a=xy", "b=1", "e="}; !slices.Equal(got, want) || l.Len() != len(want) {
		t.Errorf("%v, Len %d; want %v", got, l.Len(), want)
	}
	stop := errors.New("stop")
	if err := l.Sorted(func(Record) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("%v, want the error of f", err)
	}
}

// TestLogShed: records are shed from the front alone, and the places of those that stay are what they were.
func TestLogShed(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 6))
	var l Log
	type kept struct {
		n   int
		pos Pos
	}
	var model []kept
	key := func(n int) []byte { return fmt.Appendf(nil, "%08d", n) }
	value := func(n, version int) []byte { return bytes.Repeat([]byte{byte(n), byte(version)}, 500) }
	put := func(n int) {
		model = append(model, kept{n, l.Put(Hash(key(n)), key(n), value(n, 0), nil)})
	}
	low, shed := 0, 0
	for n := range 20_000 {
		put(n + r.IntN(100)) // nearly in order
		switch r.IntN(100) {
		case 0:
			i := r.IntN(len(model))
			l.Kill(model[i].pos)
			model = slices.Delete(model, i, i+1)
		case 1:
			x := model[r.IntN(len(model))]
			if !l.Overwrite(x.pos, value(x.n, 1)) || !l.Overwrite(x.pos, value(x.n, 0)) {
				t.Fatal("a record has another length")
			}
		case 2:
			low = max(n-1000, 0)
			before := l.Len()
			l.Shed(func(k []byte) bool { return bytes.Compare(k, key(low)) < 0 })
			gone := before - l.Len()
			for _, x := range model[:gone] {
				if x.n >= low {
					t.Fatalf("record %d was shed, %d and above were to stay", x.n, low)
				}
			}
			model, shed = model[gone:], shed+gone
		}
	}
	if shed < 18_000 || l.Bytes() > 2000*1100 {
		t.Errorf("%d records were shed, %d bytes are left", shed, l.Bytes())
	}
	i := 0
	l.All(func(r Record) {
		if x := model[i]; !bytes.Equal(r.Key, key(x.n)) || !bytes.Equal(r.Value, value(x.n, 0)) {
			t.Fatalf("record %d is %s, want %d", i, r.Key, x.n)
		}
		i++
	})
	if i != len(model) || l.Len() != i {
		t.Errorf("%d records, Len %d, want %d", i, l.Len(), len(model))
	}
	l.Shed(func([]byte) bool { return true })
	if i = 0; l.Len() == 0 || l.Len() > logChunk/1000 {
		t.Errorf("%d records are left, want those of one piece of memory", l.Len())
	}
	if l.All(func(Record) { i++ }); i != l.Len() {
		t.Errorf("%d records, Len %d", i, l.Len())
	}
}

// TestMap: values of changing lengths, tombstones, marks.
func TestMap(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 5))
	var m Map
	model := map[string]string{}
	for i := range 20_000 {
		key := fmt.Appendf(nil, "key%d", r.IntN(300))
		hash := Hash(key)
		switch r.IntN(4) {
		case 0:
			s := m.Bury(hash, key)
			m.Mark(s).Epoch = uint64(i)
			delete(model, string(key))
			if r.IntN(2) == 0 {
				m.RemoveTombstone(s, uint64(i))
				if _, ok := m.Get(hash, key); ok {
					t.Fatal("the tombstone is still there")
				}
			}
		default:
			val := bytes.Repeat([]byte{byte(i)}, r.IntN(200))
			m.Put(hash, key, val)
			model[string(key)] = string(val)
		}
		if r.IntN(500) == 0 {
			var got []string
			for c := m.Scan(nil, nil, false); ; {
				k, e, ok := c.Next()
				if !ok {
					break
				}
				if !e.Tombstone {
					got = append(got, string(k)+string(e.Value))
				}
			}
			var want []string
			for _, k := range slices.Sorted(maps.Keys(model)) {
				want = append(want, k+model[k])
			}
			if !slices.Equal(got, want) {
				t.Fatal("the map differs")
			}
		}
	}
}

// TestLogKeepsLittle: a log that has been large gives its memory up, above all that of large records.
func TestLogKeepsLittle(t *testing.T) {
	t.Parallel()
	var l Log
	for i := range 4 * logSpare {
		l.Put(0, []byte{byte(i)}, make([]byte, (1+i%2)*logChunk*3/4), nil)
	}
	l.Reset()
	room := 0
	for _, c := range l.spare {
		room = max(room, cap(c))
	}
	if len(l.spare) != logSpare || room > logChunk {
		t.Errorf("%d pieces of memory are kept, the largest of %d bytes", len(l.spare), room)
	}
}

// TestMapBytes: what entries hold counts, and does no more when they have left.
func TestMapBytes(t *testing.T) {
	t.Parallel()
	const n, length = 100, 10_000
	var m Map
	key := func(i int) []byte { return fmt.Appendf(nil, "a key that is longer than a cell %d", i) }
	for i := range n {
		m.Put(Hash(key(i)), key(i), nil)
		m.Put(Hash(key(i)), key(i), make([]byte, length/2))
		m.Put(Hash(key(i)), key(i), make([]byte, length))
	}
	if got := m.Bytes(); got < n*length || got > 2*n*length {
		t.Errorf("%d bytes, want those of %d values of %d", got, n, length)
	}
	for i := range n / 2 {
		m.Bury(Hash(key(i)), key(i))
	}
	if got := m.Bytes(); got > n*length {
		t.Errorf("%d bytes with half of the entries deleted", got)
	}
	for i := range n {
		e, _ := m.Get(Hash(key(i)), key(i))
		m.Remove(e.Slot)
	}
	if got := m.Bytes(); got != 0 {
		t.Errorf("%d bytes when it is empty", got)
	}
}

// TestMapWhatMayLeave: a tombstone leaves that is not too young, and nothing else in its place; an entry is evicted unless it is too young.
func TestMapWhatMayLeave(t *testing.T) {
	t.Parallel()
	var m Map
	m.RemoveTombstone(7, 1) // of a map that has been emptied
	key := []byte("key")
	has := func() bool { _, ok := m.Get(Hash(key), key); return ok }
	s := m.Bury(Hash(key), key)
	m.Mark(s).Epoch = 5
	if m.RemoveTombstone(s, 4); !has() {
		t.Error("a tombstone left too early")
	}
	m.Put(Hash(key), key, []byte("v"))
	if m.RemoveTombstone(s, 5); !has() {
		t.Error("a value left in place of the tombstone before it")
	}
	if n := m.Evict(0, 4, 10); n != 0 {
		t.Error("an entry was evicted too early")
	}
	if n := m.Evict(0, 5, 10); n != 1 || has() {
		t.Errorf("%d entries evicted, want the one", n)
	}
}
