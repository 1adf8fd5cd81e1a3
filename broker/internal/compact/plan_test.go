package compact

import (
	"fmt"
	"math"
	"testing"
)

// TestPlan: what is compacted, and when.
func TestPlan(t *testing.T) {
	t.Parallel()
	segment := func(base, bytes, first, last int64) Segment {
		return Segment{Base: base, Next: base + 10, Bytes: bytes, FirstTime: first, MaxTime: last}
	}
	old := []Segment{segment(0, 100, 1, 2), segment(10, 100, 3, 4), segment(20, 100, 5, 6)}
	none := Policy{MaxLag: math.MaxInt64, MinDirtyRatio: 0.5}
	for _, c := range []struct {
		name            string
		segments        []Segment
		cleaned, stable int64
		policy          Policy
		want            Round
		ok              bool
	}{
		{"all dirty", old, 0, 30, none, Round{3, 0, 1, false}, true},
		{"nothing dirty", old, 30, 30, none, Round{}, false},
		{"no segment is closed", nil, 0, 30, none, Round{}, false},
		{"one third dirty", old, 20, 30, none, Round{3, 20, 1. / 3, false}, false},
		{"two thirds dirty", old, 10, 30, none, Round{3, 10, 2. / 3, false}, true},
		{"just the ratio", []Segment{old[0], old[1]}, 10, 30, none, Round{2, 10, .5, false}, false},
		{"begins inside of a segment", old, 5, 30, none, Round{3, 5, 1, false}, true},
		{"unstable", old, 0, 29, none, Round{2, 0, 1, false}, true},
		{"unstable from the start", old, 0, 9, none, Round{}, false},
		{"young", old, 0, 30, Policy{MinLag: 995, MaxLag: math.MaxInt64}, Round{2, 0, 1, false}, true},
		{"young, but compacted before", old, 20, 30, Policy{MinLag: 1000, MaxLag: math.MaxInt64}, Round{}, false},
		{"from the future, without a lag", []Segment{segment(0, 100, 1, 2000)}, 0, 30, none, Round{1, 0, 1, false}, true},
		{"overdue", old, 20, 30, Policy{MaxLag: 994, MinDirtyRatio: 1}, Round{3, 20, 1. / 3, true}, true},
		{"not yet overdue", old, 20, 30, Policy{MaxLag: 995, MinDirtyRatio: 1}, Round{3, 20, 1. / 3, false}, false},
		{"of unknown age", []Segment{segment(0, 100, -1, -1)}, 0, 30, Policy{MaxLag: 1, MinDirtyRatio: 1}, Round{1, 0, 1, false}, false},
	} {
		got, ok := Plan(c.segments, c.cleaned, c.stable, 1000, c.policy)
		if ok != c.ok || got != c.want {
			t.Errorf("%s: %+v, %v, want %+v, %v", c.name, got, ok, c.want, c.ok)
		}
	}
	if a, b := (Round{Ratio: .1, Overdue: true}), (Round{Ratio: .9}); !a.Before(b) || b.Before(a) || b.Before(b) {
		t.Error("order")
	}
}

// TestKeys fills a table: it takes as many keys as it has room for, and finds each.
func TestKeys(t *testing.T) {
	t.Parallel()
	for _, slots := range []int{2, 3, 4, 7, 1000} {
		k := NewKeys(math.MaxInt32, slots*slotBytes)
		n := 0
		for k.Put(fmt.Append(nil, n), int64(n)) {
			n++
		}
		if n != slots*3/4 {
			t.Errorf("%d slots take %d keys", slots, n)
		}
		if !k.Put(fmt.Append(nil, 0), 5000) || k.Last(fmt.Append(nil, 0)) != 5000 {
			t.Errorf("%d slots: a full table does not take a key that it knows", slots)
		}
		for i := 1; i < n; i++ {
			if got := k.Last(fmt.Append(nil, i)); got != int64(i) {
				t.Errorf("key %d: %d", i, got)
			}
		}
		if k.Last([]byte("other")) != -1 {
			t.Error("found a key that was not put")
		}
	}
	if k := NewKeys(3, 1<<20); len(k.slots) > 10 {
		t.Errorf("%d slots for three records", len(k.slots))
	}
}
