package state_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/state/memstore"
)

// joinLog is a changelog that a store can be restored from.
type joinLog struct{ committed, open []state.Row[string, string] }

func (l *joinLog) Append(key, value []byte, ts int64) error {
	l.open = append(l.open, state.Row[string, string]{Key: string(key), Value: string(value), Timestamp: ts})
	return nil
}

type joined struct {
	key, value string
	time       int64
}

// TestJoinWindow compares the store with a list of what was added, with commits, aborts, tasks built anew and restores from the
// changelog in between, under bounds that keep all of it in memory or nothing.
func TestJoinWindow(t *testing.T) {
	t.Parallel()
	for _, cache := range []int64{1, 64 << 20} {
		for seed := range uint64(10) {
			t.Run(fmt.Sprintf("cache-%d-seed-%d", cache, seed), func(t *testing.T) {
				t.Parallel()
				runJoinWindow(t, cache, rand.New(rand.NewPCG(seed, uint64(cache))))
			})
		}
	}
}

func runJoinWindow(t *testing.T, cache int64, rnd *rand.Rand) {
	const retention = 300
	spec := state.JoinWindowSpec("join", serde.String, serde.String, 200*time.Millisecond, retention*time.Millisecond)
	log := &joinLog{}
	var part *state.Partition
	var s *state.JoinWindow[string, string]
	task := func() {
		l, err := spec.Open(state.Env{Committed: part, Changelog: log})
		if err != nil {
			t.Fatal(err)
		}
		s = l.(*state.JoinWindow[string, string])
	}
	open := func() {
		db, err := state.NewDB(memstore.New(), state.Config{Inline: true, CacheBytes: cache, ApplyBytes: cache})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		if part, err = db.Partition(spec, 0); err != nil {
			t.Fatal(err)
		}
		if err := part.Reset(state.Position{ClusterID: "c"}); err != nil {
			t.Fatal(err)
		}
		for _, r := range log.committed {
			if err := part.Restore([]byte(r.Key), []byte(r.Value), r.Timestamp); err != nil {
				t.Fatal(err)
			}
		}
		if err := part.RestoredTo(int64(len(log.committed))); err != nil {
			t.Fatal(err)
		}
		task()
	}
	open()
	var now, committed []joined
	newest := func() int64 {
		n := int64(-1)
		for _, j := range now {
			n = max(n, j.time)
		}
		return n
	}
	for i := range 600 {
		switch x := rnd.IntN(100); {
		case x < 60:
			j := joined{fmt.Sprint("k", rnd.IntN(12)), fmt.Sprint("v", i), max(0, newest()+20-rnd.Int64N(400))}
			if err := s.Add(j.key, j.value, j.time, serde.Headers{}); err != nil {
				t.Fatal(err)
			}
			if j.time > newest()-retention {
				now = append(now, j)
			}
		case x < 92:
			key, from := fmt.Sprint("k", rnd.IntN(12)), newest()-rnd.Int64N(400)
			to := from + rnd.Int64N(300)
			compareJoined(t, s, now, key, from, to, newest()-retention)
		case x < 96:
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
			log.committed, log.open = append(log.committed, log.open...), nil
			if err := s.Commit(int64(len(log.committed))); err != nil {
				t.Fatal(err)
			}
			committed = slices.Clone(now)
		case x < 98:
			s.Drop()
			log.open, now = nil, slices.Clone(committed)
			task()
		default:
			s.Drop()
			log.open, now = nil, slices.Clone(committed)
			open()
		}
	}
}

// compareJoined compares what one look-up finds. Records of one time may come in any order here: a task that is built anew counts from 1.
func compareJoined(t *testing.T, s *state.JoinWindow[string, string], now []joined, key string, from, to, gone int64) {
	t.Helper()
	var got, want []string
	last := int64(-1)
	err := s.Each(key, from, to, func(v string, at int64) error {
		if at < last {
			t.Errorf("record of %d after one of %d", at, last)
		}
		last = at
		got = append(got, fmt.Sprint(v, "@", at))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range now {
		if j.key == key && from <= j.time && j.time <= to && j.time > gone {
			want = append(want, fmt.Sprint(j.value, "@", j.time))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("%s from %d to %d:\n got %v\nwant %v", key, from, to, got, want)
	}
}

// TestJoinWindowAllocs: a look-up and an addition do not allocate once the buffers have grown, but for what an addition keeps.
func TestJoinWindowAllocs(t *testing.T) {
	db, err := state.NewDB(memstore.New(), state.Config{Inline: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	spec := state.JoinWindowSpec("join", serde.Int64, serde.Int64, 200*time.Millisecond, 300*time.Millisecond, state.WithoutChangelog())
	part, err := db.Partition(spec, 0)
	if err != nil {
		t.Fatal(err)
	}
	l, err := spec.Open(state.Env{Committed: part})
	if err != nil {
		t.Fatal(err)
	}
	s := l.(*state.JoinWindow[int64, int64])
	for i := range int64(2000) {
		if err := s.Add(i%10, i, i%250, serde.Headers{}); err != nil {
			t.Fatal(err)
		}
		if i == 1000 {
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
			if err := s.Commit(-1); err != nil {
				t.Fatal(err)
			}
		}
	}
	n, sum := 0, int64(0)
	f := func(v, _ int64) error { n++; sum += v; return nil }
	look := func() {
		if err := s.Each(3, 20, 120, f); err != nil {
			t.Fatal(err)
		}
	}
	look()
	if allocs := testing.AllocsPerRun(100, look); allocs > 0 {
		t.Errorf("%v allocations for each look-up", allocs)
	}
	if n == 0 {
		t.Error("nothing was found")
	}
}
