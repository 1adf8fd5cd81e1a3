package state_test

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/state/memstore"
)

const versionHistory = 50

// change is one record of a versioned store's changelog.
type versionRecord struct {
	key, value []byte
	from       int64
}

type versionLog struct{ records []versionRecord }

func (l *versionLog) Append(key, value []byte, from int64) error {
	r := versionRecord{key: slices.Clone(key), from: from}
	if value != nil {
		r.value = append([]byte{}, value...)
	}
	l.records = append(l.records, r)
	return nil
}

func openVersions(t *testing.T, log state.Changelog) (*state.Versioned[string, string], *state.Partition) {
	t.Helper()
	db, err := state.NewDB(memstore.New(), state.Config{Inline: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	spec := state.VersionedSpec("v", serde.String, serde.String, versionHistory*time.Millisecond)
	p, err := db.Partition(spec, 0)
	if err == nil {
		err = p.Reset(state.Position{ClusterID: "c"})
	}
	if err != nil {
		t.Fatal(err)
	}
	layer, err := spec.Open(state.Env{Committed: p, Changelog: log})
	if err != nil {
		t.Fatal(err)
	}
	return layer.(*state.Versioned[string, string]), p
}

// versionModel is what a versioned store must say, by looking at all that was written.
type versionModel struct {
	newest int64
	all    map[string][]versionRecord // the last write of each time, oldest first
}

func (m *versionModel) write(key string, value []byte, from int64) (stored bool) {
	if m.newest >= 0 && from < m.newest-versionHistory {
		return false
	}
	m.newest = max(m.newest, from)
	list := m.all[key]
	i, found := slices.BinarySearchFunc(list, from, func(r versionRecord, at int64) int { return cmp.Compare(r.from, at) })
	if r := (versionRecord{value: value, from: from}); found {
		list[i] = r
	} else {
		list = slices.Insert(list, i, r)
	}
	m.all[key] = list
	return true
}

func (m *versionModel) asOf(key string, at int64) string {
	list := m.all[key]
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].from > at {
			continue
		}
		if list[i].value == nil || at < m.newest-versionHistory && i < len(list)-1 {
			return "none"
		}
		return fmt.Sprintf("%s since %d", list[i].value, list[i].from)
	}
	return "none"
}

// TestVersioned compares random writes, in any order of time, with a model that forgets nothing; and a store restored from the
// changelog with the same.
func TestVersioned(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		log := &versionLog{}
		s, _ := openVersions(t, log)
		m := &versionModel{newest: -1, all: map[string][]versionRecord{}}
		for i := range 300 {
			key := string(rune('a' + r.IntN(3)))
			from := max(0, int64(i)/2+r.Int64N(80)-60)
			var value []byte
			if r.IntN(4) > 0 {
				value = fmt.Appendf(nil, "v%d", i)
			}
			var got state.Validity
			var err error
			if value == nil {
				got, err = s.Delete(key, from)
			} else {
				got, err = s.Put(key, string(value), from)
			}
			if err != nil {
				t.Fatal(err)
			}
			if want := m.write(key, value, from); got.Stored != want {
				t.Fatalf("seed %d, write %d: stored %v, want %v", seed, i, got.Stored, want)
			}
			if r.IntN(20) == 0 {
				commitVersions(t, s)
			}
		}
		commitVersions(t, s)
		compareVersions(t, s, m)

		restored, p := openVersions(t, nil)
		for i, rec := range log.records {
			if err := p.Restore(rec.key, rec.value, rec.from); err != nil {
				t.Fatal(err)
			}
			if r.IntN(50) == 0 || i == len(log.records)-1 {
				if err := p.RestoredTo(int64(i) + 1); err != nil {
					t.Fatal(err)
				}
			}
		}
		restored.Drop() // look again at what is committed
		compareVersions(t, restored, m)
	}
}

// TestVersionedRestoreBetween: a store that is restored, written by a task and restored again, as when a task comes to where its standby was and
// leaves, takes what the task would have taken: its history counts from what the task wrote.
func TestVersionedRestoreBetween(t *testing.T) {
	t.Parallel()
	s, p := openVersions(t, nil)
	restore := func(key, value string, from, next int64) {
		t.Helper()
		must(t, p.Restore([]byte(key), []byte(value), from))
		must(t, p.RestoredTo(next))
	}
	restore("a", "first", 10, 1)
	_, err := s.Put("a", "second", 1000)
	must(t, err)
	commitVersions(t, s)
	restore("late", "too old", 1000-versionHistory-1, 3)
	if v, from, ok, err := s.Get("late"); err != nil || ok {
		t.Errorf("%s since %d, %v, %v; want nothing", v, from, ok, err)
	}
	restore("in time", "kept", 1000-versionHistory, 4)
	if v, _, ok, err := s.Get("in time"); err != nil || !ok || v != "kept" {
		t.Errorf("%s, %v, %v; want what begins with the history", v, ok, err)
	}
}

// TestVersionedDeletesLeave: keys that were deleted before the history take no room for ever, in the engine either, though nobody writes them
// again; those that are there, or whose delete can still be asked for, stay.
func TestVersionedDeletesLeave(t *testing.T) {
	t.Parallel()
	e := newEngine()
	db := openDB(t, e, state.Config{Inline: true})
	spec := state.VersionedSpec("v", serde.String, serde.String, versionHistory*time.Millisecond)
	log := &versionLog{}
	s := openLayer[*state.Versioned[string, string]](t, openPartition(t, db, spec), spec, log)
	put := func(key string, from int64) { t.Helper(); _, err := s.Put(key, "v", from); must(t, err) }
	const live, rounds = 10, 1000
	for i := range live {
		put(fmt.Sprint("live", i), 0)
	}
	for i := range int64(rounds) {
		key := fmt.Sprintf("key%04d", i)
		put(key, i)
		_, err := s.Delete(key, i)
		must(t, err)
		put(key, i) // again, or nothing is left of it
		_, err = s.Delete(key, i+1)
		must(t, err)
		commitVersions(t, s)
		if i == 0 {
			must(t, db.Sync())
		}
	}
	must(t, db.Sync())
	if n, most := e.len(t, data), 2*(live+versionHistory); n < live+versionHistory || n > most {
		t.Errorf("%d keys in the engine after %d have come and gone, want %d to %d", n, rounds, live+versionHistory, most)
	}
	if want := live + 4*rounds; len(log.records) != want {
		t.Errorf("%d records in the changelog, want %d", len(log.records), want)
	}
	for i := range live {
		if v, _, ok, err := s.Get(fmt.Sprint("live", i)); err != nil || !ok || v != "v" {
			t.Errorf("live%d: %q, %v, %v", i, v, ok, err)
		}
	}
	at := int64(rounds - versionHistory + 1)
	if v, from, ok, err := s.GetAsOf(fmt.Sprintf("key%04d", at), at); err != nil || !ok || from != at {
		t.Errorf("version of %d as of then: %q since %d, %v, %v", at, v, from, ok, err)
	}
}

func commitVersions(t *testing.T, s *state.Versioned[string, string]) {
	t.Helper()
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(1); err != nil {
		t.Fatal(err)
	}
}

func compareVersions(t *testing.T, s *state.Versioned[string, string], m *versionModel) {
	t.Helper()
	for _, key := range []string{"a", "b", "c", "d"} {
		for at := m.newest - 2*versionHistory; at <= m.newest+2; at++ {
			v, from, ok, err := s.GetAsOf(key, at)
			if err != nil {
				t.Fatal(err)
			}
			got := "none"
			if ok {
				got = fmt.Sprintf("%s since %d", v, from)
			}
			if want := m.asOf(key, at); got != want {
				t.Errorf("%s as of %d, newest %d: %s, want %s", key, at, m.newest, got, want)
			}
		}
		v, from, ok, err := s.Get(key)
		if want := m.asOf(key, math.MaxInt64); err != nil || ok && fmt.Sprintf("%s since %d", v, from) != want || !ok && want != "none" {
			t.Errorf("%s: %s since %d, %v, %v; want %s", key, v, from, ok, err, want)
		}
	}
}

// TestVersionedWithoutHistory: a store without a history takes nothing that is older than the newest version.
func TestVersionedWithoutHistory(t *testing.T) {
	t.Parallel()
	db := openDB(t, newEngine(), state.Config{Inline: true})
	spec := state.VersionedSpec("v", serde.String, serde.String, 0)
	s := openLayer[*state.Versioned[string, string]](t, openPartition(t, db, spec), spec, nil)
	for _, c := range []struct {
		from   int64
		stored bool
	}{{10, true}, {9, false}, {10, true}, {11, true}} {
		v, err := s.Put("k", "v", c.from)
		must(t, err)
		if v.Stored != c.stored {
			t.Errorf("the version from %d is stored: %v", c.from, v.Stored)
		}
	}
}
