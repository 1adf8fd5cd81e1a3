package state_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
)

type windows = state.Window[string, int64]

func openWindows(t testing.TB, e state.Engine, size, retention time.Duration) (*windows, *state.DB, *journal) {
	spec := state.WindowSpec("w", stringSerde{}, int64Serde{}, size, retention)
	db := openDB(t, e, state.Config{Inline: true})
	j := &journal{}
	return openLayer[*windows](t, openPartition(t, db, spec), spec, j), db, j
}

func commitWindows(s *windows, next int64) error { return errors.Join(s.Flush(), s.Commit(next)) }

func rows[V any](t testing.TB, it func(func(state.WindowRow[string, V], error) bool)) (list []string) {
	t.Helper()
	for r, err := range it {
		must(t, err)
		list = append(list, fmt.Sprintf("%s@%d=%v", r.Key, r.Start, r.Value))
	}
	return list
}

// TestRetention: windows at or before newest - retention are gone for reads and writes, whatever bucket they are in (S-15), and
// leave the engine bucket by bucket.
func TestRetention(t *testing.T) {
	t.Parallel()
	e := newEngine()
	s, db, j := openWindows(t, e, 10*time.Millisecond, 100*time.Millisecond) // buckets of 25 ms
	for start := int64(0); start <= 100; start += 10 {
		must(t, s.Put("k", start, start, start, none))
		must(t, commitWindows(s, start))
	}
	must(t, db.Sync())
	equal(t, "at 100", rows(t, s.Fetch("k", 0, 20)), []string{"k@10=10", "k@20=20"})
	if _, _, ok, err := s.Get("k", 0); ok || err != nil {
		t.Errorf("window 0 is there: %v, %v", ok, err)
	}
	for name, err := range map[string]error{
		"put": s.Put("k", 0, 1, 0, none), "delete": s.Delete("k", 0, 0, none),
	} {
		if !errors.Is(err, state.ErrExpired) {
			t.Errorf("%s: %v, want ErrExpired", name, err)
		}
	}
	at, err := s.At("k", 0)
	must(t, err)
	if _, ok := at.Value(); ok || !at.Expired() || !errors.Is(at.Set(1, 0, none), state.ErrExpired) {
		t.Error("window 0 can be written")
	}
	if n := e.len(t, data); n != 11 {
		t.Errorf("%d windows in the engine, want 11: the first bucket is not over", n)
	}

	j.take()
	must(t, s.Put("k", 160, 160, 160, none))
	if _, _, ok, _ := s.Get("k", 60); ok {
		t.Error("window 60 is there in the transaction that moves time")
	}
	must(t, commitWindows(s, 200))
	equal(t, "changelog", j.take(), []string{`"k\x00\x00\x00\x00\x00\x00\x00\xa0\x00\x00\x00\x00" = "\x00\x00\x00\x00\x00\x00\x00\xa0" @160`})
	equal(t, "at 160", rows(t, s.FetchAllBackward(0, 1000)), []string{"k@160=160", "k@100=100", "k@90=90", "k@80=80", "k@70=70"})
	must(t, db.Sync())
	if n := e.len(t, data); n != 7 {
		t.Errorf("%d windows in the engine, want 7: those from 50 on", n)
	}
	if newest, ok := s.Newest(); newest != 160 || !ok {
		t.Errorf("newest %d, %v", newest, ok)
	}
}

// TestRetentionUnapplied: windows that expire before they are applied never reach the engine.
func TestRetentionUnapplied(t *testing.T) {
	t.Parallel()
	e := newEngine()
	s, db, _ := openWindows(t, e, 10*time.Millisecond, 100*time.Millisecond)
	for _, start := range []int64{0, 50, 1000, 1010} {
		must(t, s.Put("k", start, start, start, none))
		must(t, commitWindows(s, start))
	}
	must(t, db.Sync())
	if n := e.len(t, data); n != 2 {
		t.Errorf("%d windows in the engine, want 2", n)
	}
}

// TestRetentionWaiting: what expires while it waits for the engine waits no more, so it does not hurry the engine into taking what would expire
// as soon.
func TestRetentionWaiting(t *testing.T) {
	t.Parallel()
	e := newEngine()
	spec := state.WindowSpec("w", stringSerde{}, int64Serde{}, 10*time.Millisecond, 100*time.Millisecond)
	db := openDB(t, e, state.Config{Inline: true, ApplyBytes: 2 << 20})
	s := openLayer[*windows](t, openPartition(t, db, spec), spec, &journal{})
	key := strings.Repeat("k", 1000)
	before := e.applies.Load()
	for start := range int64(20_000) { // 20 MB
		must(t, s.Put(key, start, start, start, none))
		if start%100 == 0 {
			must(t, commitWindows(s, start))
		}
	}
	must(t, commitWindows(s, 20_000))
	if n := e.applies.Load() - before; n != 0 {
		t.Errorf("the engine was given %d batches, want none", n)
	}
	must(t, db.Sync())
	if n := e.len(t, data); n < 100 || n > 125 { // a bucket more
		t.Errorf("%d windows in the engine, want those of the last 100 ms", n)
	}
	if got := rows(t, s.Fetch(key, 0, 1<<40)); len(got) != 100 || got[0] != key+"@19900=19900" {
		t.Errorf("%d windows, the first %s", len(got), got[0])
	}
}

// TestRetentionDrop: a transaction that is dropped does not move time.
func TestRetentionDrop(t *testing.T) {
	t.Parallel()
	s, _, _ := openWindows(t, newEngine(), 10*time.Millisecond, 100*time.Millisecond)
	must(t, s.Put("k", 0, 1, 0, none))
	must(t, commitWindows(s, 1))
	must(t, s.Put("k", 1000, 1, 0, none))
	s.Drop()
	equal(t, "after Drop", rows(t, s.Fetch("k", 0, 2000)), []string{"k@0=1"})
	must(t, s.Put("k", 1000, 1, 0, none))
	must(t, s.Delete("k", 1000, 0, none))
	must(t, commitWindows(s, 2))
	equal(t, "after a window that came and went", rows(t, s.Fetch("k", 0, 2000)), []string{"k@0=1"})
}

// TestCenturies: a retention of centuries costs nothing but the windows that there are.
func TestCenturies(t *testing.T) {
	t.Parallel()
	e := newEngine()
	s, db, _ := openWindows(t, e, time.Hour, 290*365*24*time.Hour)
	const hour, year = 3_600_000, 365 * 24 * 3_600_000
	for y := range int64(100) {
		for h := range int64(5) {
			must(t, s.Put("k", y*year+h*hour, y, 0, none))
		}
	}
	must(t, commitWindows(s, 1))
	must(t, db.Sync())
	applies := e.applies.Load()
	scans := e.scans.Load()
	if got := rows(t, s.Fetch("k", 0, 1<<62)); len(got) != 500 || got[0] != "k@0=0" {
		t.Errorf("%d windows", len(got))
	}
	if got := rows(t, s.FetchBackward("k", -1<<62, 2*hour)); len(got) != 3 || got[0] != "k@7200000=0" {
		t.Errorf("windows %v", got)
	}
	if _, _, ok, err := s.Get("k", 50*year+10*hour); ok || err != nil {
		t.Error(ok, err)
	}
	if e.scans.Load() != scans || e.gets.Load() > 2 || e.applies.Load() != applies {
		t.Errorf("the engine was read though all is in memory: %d gets, %d scans", e.gets.Load(), e.scans.Load()-scans)
	}
}

// TestWindowKeys: windows of keys that begin with each other do not mix.
func TestWindowKeys(t *testing.T) {
	t.Parallel()
	s, _, _ := openWindows(t, newEngine(), 10*time.Millisecond, time.Hour)
	keys := []string{"", "a", "a\x80", "a\x80\x00\x00\x00\x00\x00\x00\x00", "a\x80\x00\x00\x00\x00\x00\x03\xe9", "ab", "\xff"}
	for i, k := range keys {
		for start := int64(0); start < 3000; start += 1000 {
			must(t, s.Put(k, start, int64(i), 0, none))
		}
	}
	check := func() {
		for i, k := range keys {
			want := []string{fmt.Sprintf("%s@1000=%d", k, i), fmt.Sprintf("%s@2000=%d", k, i)}
			equal(t, fmt.Sprintf("%q", k), rows(t, s.Fetch(k, 1, 2000)), want)
		}
	}
	check()
	must(t, commitWindows(s, 1))
	check()
}

// TestEndsOfTime: a range that reaches to the end of time finds what there is, with buckets of a millisecond as with any, and a store that has
// a window there can be opened again.
func TestEndsOfTime(t *testing.T) {
	t.Parallel()
	e := newEngine()
	s, db, _ := openWindows(t, e, time.Millisecond, 4*time.Millisecond) // buckets of 1 ms
	starts := func(from, to int64) (list []string) {
		t.Helper()
		must(t, s.Each("k", from, to, func(start, _, _ int64) bool { list = append(list, fmt.Sprint(start)); return true }))
		return list
	}
	must(t, s.Put("k", 1, 0, 0, none))
	equal(t, "from the beginning", starts(math.MinInt64, math.MaxInt64), []string{"1"})
	must(t, s.Put("k", math.MaxInt64, 0, 0, none))
	equal(t, "to the end", starts(math.MinInt64, math.MaxInt64), []string{fmt.Sprint(math.MaxInt64)})
	must(t, commitWindows(s, 1))
	must(t, db.Close())
	s, _, _ = openWindows(t, e, time.Millisecond, 4*time.Millisecond)
	equal(t, "opened again", starts(0, math.MaxInt64), []string{fmt.Sprint(math.MaxInt64)})
}

// TestFailedWrite: a window whose value cannot be encoded does not move time, for the windows that a caller who goes on still has.
func TestFailedWrite(t *testing.T) {
	t.Parallel()
	const keep = 100 * time.Millisecond
	db := openDB(t, newEngine(), state.Config{Inline: true})
	windowSpec := state.WindowSpec("w", serde.String, picky{}, 10*time.Millisecond, keep)
	w := openLayer[*state.Window[string, []byte]](t, openPartition(t, db, windowSpec), windowSpec, nil)
	sessionSpec := state.SessionSpec("s", serde.String, picky{}, keep, 0)
	s := openLayer[*state.Session[string, []byte]](t, openPartition(t, db, sessionSpec), sessionSpec, nil)
	joinSpec := state.JoinWindowSpec("j", serde.String, picky{}, 10*time.Millisecond, keep)
	j := openLayer[*state.JoinWindow[string, []byte]](t, openPartition(t, db, joinSpec), joinSpec, nil)
	for _, write := range []struct {
		at     int64
		value  string
		failed bool
	}{{0, "good", false}, {1000, "bad", true}} {
		for name, err := range map[string]error{
			"window":  w.Put("k", write.at, []byte(write.value), 0, none),
			"session": s.Put("k", write.at, write.at, []byte(write.value), 0, none),
			"join":    j.Add("k", []byte(write.value), write.at, none),
		} {
			if (err != nil) != write.failed {
				t.Errorf("%s of %s: %v", name, write.value, err)
			}
		}
	}
	for name, newest := range map[string]func() (int64, bool){"window": w.Newest, "session": s.Newest, "join": j.Newest} {
		if at, ok := newest(); at != 0 || !ok {
			t.Errorf("%s: newest is %d, %v; want 0", name, at, ok)
		}
	}
}

// picky is a serde that refuses some values.
type picky struct{ aliasing }

func (picky) Append(dst, v []byte) ([]byte, error) {
	if string(v) == "bad" {
		return dst, errors.New("bad value")
	}
	return append(dst, v...), nil
}

// TestWindowChanges: changes come with the window's start.
func TestWindowChanges(t *testing.T) {
	t.Parallel()
	s, _, _ := openWindows(t, newEngine(), 10*time.Millisecond, time.Hour)
	must(t, s.Put("b", 10, 1, 7, none))
	must(t, s.Put("a", 20, 2, 8, header("h")))
	var got []string
	must(t, s.Changes(func(k string, start int64, c state.Change[int64], ts int64, h serde.Headers) error {
		got = append(got, fmt.Sprintf("%s@%d: %s > %s @%d %d", k, start, maybe(c.Old), maybe(c.New), ts, len(h.All())))
		return nil
	}))
	equal(t, "changes", got, []string{"b@10: - > 1 @7 0", "a@20: - > 2 @8 1"})
}

// TestRetentionOutOfOrder: buckets leave the engine whichever of them came first.
func TestRetentionOutOfOrder(t *testing.T) {
	t.Parallel()
	e := newEngine()
	s, db, _ := openWindows(t, e, 10*time.Millisecond, 100*time.Millisecond)
	for _, start := range []int64{100, 50, 75, 10, 1000} {
		must(t, s.Put("k", start, start, start, none))
		must(t, commitWindows(s, start))
		must(t, db.Sync())
	}
	if n := e.len(t, data); n != 1 {
		t.Errorf("%d windows in the engine, want the last one", n)
	}
}

// TestRetentionRemovesRangesOnce: ranges are removed from the engine when there is something in them, since each costs a compaction.
func TestRetentionRemovesRangesOnce(t *testing.T) {
	t.Parallel()
	e := newEngine()
	s, db, _ := openWindows(t, e, 10*time.Millisecond, 100*time.Millisecond) // buckets of 25 ms
	next := int64(0)
	for _, c := range []struct{ start, ranges int64 }{{1000, 0}, {1010, 0}, {1300, 1}, {1310, 1}, {1315, 1}, {2000, 2}} {
		must(t, s.Put("k", c.start, 1, 0, none))
		next++
		must(t, commitWindows(s, next))
		must(t, db.Sync())
		if n := e.ranges.Load(); n != c.ranges {
			t.Errorf("%d ranges removed by %d, want %d", n, c.start, c.ranges)
		}
	}
}

// TestShortestAndLongestRetention: a millisecond is kept if that is what is to be, and everything if time does not reach further back.
func TestShortestAndLongestRetention(t *testing.T) {
	t.Parallel()
	s, _, _ := openWindows(t, newEngine(), time.Millisecond, time.Millisecond)
	must(t, s.Put("k", 5, 1, 0, none))
	if err := s.Put("k", 4, 1, 0, none); !errors.Is(err, state.ErrExpired) {
		t.Errorf("the window before: %v, want ErrExpired", err)
	}
	must(t, s.Put("k", 5, 1, 0, none))

	s, _, _ = openWindows(t, newEngine(), 10*time.Millisecond, 100*time.Millisecond)
	for _, start := range []int64{math.MinInt64 + 50, math.MinInt64 + 10} {
		must(t, s.Put("k", start, 1, 0, none))
		if _, _, ok, err := s.Get("k", start); !ok || err != nil {
			t.Errorf("the window at %d: %v, %v", start, ok, err)
		}
	}

	s, _, _ = openWindows(t, newEngine(), 0, 0)
	must(t, s.Put("k", 5, 1, 0, none))
	if err := s.Put("k", 4, 1, 0, none); !errors.Is(err, state.ErrExpired) {
		t.Errorf("the window before, of no length: %v, want ErrExpired", err)
	}
}

// TestRetentionShedsNoMore: of what waits for the engine only buckets go that are over; the one in which retention ends stays, with what comes
// late into it.
func TestRetentionShedsNoMore(t *testing.T) {
	t.Parallel()
	e := newEngine()
	s, db, _ := openWindows(t, e, 10*time.Millisecond, 100*time.Millisecond) // buckets of 25 ms
	key := strings.Repeat("k", 500_000)                                      // each in a piece of memory of its own
	for _, start := range []int64{0, 50, 60, 70, 80, 160} {
		must(t, s.Put(key, start, start, start, none))
		must(t, commitWindows(s, start))
	}
	must(t, db.Sync())
	if n := e.len(t, data); n != 5 {
		t.Errorf("%d windows in the engine, want 5: those from 50 on", n)
	}

	spec := state.WindowSpec("late", stringSerde{}, int64Serde{}, 10*time.Millisecond, 100*time.Millisecond)
	w := openLayer[*windows](t, openPartition(t, db, spec), spec, nil)
	for i, start := range []int64{160, 70} { // the bucket of 61, from which on windows are kept, is not there yet
		must(t, w.Put("k", start, 1, 0, none))
		must(t, commitWindows(w, int64(i)))
	}
	p, err := db.Partition(spec, 0)
	must(t, err)
	equal(t, "late", rows(t, openLayer[*windows](t, p, spec, nil).FetchAll(0, 1000)), []string{"k@70=1", "k@160=1"})
}

// TestEachAfterStop: an iteration that was stopped leaves nothing to the next one, which is in a bucket that there is not.
func TestEachAfterStop(t *testing.T) {
	t.Parallel()
	s, _, _ := openWindows(t, newEngine(), 10*time.Millisecond, time.Second) // buckets of 250 ms
	for start := int64(0); start < 30; start += 10 {
		must(t, s.Put("k", start, start, start, none))
	}
	must(t, commitWindows(s, 1))
	var seen []int64
	for _, from := range []int64{0, 500, 0} {
		must(t, s.Each("k", from, from+100, func(start, _, _ int64) bool { seen = append(seen, start); return false }))
	}
	if len(seen) != 2 || seen[0] != 0 || seen[1] != 0 {
		t.Errorf("windows at %v, want 0 twice", seen)
	}
}
