package statetest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/millrace-io/millrace/state"
)

// runEngine compares an engine with a map.
func runEngine(t *testing.T, newStorage func(testing.TB) Storage) {
	r := newRand(t)
	e, err := newStorage(t).Open()
	must(t, err, "open")
	model := map[string]string{}
	for range opsPerRun / 4 {
		switch r.IntN(4) {
		case 0:
			applyRandom(t, r, e, model)
		case 1:
			key := randomKey(r)
			got, ok, err := e.Get([]byte("before"), []byte(key))
			must(t, err, "get")
			want, exists := model[key]
			if ok != exists || ok && string(got) != "before"+want {
				t.Fatalf("get %q: %q, %v; want %q, %v", key, got, ok, want, exists)
			}
		default:
			compareScan(t, r, e, model)
		}
	}
	must(t, e.Sync(), "sync")
	must(t, e.Close(), "close")
	checkClosed(t, e)
}

// applyRandom applies a batch of one to a few writes to both.
func applyRandom(t *testing.T, r *rand.Rand, e state.Engine, model map[string]string) {
	var b state.Batch
	for range 1 + r.IntN(20) {
		key := randomKey(r)
		switch r.IntN(12) {
		case 0:
			lo, hi := key, randomKey(r)
			if lo > hi {
				lo, hi = hi, lo
			}
			b.DeleteRange([]byte(lo), []byte(hi))
			maps.DeleteFunc(model, func(k, _ string) bool { return lo <= k && k < hi })
		case 1, 2:
			b.Delete([]byte(key))
			delete(model, key)
		default:
			val := bytes.Repeat([]byte{byte(r.Uint32())}, r.IntN(40))
			b.Set([]byte(key), val)
			model[key] = string(val)
		}
	}
	must(t, e.Apply(&b), "apply")
}

// randomKey returns keys that are often prefixes of each other, and sometimes have the highest byte.
func randomKey(r *rand.Rand) string {
	const alphabet = "\x00ab\xff"
	key := make([]byte, 1+r.IntN(5))
	for i := range key {
		key[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(key)
}

func compareScan(t *testing.T, r *rand.Rand, e state.Engine, model map[string]string) {
	lo, hi := []byte(randomKey(r)), []byte(randomKey(r))
	if bytes.Compare(lo, hi) > 0 {
		lo, hi = hi, lo
	}
	if r.IntN(8) == 0 {
		lo = nil
	}
	if r.IntN(8) == 0 {
		hi = nil
	}
	reverse := r.IntN(2) == 0
	var want []string
	for _, k := range slices.Sorted(maps.Keys(model)) {
		if k >= string(lo) && (hi == nil || k < string(hi)) {
			want = append(want, fmt.Sprintf("%q=%q", k, model[k]))
		}
	}
	if reverse {
		slices.Reverse(want)
	}
	c := e.Scan(lo, hi, reverse)
	var got []string
	for c.Next() {
		got = append(got, fmt.Sprintf("%q=%q", c.Key(), c.Value()))
	}
	must(t, errors.Join(c.Err(), c.Close()), "scan")
	if !slices.Equal(got, want) {
		t.Fatalf("scan %q to %q, reverse %v:\n got %v\nwant %v", lo, hi, reverse, got, want)
	}
}

func checkClosed(t *testing.T, e state.Engine) {
	var b state.Batch
	b.Set([]byte("k"), nil)
	_, _, err := e.Get(nil, []byte("k"))
	c := e.Scan(nil, nil, false)
	if c.Next() {
		t.Error("a closed engine has entries")
	}
	for call, err := range map[string]error{"get": err, "scan": c.Err(), "apply": e.Apply(&b), "sync": e.Sync(), "close": e.Close()} {
		if !errors.Is(err, state.ErrClosed) {
			t.Errorf("%s after close: %v, want ErrClosed", call, err)
		}
	}
}

// runReopen checks that a closed engine's content is there again, in storages that last.
func runReopen(t *testing.T, newStorage func(testing.TB) Storage) {
	s := newStorage(t)
	if !s.Lasting() {
		t.Skip("nothing lasts in this storage")
	}
	r := newRand(t)
	model := map[string]string{}
	for range 5 {
		e, err := s.Open()
		must(t, err, "open")
		compareScan(t, r, e, model)
		for range 20 {
			applyRandom(t, r, e, model)
		}
		must(t, e.Sync(), "sync")
		must(t, e.Close(), "close")
	}
}
