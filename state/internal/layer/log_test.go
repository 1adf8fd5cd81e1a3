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
