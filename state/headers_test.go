package state_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
)

// headed is a changelog that shows headers too, and keeps its records for restoring.
type headed struct {
	journal
	log []headedRecord
}

type headedRecord struct {
	key, value []byte
	ts         int64
	headers    []serde.Header
}

func (h *headed) AppendWith(headers []serde.Header, key, value []byte, ts int64) error {
	r := headedRecord{key: []byte(string(key)), ts: ts, headers: headers}
	if value != nil {
		r.value = []byte(string(value))
	}
	h.log = append(h.log, r)
	if err := h.Append(key, value, ts); err != nil {
		return err
	}
	for _, header := range headers {
		h.records[len(h.records)-1] += fmt.Sprintf(" %s=%x", header.Key, header.Value)
	}
	return nil
}

// restore gives the records to a partition, with their headers or as a program that keeps none has written them.
func (h *headed) restore(t testing.TB, p *state.Partition, bare bool) {
	t.Helper()
	for _, r := range h.log {
		headers := r.headers
		if bare {
			headers = nil
		}
		must(t, p.Restore(r.key, r.value, r.ts, headers...))
	}
	must(t, p.RestoredTo(int64(len(h.log))))
}

// logged shows a value as a journal does.
func logged(n byte) string { return fmt.Sprintf("%q", []byte{7: n}) }

func rowOf(t testing.TB, s *strings64, key string) string {
	t.Helper()
	row, ok, err := s.Row(key)
	must(t, err)
	if !ok {
		return "-"
	}
	return showRow(row)
}

func showRow(row state.Row[string, int64]) string {
	out := fmt.Sprintf("%s=%d@%d", row.Key, row.Value, row.Timestamp)
	for _, h := range row.Headers.All() {
		out += fmt.Sprintf(" %s:%s", h.Key, h.Value)
	}
	return out
}

func headersOf(pairs ...string) serde.Headers {
	var list []serde.Header
	for _, p := range pairs {
		k, v, _ := strings.Cut(p, ":")
		list = append(list, serde.Header{Key: k, Value: []byte(v)})
	}
	return serde.NewHeaders(list)
}

var headedSpec = state.KeyValueSpec("kv", stringSerde{}, int64Serde{}, state.KeepHeaders())

// TestKeepHeaders: headers go the whole way of their value: written, flushed with the changelog's record, committed, applied and read again. What is
// written without leaves none behind; a delete's go to the changelog (S-20).
func TestKeepHeaders(t *testing.T) {
	t.Parallel()
	j, e := &headed{}, newEngine()
	db := openDB(t, e, state.Config{Inline: true})
	p := openPartition(t, db, headedSpec)
	s := openLayer[*strings64](t, p, headedSpec, j)
	given := headersOf("x:1", "x:2")
	must(t, s.Put("a", 1, 10, given))
	given.Add("later", nil) // is the caller's doing, and not the store's
	must(t, s.Put("b", 2, 11, none))
	must(t, s.Put("c", 3, 12, headersOf("z:3")))
	equal(t, "rows in the transaction", []string{rowOf(t, s, "a"), rowOf(t, s, "b"), rowOf(t, s, "c"), rowOf(t, s, "d")},
		[]string{"a=1@10 x:1 x:2", "b=2@11", "c=3@12 z:3", "-"})
	must(t, s.Flush())
	equal(t, "changelog", j.take(), []string{`"a" = ` + logged(1) + ` @10 x=31 x=32`, `"b" = ` + logged(2) + ` @11`, `"c" = ` + logged(3) + ` @12 z=33`})
	must(t, s.Commit(3))
	must(t, db.Sync())

	s = openLayer[*strings64](t, p, headedSpec, j) // nothing is in its layer
	must(t, s.Put("a", 4, 20, none))
	must(t, s.Delete("c", 21, headersOf("gone:1")))
	var rows []string
	for row, err := range s.Range(serde.None[string](), serde.None[string]()) {
		must(t, err)
		rows = append(rows, showRow(row))
	}
	equal(t, "range", rows, []string{"a=4@20", "b=2@11"})
	must(t, s.Flush())
	equal(t, "changelog", j.take(), []string{`"a" = ` + logged(4) + ` @20`, `"c" = null @21 gone=31`})
	s.Drop()
	equal(t, "rows after an abort", []string{rowOf(t, s, "a"), rowOf(t, s, "c")}, []string{"a=1@10 x:1 x:2", "c=3@12 z:3"})

	s.OmitHeaders()
	must(t, s.Put("a", 5, 30, headersOf("y:1")))
	equal(t, "changes of a store that omits headers", changesOf(t, s), []string{"a: 1 > 5 @30 y"})
	must(t, s.Flush())
	equal(t, "its changelog", j.take(), []string{`"a" = ` + logged(5) + ` @30`})
	equal(t, "its row", []string{rowOf(t, s, "a")}, []string{"a=5@30"})
}

// TestHeadersStayWithTheirEntry: a row without headers has none of those of an entry that was in its place in memory before, whether the bound of
// the cache has taken that away, or the end of the transaction or its abort.
func TestHeadersStayWithTheirEntry(t *testing.T) {
	t.Parallel()
	config := state.Config{Inline: true, CacheBytes: 1}
	t.Run("evicted", func(t *testing.T) {
		p := openPartition(t, openDB(t, newEngine(), config), headedSpec)
		headersStay(t, openLayer[*strings64](t, p, headedSpec, &headed{}), func(i int64) int64 { return i })
	})
	t.Run("ended", func(t *testing.T) {
		spec := state.KeyValueSpec("kv", stringSerde{}, serde.Nullable(int64Serde{}), state.KeepHeaders())
		p := openPartition(t, openDB(t, newEngine(), config), spec)
		headersStay(t, openLayer[*state.KeyValue[string, *int64]](t, p, spec, &headed{}), func(i int64) *int64 { return &i })
	})
}

func headersStay[V any](t *testing.T, s *state.KeyValue[string, V], value func(int64) V) {
	t.Helper()
	const n = 100 // more than are evicted at once
	for i := range int64(n) {
		must(t, s.Put(fmt.Sprint("with ", i), value(i), i, headersOf("x:1")))
		must(t, s.Put(fmt.Sprint("without ", i), value(i), i, none))
	}
	must(t, s.Flush())
	must(t, s.Commit(2*n))
	for i := range int64(n) {
		must(t, s.Put(fmt.Sprint("never ", i), value(i), i, headersOf("x:1")))
	}
	s.Drop()
	for i := range n {
		for want, key := range []string{"without", "with"} { // in the place of one that had headers first
			row, ok, err := s.Row(fmt.Sprint(key, " ", i))
			must(t, err)
			if got := row.Headers.All(); !ok || len(got) != want {
				t.Fatalf("%s %d has the headers %v, %v", key, i, got, ok)
			}
		}
	}
}

// TestKeptHeadersOfTimedStores: rows of windows and sessions have theirs, restored from the changelog in bulk of one.
func TestKeptHeadersOfTimedStores(t *testing.T) {
	t.Parallel()
	windows := state.WindowSpec("w", stringSerde{}, int64Serde{}, time.Second, time.Hour, state.KeepHeaders())
	sessions := state.SessionSpec("s", stringSerde{}, int64Serde{}, time.Hour, 0, state.KeepHeaders())
	wlog, slog := &headed{}, &headed{}
	db := openDB(t, newEngine(), state.Config{Inline: true})
	w := openLayer[*state.Window[string, int64]](t, openPartition(t, db, windows), windows, wlog)
	s := openLayer[*state.Session[string, int64]](t, openPartition(t, db, sessions), sessions, slog)
	must(t, w.Put("a", 1000, 1, 1500, headersOf("x:1")))
	must(t, s.Put("a", 1000, 2000, 2, 2000, headersOf("y:2")))
	must(t, w.Flush())
	must(t, s.Flush())

	db = openDB(t, newEngine(), state.Config{Inline: true})
	wp, sp := openPartition(t, db, windows), openPartition(t, db, sessions)
	wlog.restore(t, wp, false)
	slog.restore(t, sp, false)
	w = openLayer[*state.Window[string, int64]](t, wp, windows, wlog)
	s = openLayer[*state.Session[string, int64]](t, sp, sessions, slog)
	wrow, ok, err := w.Row("a", 1000)
	must(t, err)
	srow, ok2, err := s.Row("a", 1000, 2000)
	must(t, err)
	equal(t, "rows", []string{
		fmt.Sprint(ok, wrow.Key, wrow.Start, wrow.Value, wrow.Timestamp, wrow.Headers.All()),
		fmt.Sprint(ok2, srow.Key, srow.Start, srow.End, srow.Value, srow.Timestamp, srow.Headers.All()),
	}, []string{"truea1000 1 1500 [{x [49]}]", "truea1000 2000 2 2000 [{y [50]}]"})
	for row, err := range w.Fetch("a", 0, 5000) {
		must(t, err)
		equal(t, "fetched", []string{fmt.Sprint(row.Headers.All())}, []string{"[{x [49]}]"})
	}
	must(t, s.All(0, 5000, func(row state.SessionRow[string, int64]) error {
		equal(t, "all", []string{fmt.Sprint(row.Headers.All())}, []string{"[{y [50]}]"})
		return nil
	}))
}

// TestKeepHeadersLater: a store that is given the option, or loses it, is emptied once and rebuilt from the same changelog. Rows that were written
// without headers have none.
func TestKeepHeadersLater(t *testing.T) {
	t.Parallel()
	j, e := &headed{}, newEngine()
	pos := state.Position{ClusterID: "c"}
	write := func(spec *state.Spec) {
		db := openDB(t, e, state.Config{Inline: true})
		p := openPartition(t, db, spec)
		s := openLayer[*strings64](t, p, spec, j)
		must(t, s.Put("a", 1, 10, headersOf("x:1")))
		must(t, s.Flush())
		must(t, s.Commit(1))
		must(t, db.Close())
	}
	reopen := func(spec *state.Spec, bare, emptied bool) string {
		db := openDB(t, e, state.Config{Inline: true})
		p, err := db.Partition(spec, 0)
		must(t, err)
		if _, known := p.Position(); known == emptied {
			t.Errorf("position known: %v, emptied: %v", known, emptied)
		}
		if emptied {
			must(t, p.Reset(pos))
			j.restore(t, p, bare)
		}
		row := rowOf(t, openLayer[*strings64](t, p, spec, j), "a")
		must(t, db.Close())
		return row
	}
	write(kvSpec)
	j.log = []headedRecord{{key: []byte("a"), value: []byte("\x00\x00\x00\x00\x00\x00\x00\x01"), ts: 10, headers: headersOf("x:1").All()}}
	equal(t, "rows", []string{
		reopen(kvSpec, true, false),
		reopen(headedSpec, true, true),  // of records without
		reopen(headedSpec, true, false), // once
		reopen(kvSpec, false, true),     // and back: headers of records are left out
		reopen(headedSpec, false, true),
	}, []string{"a=1@10", "a=1@10", "a=1@10", "a=1@10", "a=1@10 x:1"})
}

// TestBufferKeepsHeaders: a buffer that keeps headers says of its changelog's prior and old values which headers and time they had, in headers of
// the record, and reads them back; of records without, which a program that keeps none has written, they have no headers and the record's time.
func TestBufferKeepsHeaders(t *testing.T) {
	t.Parallel()
	spec := state.BufferSpec("b", serde.String, serde.String, state.KeepHeaders())
	put := func(b *state.Buffer[string, string], old, now serde.Maybe[string], ts int64, h serde.Headers) {
		t.Helper()
		must(t, b.Put(ts, state.Buffered[string, string]{
			Key: "k", Change: state.Change[string]{Old: old, New: now, Latest: true}, Timestamp: ts, Headers: h,
			Source: state.Coordinates{Topic: "in"},
		}))
	}
	fill := func(p *state.Partition, log state.Changelog) *state.Buffer[string, string] {
		return openLayer[*state.Buffer[string, string]](t, p, spec, log)
	}
	first := &headed{}
	b := fill(openPartition(t, openDB(t, newEngine(), state.Config{Inline: true}), spec), first)
	put(b, serde.Some("0"), serde.Some("1"), 5, headersOf("x:1"))
	must(t, b.Flush())

	const unknown, one = "00ffffffffffffffff", "0a02027802310000000000000005"
	for _, c := range []struct {
		name             string
		bare             bool
		prior, old, want string
	}{
		{"with", false, unknown, one, ""},
		{"without", true, "000000000000000005", one, ""},
	} {
		p := openPartition(t, openDB(t, newEngine(), state.Config{Inline: true}), spec)
		first.restore(t, p, c.bare)
		log := &headed{}
		b := fill(p, log)
		put(b, serde.Some("1"), serde.Some("2"), 7, headersOf("y:2"))
		size := b.Size()
		must(t, b.Flush())
		equal(t, c.name+": headers", []string{headersAsText(log.log[0].headers)}, []string{"v=03 vh.prior=" + c.prior + " vh.old=" + c.old})
		must(t, b.Commit(2))
		if again := fill(p, log); again.Size() != size || again.Len() != 1 {
			t.Errorf("%s: opened again it holds %d of %d bytes, want 1 of %d", c.name, again.Len(), again.Size(), size)
		}
		must(t, b.Remove())
		if b.Size() != 0 {
			t.Errorf("%s: empty, it has %d bytes", c.name, b.Size())
		}
		must(t, b.Flush())
		if got := log.log[1]; got.value != nil || len(got.headers) > 0 {
			t.Errorf("%s: it has left as %v", c.name, got)
		}
	}
}

func headersAsText(list []serde.Header) string {
	var parts []string
	for _, h := range list {
		parts = append(parts, fmt.Sprintf("%s=%x", h.Key, h.Value))
	}
	return strings.Join(parts, " ")
}
