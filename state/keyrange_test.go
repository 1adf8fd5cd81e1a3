package state_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
)

// rangeKeys begin with each other, and go on with what times begin with.
var rangeKeys = []string{"", "a", "a\x7f", "a\x80", "a\x80\x00\x00", "a\xff", "ab", "abc", "b", "\x7f\xff", "\x80", "\xff\xff"}

// eachRange calls f for every range of two of the keys, or of one that is open, with the keys that are in it.
func eachRange(f func(lo, hi serde.Maybe[string], in []string)) {
	bounds := []serde.Maybe[string]{serde.None[string]()}
	for _, k := range rangeKeys {
		bounds = append(bounds, serde.Some(k))
	}
	sorted := slices.Sorted(slices.Values(rangeKeys))
	for _, lo := range bounds {
		for _, hi := range bounds {
			var in []string
			for _, k := range sorted {
				if h, ok := hi.Get(); k >= lo.Or("") && (!ok || k <= h) {
					in = append(in, k)
				}
			}
			f(lo, hi, in)
		}
	}
}

// TestWindowRange: a range has the windows of its keys and no others, whatever follows a key in the store (S-13, S-16).
func TestWindowRange(t *testing.T) {
	t.Parallel()
	s, _, _ := openWindows(t, newEngine(), time.Hour, 290*365*24*time.Hour) // one bucket
	starts := []int64{0, 1, 1 << 40, 1 << 42}
	for _, k := range rangeKeys {
		for _, start := range starts {
			must(t, s.Put(k, start, start, start, none))
		}
		must(t, commitWindows(s, 1)) // the others are in the transaction
	}
	eachRange(func(lo, hi serde.Maybe[string], in []string) {
		var want []string
		for _, start := range starts[1:3] { // each in a bucket of its own, or in the same one
			for _, k := range in {
				want = append(want, fmt.Sprintf("%s@%d=%d", k, start, start))
			}
		}
		got := rows(t, s.FetchRange(lo, hi, 1, 1<<41))
		back := rows(t, s.FetchRangeBackward(lo, hi, 1, 1<<41))
		slices.Reverse(back)
		equal(t, "backward", back, got)
		slices.Sort(got)
		slices.Sort(want)
		equal(t, fmt.Sprintf("%q to %q", lo.Or("-"), hi.Or("-")), got, want)
	})
	first := 0
	for range s.FetchRange(serde.None[string](), serde.None[string](), 0, math.MaxInt64) {
		first++
		break
	}
	if first != 1 {
		t.Error("an iteration that was left went on")
	}
}

// TestSessionRange is the same for sessions (S-17).
func TestSessionRange(t *testing.T) {
	t.Parallel()
	spec := state.SessionSpec("s", stringSerde{}, int64Serde{}, 290*365*24*time.Hour, 0)
	s := openLayer[*state.Session[string, int64]](t, openPartition(t, openDB(t, newEngine(), state.Config{Inline: true}), spec), spec, &journal{})
	for _, k := range rangeKeys {
		for _, end := range []int64{0, 10, 20, 1 << 40} {
			must(t, s.Put(k, max(0, end-5), end, end, end, none))
		}
		must(t, s.Flush())
		must(t, s.Commit(1))
	}
	eachRange(func(lo, hi serde.Maybe[string], in []string) {
		var got, back, want []string
		for row, err := range s.FindRange(lo, hi, 10, 15) {
			must(t, err)
			got = append(got, fmt.Sprintf("%s %d-%d", row.Key, row.Start, row.End))
		}
		for row, err := range s.FindRangeBackward(lo, hi, 10, 15) {
			must(t, err)
			back = append(back, fmt.Sprintf("%s %d-%d", row.Key, row.Start, row.End))
		}
		for _, k := range in {
			want = append(want, k+" 5-10", k+" 15-20")
		}
		slices.Reverse(back)
		equal(t, "backward", back, got)
		slices.Sort(got)
		slices.Sort(want)
		equal(t, fmt.Sprintf("%q to %q", lo.Or("-"), hi.Or("-")), got, want)
	})
	var ends []int64
	must(t, s.FindBackward("a", 0, math.MaxInt64, func(_, end, _ int64) bool { ends = append(ends, end); return end > 10 }))
	if !slices.Equal(ends, []int64{1 << 40, 20, 10}) {
		t.Errorf("ends %v", ends)
	}
}

// TestPrefixScan: the rows whose encoded keys begin with a prefix, of the transaction and below it (S-04).
func TestPrefixScan(t *testing.T) {
	t.Parallel()
	s, _ := openCounts(t, newEngine(), state.Config{Inline: true})
	for i, k := range rangeKeys {
		must(t, s.Put(k, int64(i), 0, none))
		if i%2 == 0 {
			must(t, commit(s, 1))
		}
	}
	for prefix, want := range map[string]int{"": len(rangeKeys), "a": 7, "a\x80": 2, "ab": 2, "\xff": 1, "\xff\xff": 1, "\xff\xff\xff": 0, "c": 0} {
		var got []string
		for row, err := range s.PrefixScan([]byte(prefix)) {
			must(t, err)
			if len(row.Key) < len(prefix) || row.Key[:len(prefix)] != prefix {
				t.Errorf("prefix %q: key %q", prefix, row.Key)
			}
			got = append(got, row.Key)
		}
		if len(got) != want || !slices.IsSorted(got) {
			t.Errorf("prefix %q: %q, want %d keys", prefix, got, want)
		}
	}
}
