package state_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"testing"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
)

// TestChanges: one change per key in the order of the last writes, with the value as of the last drain and the last writer's
// time and headers (X-13 to X-15, D-63).
func TestChanges(t *testing.T) {
	t.Parallel()
	s, j := openKV(t)
	put := func(k string, v, ts int64, h string) { must(t, s.Put(k, v, ts, header(h))) }

	put("a", 1, 10, "h1")
	put("b", 1, 11, "h2")
	put("a", 2, 5, "h3")
	put("gone", 1, 1, "h4")
	must(t, s.Delete("gone", 2, none))
	must(t, s.Delete("never", 3, none))
	equal(t, "first drain", changesOf(t, s), []string{"b: - > 1 @11 h2", "a: - > 2 @5 h3"})
	equal(t, "nothing since", changesOf(t, s), nil)

	put("a", 3, 20, "h5")
	must(t, s.Delete("b", 21, header("h6")))
	equal(t, "second drain in the transaction", changesOf(t, s), []string{"a: 2 > 3 @20 h5", "b: 1 > - @21 h6"})
	must(t, s.Flush())
	equal(t, "changelog", j.take(), []string{`"a" = "\x00\x00\x00\x00\x00\x00\x00\x03" @20`}) // b came and went
	must(t, s.Commit(1))

	must(t, s.Delete("a", 30, none))
	put("a", 4, 31, "")
	must(t, s.Delete("a", 32, none))
	must(t, s.Flush())
	equal(t, "changelog of a delete", j.take(), []string{`"a" = null @32`})
	equal(t, "changes after the flush", changesOf(t, s), []string{"a: 3 > - @32"})
	must(t, s.Commit(2))
}

// TestChangesWrite: what a consumer of changes writes is drained as well, and its error stops the drain where it was.
func TestChangesWrite(t *testing.T) {
	t.Parallel()
	s, _ := openKV(t)
	must(t, s.Put("a", 3, 0, none))
	var seen []int64
	down := func(k string, c state.Change[int64], _ int64, _ serde.Headers) error {
		v, _ := c.New.Get()
		seen = append(seen, v)
		if v > 0 {
			return s.Put(k, v-1, 0, none)
		}
		return nil
	}
	must(t, s.Changes(down))
	if len(seen) != 4 || s.Pending() {
		t.Errorf("drained %v, pending %v", seen, s.Pending())
	}
	must(t, s.Put("x", 1, 0, none))
	must(t, s.Put("y", 2, 0, none))
	stop := errors.New("stop")
	if err := s.Changes(func(string, state.Change[int64], int64, serde.Headers) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("%v, want the consumer's error", err)
	}
	equal(t, "rest", changesOf(t, s), []string{"y: - > 2 @0"})
}

// TestPutIfAbsent: what is there stays, and is given out as nobody else's; what was deleted is absent.
func TestPutIfAbsent(t *testing.T) {
	t.Parallel()
	s, p := openDocs(t)
	put := func(text string, there string) {
		t.Helper()
		d, ok, err := s.PutIfAbsent("k", &doc{[]string{text}}, 7, none)
		must(t, err)
		if ok != (there != "") || ok && d.words[0] != there {
			t.Errorf("put %s: %v, %v; want %q", text, d, ok, there)
		}
		if ok {
			d.words[0] = "changed by the caller"
		}
	}
	put("a", "")
	put("b", "a")
	put("c", "a")
	must(t, s.Flush())
	must(t, s.Commit(1))
	s = openLayer[*docs](t, p, docSpec, &journal{})
	put("d", "a")
	must(t, s.Delete("k", 8, none))
	put("e", "")
	if d, ts, ok, err := s.Get("k"); err != nil || !ok || d.words[0] != "e" || ts != 7 {
		t.Errorf("%v at %d, %v, %v", d, ts, ok, err)
	}
}

// TestManyWrites: a few keys written often neither lose a write nor grow without bound.
func TestManyWrites(t *testing.T) {
	t.Parallel()
	s, j := openKV(t)
	must(t, s.Put("once", 1, 1, none)) // is neither given nor logged a second time
	for i := range int64(100_000) {
		k := string(rune('a' + i%7))
		e, err := s.At(k)
		must(t, err)
		must(t, e.Set(i, i, none))
		if i == 50_000 {
			changesOf(t, s)
		}
		if i == 70_000 {
			must(t, s.Flush())
			j.take()
		}
	}
	if dirty, _ := s.Bytes(); dirty > 64<<10 {
		t.Errorf("%d dirty bytes for seven keys", dirty)
	}
	if got := changesOf(t, s); len(got) != 7 || got[6] != "e: 50000 > 99999 @99999" && got[6] != "e: 49998 > 99999 @99999" {
		t.Errorf("changes %q", got)
	}
	must(t, s.Flush())
	if got := j.take(); len(got) != 7 {
		t.Errorf("changelog %q", got)
	}
}

// TestChangelogBytes compares with what Kafka Streams 4.4.0 stores: the changelog has the plain value and the time as the record's
// (S-33), the engine time and value (S-06).
func TestChangelogBytes(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("internal/keyschema/testdata/kafka.json")
	must(t, err)
	var vectors []struct {
		Format, Value, Bytes string
		TS                   int64
	}
	must(t, json.Unmarshal(b, &vectors))
	spec := state.KeyValueSpec("s", stringSerde{}, stringSerde{})
	n := 0
	for _, v := range vectors {
		if v.Format != "timestamped value" {
			continue
		}
		n++
		e := newEngine()
		db := openDB(t, e, state.Config{Inline: true})
		j := &recorder{}
		s := openLayer[*state.KeyValue[string, string]](t, openPartition(t, db, spec), spec, j)
		must(t, s.Put("k", v.Value, v.TS, none))
		must(t, s.Flush())
		if j.value == nil || string(j.value) != v.Value || j.ts != v.TS {
			t.Errorf("%q @%d: changelog has %q @%d", v.Value, v.TS, j.value, j.ts)
		}
		must(t, s.Commit(1))
		must(t, db.Sync())
		got, ok, err := e.Engine.Get(nil, []byte("\x02\x01s\x00\x00\x00\x00k"))
		must(t, err)
		if !ok || hex.EncodeToString(got) != v.Bytes {
			t.Errorf("%q @%d: engine has %x, want %s", v.Value, v.TS, got, v.Bytes)
		}
	}
	if n < 10 {
		t.Errorf("only %d vectors", n)
	}
}

// recorder is a changelog that keeps the last record.
type recorder struct {
	key, value []byte
	ts         int64
}

func (r *recorder) Append(key, value []byte, ts int64) error {
	r.key, r.value, r.ts = append([]byte{}, key...), nil, ts
	if value != nil {
		r.value = append([]byte{}, value...)
	}
	return nil
}

// TestDrop: nothing of a transaction is left after Drop, neither in this layer nor in one made anew.
func TestDrop(t *testing.T) {
	t.Parallel()
	s, _ := openKV(t)
	must(t, s.Put("a", 1, 1, none))
	must(t, commit(s, 1))
	must(t, s.Put("a", 2, 2, none))
	must(t, s.Put("b", 2, 2, none))
	must(t, s.Flush())
	s.Drop()
	if v, ts, ok, err := s.Get("a"); v != 1 || ts != 1 || !ok || err != nil {
		t.Errorf("a is %d @%d, %v, %v", v, ts, ok, err)
	}
	if _, _, ok, err := s.Get("b"); ok || err != nil {
		t.Errorf("b is there: %v, %v", ok, err)
	}
	equal(t, "changes", changesOf(t, s), nil)
	if s.Dirty() || s.Pending() {
		t.Error("dirty after Drop")
	}
}

// TestCommitWantsFlush: a commit of what the changelog has not seen is refused, and nothing is lost by it.
func TestCommitWantsFlush(t *testing.T) {
	t.Parallel()
	s, _ := openKV(t)
	must(t, s.Put("a", 1, 1, none))
	if err := s.Commit(1); err == nil {
		t.Error("committed")
	}
	must(t, s.Flush())
	must(t, s.Commit(1))
}

// TestObjects follows a value that is not plain through the hands that could change it (A1 to A5 of the package
// documentation).
func TestObjects(t *testing.T) {
	t.Parallel()
	s, p := openDocs(t)

	// An owner changes what it got and gives it back.
	add := func(k, word string) *doc {
		e, err := s.At(k)
		must(t, err)
		d, ok := e.Value()
		if !ok {
			d = &doc{}
		}
		d.words = append(d.words, word)
		must(t, e.Set(d, 0, none))
		return d
	}
	first := add("k", "a")
	if second := add("k", "b"); second != first {
		t.Error("the object was decoded twice in one transaction")
	}

	// What is forwarded is frozen: the store goes on with another object.
	var forwarded []*doc
	drain := func() {
		must(t, s.Changes(func(_ string, c state.Change[*doc], _ int64, _ serde.Headers) error {
			for _, m := range []serde.Maybe[*doc]{c.Old, c.New} {
				if d, ok := m.Get(); ok {
					forwarded = append(forwarded, d)
				}
			}
			return nil
		}))
	}
	drain()
	add("k", "c")
	drain()
	equal(t, "forwarded", wordsOf(forwarded), []string{"a b", "a b", "a b c"})

	// What was put or got is the caller's.
	mine := &doc{[]string{"x"}}
	must(t, s.Put("p", mine, 0, none))
	mine.words[0] = "changed"
	got, _, _, err := s.Get("p")
	must(t, err)
	equal(t, "got", got.words, []string{"x"})
	got.words[0] = "changed"
	must(t, commit(s, 1))
	equal(t, "committed", wordsAt(t, s, "p", "k"), []string{"x", "a b c"})

	// After the commit and after an abort the layer has no object that anybody else has.
	forwarded[2].words[0] = "changed"
	first.words = append(first.words[:0], "changed")
	e, err := s.At("k")
	must(t, err)
	d, _ := e.Value()
	d.words[0] = "changed and not written back"
	s.Drop()
	equal(t, "after abort", wordsAt(t, s, "p", "k"), []string{"x", "a b c"})
	anew := openLayer[*docs](t, p, docSpec, &journal{})
	equal(t, "in a layer made anew", wordsAt(t, anew, "p", "k"), []string{"x", "a b c"})
}

func wordsOf(list []*doc) (words []string) {
	for _, d := range list {
		b, _ := docSerde{}.Append(nil, d)
		words = append(words, string(b))
	}
	return words
}

func wordsAt(t *testing.T, s *docs, keys ...string) []string {
	var list []*doc
	for _, k := range keys {
		d, _, ok, err := s.Get(k)
		must(t, err)
		if !ok {
			t.Fatalf("%s is not there", k)
		}
		list = append(list, d)
	}
	return wordsOf(list)
}

// TestOmitOld: no old values, the same keys.
func TestOmitOld(t *testing.T) {
	t.Parallel()
	s, _ := openKV(t)
	s.OmitOld()
	must(t, s.Put("a", 1, 1, none))
	must(t, s.Put("b", 1, 1, none))
	must(t, commit(s, 1))
	must(t, s.Put("a", 2, 2, none))
	must(t, s.Delete("b", 2, none))
	must(t, s.Delete("c", 2, none))
	equal(t, "changes", changesOf(t, s), []string{"a: - > 2 @2", "b: - > - @2"})
}

// aliasing is a serde whose values share memory with what they were decoded from.
type aliasing struct{}

func (aliasing) Append(dst, v []byte) ([]byte, error) { return append(dst, v...), nil }
func (aliasing) Decode(src []byte) ([]byte, error)    { return src, nil }
func (aliasing) DecodeAliases() bool                  { return true }

func TestAliasingSerde(t *testing.T) {
	t.Parallel()
	spec := state.KeyValueSpec("bytes", aliasing{}, aliasing{})
	db := openDB(t, newEngine(), state.Config{Inline: true})
	s := openLayer[*state.KeyValue[[]byte, []byte]](t, openPartition(t, db, spec), spec, nil)
	must(t, s.Put([]byte("key"), []byte("value"), 0, none))
	for range 2 {
		for row, err := range s.Range(serde.None[[]byte](), serde.None[[]byte]()) {
			must(t, err)
			if string(row.Key) != "key" || string(row.Value) != "value" {
				t.Fatalf("%q = %q", row.Key, row.Value)
			}
			row.Key[0], row.Value[0] = 'X', 'X'
		}
		v, _, _, err := s.Get([]byte("key"))
		must(t, err)
		v[0] = 'X'
		must(t, s.Changes(func(k []byte, c state.Change[[]byte], _ int64, _ serde.Headers) error { k[0] = 'X'; return nil }))
		must(t, s.Flush())
		must(t, s.Commit(1))
	}
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	s, _ := openKV(t)
	if err := s.Put(string(make([]byte, state.MaxKey+1)), 1, 0, none); !errors.Is(err, state.ErrTooLarge) {
		t.Errorf("%v, want ErrTooLarge", err)
	}
	must(t, s.Put(string(make([]byte, state.MaxKey)), 1, 0, none))
	must(t, commit(s, 1))
}

// TestHitPathAllocatesNothing, of the values that stay typed, with a new record each time.
func TestHitPathAllocatesNothing(t *testing.T) {
	s, _ := openCounts(t, newEngine(), state.Config{Inline: true})
	n, offset := int64(0), int64(0)
	keys := keysOf(64)
	one := func() {
		e, err := s.At(keys[n%64])
		must(t, err)
		v, _ := e.Value()
		must(t, e.Set(v+1, n, none))
		n++
	}
	for range 1000 {
		one()
	}
	if a := testing.AllocsPerRun(1000, one); a != 0 {
		t.Errorf("%v allocations to read and write", a)
	}
	cycle := func() {
		for range 10_000 {
			one()
		}
		offset++
		must(t, commit(s, offset))
	}
	cycle()
	// Per commit: the keys that Changes hands out.
	if a := testing.AllocsPerRun(10, cycle); a > 100 {
		t.Errorf("%v allocations in a commit of 10,000 records", a)
	}
}
