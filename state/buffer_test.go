package state_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/state/memstore"
)

// waiting is what a buffer holds in the model.
type waiting struct {
	at         int64
	key        string
	value      string
	prior, old string // "" for none
	ts         int64
}

func some(s string) serde.Maybe[string] {
	if s == "" {
		return serde.None[string]()
	}
	return serde.Some(s)
}

// TestBufferOfEmptyKey: an empty key is none that is null, also when the buffer is opened anew.
func TestBufferOfEmptyKey(t *testing.T) {
	t.Parallel()
	spec := state.BufferSpec("b", aliasing{}, serde.String)
	p := openPartition(t, openDB(t, memstore.New(), state.Config{Inline: true}), spec)
	b := openLayer[*state.Buffer[[]byte, string]](t, p, spec, &journal{})
	must(t, b.Put(1, state.Buffered[[]byte, string]{Key: []byte{}, Change: state.Change[string]{New: serde.Some("v")}}))
	must(t, b.Flush())
	must(t, b.Commit(1))
	for _, b := range []*state.Buffer[[]byte, string]{b, openLayer[*state.Buffer[[]byte, string]](t, p, spec, &journal{})} {
		if e, err := b.Peek(); err != nil || e.Key == nil || len(e.Key) > 0 {
			t.Errorf("key %#v, %v", e.Key, err)
		}
	}
}

// TestBufferAgainstModel drives a buffer at random, committing, dropping and opening it anew, and compares it with a sorted list.
func TestBufferAgainstModel(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	})
	spec := state.BufferSpec("b", serde.String, serde.String)
	db := openDB(t, memstore.New(), state.Config{Inline: true, CacheBytes: 1, ApplyBytes: 256})
	p := openPartition(t, db, spec)
	open := func() *state.Buffer[string, string] {
		return openLayer[*state.Buffer[string, string]](t, p, spec, &journal{})
	}
	b := open()
	var list, committed []waiting
	for range 4000 {
		switch n := r.IntN(20); {
		case n < 12:
			w := waiting{at: r.Int64N(50), key: string(rune('a' + r.IntN(8))), value: fmt.Sprint(r.IntN(99)), old: fmt.Sprint(r.IntN(3)), ts: r.Int64N(50)}
			w.prior = w.old
			i := slices.IndexFunc(list, func(x waiting) bool { return x.key == w.key })
			must(t, b.Put(w.at, state.Buffered[string, string]{
				Key: w.key, Timestamp: w.ts, Change: state.Change[string]{New: some(w.value), Old: some(w.old)},
				Headers: serde.Headers{}.With("h", []byte(w.value)), Source: state.Coordinates{Topic: "t", Partition: 1, Offset: w.ts},
			}))
			if i >= 0 {
				w.at, w.prior = list[i].at, list[i].prior
				list[i] = w
			} else {
				list = append(list, w)
			}
			slices.SortFunc(list, func(x, y waiting) int { return cmp.Or(cmp.Compare(x.at, y.at), cmp.Compare(x.key, y.key)) })
		case n < 17 && len(list) > 0:
			compareFirst(t, b, list[0])
			must(t, b.Remove())
			list = slices.Delete(slices.Clone(list), 0, 1)
		case n == 17:
			must(t, b.Flush())
			must(t, b.Commit(1))
			committed = slices.Clone(list)
		case n == 18: // an abort: the task is built anew
			b.Drop()
			b, list = open(), slices.Clone(committed)
		default:
			key := string(rune('a' + r.IntN(8)))
			i := slices.IndexFunc(list, func(x waiting) bool { return x.key == key })
			prior, waits, err := b.Prior(key)
			must(t, err)
			if waits != (i >= 0) || waits && prior.Or("") != list[i].prior {
				t.Fatalf("prior of %s: %q %v, want %+v", key, prior.Or(""), waits, list)
			}
		}
		if b.Len() != len(list) || (b.Size() == 0) != (len(list) == 0) {
			t.Fatalf("%d wait, of %d bytes; want %d", b.Len(), b.Size(), len(list))
		}
	}
}

func compareFirst(t *testing.T, b *state.Buffer[string, string], want waiting) {
	t.Helper()
	at, ok := b.First()
	e, err := b.Peek()
	must(t, err)
	h, _ := e.Headers.Last("h")
	got := waiting{at: at, key: e.Key, value: e.Change.New.Or(""), prior: want.prior, old: e.Change.Old.Or(""), ts: e.Timestamp}
	if !ok || got != want || string(h) != want.value || e.Source != (state.Coordinates{Topic: "t", Partition: 1, Offset: want.ts}) {
		t.Fatalf("first is %+v with %q from %+v, want %+v", got, h, e.Source, want)
	}
}

// TestRecordBuffer: records leave in the order of time, then key, then arrival, also those that a task before has left behind, and more
// than are taken at once.
func TestRecordBuffer(t *testing.T) {
	t.Parallel()
	spec := state.RecordBufferSpec("b", serde.String, serde.String)
	db := openDB(t, memstore.New(), state.Config{Inline: true})
	p := openPartition(t, db, spec)
	log := &journal{}
	b := openLayer[*state.RecordBuffer[string, string]](t, p, spec, log)
	var want []string
	add := func(key string, n int, ts int64) {
		must(t, b.Add(key, fmt.Sprint(n), ts, serde.Headers{}, state.Coordinates{Topic: "t"}))
		want = append(want, fmt.Sprintf("%03d %s %06d", ts, key, n))
	}
	for i := range 900 {
		add(string(rune('a'+i%3)), i, int64(i*7%50))
	}
	must(t, b.Flush())
	must(t, b.Commit(1))
	b.Drop()
	b = openLayer[*state.RecordBuffer[string, string]](t, p, spec, log)
	for i := range 100 {
		add(string(rune('a'+i%3)), 900+i, int64(i*7%50))
	}
	slices.Sort(want)
	var got []string
	take := func(until int64) {
		must(t, b.Take(until, func(e state.Buffered[string, string]) error {
			var n int
			_, err := fmt.Sscan(e.Change.New.Or(""), &n)
			got = append(got, fmt.Sprintf("%03d %s %06d", e.Timestamp, e.Key, n))
			return err
		}))
	}
	take(9)
	if n := slices.IndexFunc(want, func(s string) bool { return s >= "010" }); len(got) != n || b.Len() != len(want)-n {
		t.Errorf("%d records of times up to 9 left, %d wait; want %d of %d", len(got), b.Len(), n, len(want))
	}
	take(1 << 40)
	// Sequence numbers begin anew with each task, so that arrival counts within one only.
	if len(got) != len(want) || !slices.IsSortedFunc(got, func(a, b string) int { return cmp.Compare(a[:5], b[:5]) }) {
		t.Errorf("%d records left, want %d in order", len(got), len(want))
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Error("other records left than came")
	}
}

// TestRecordBufferGoesOn: what is due behind a record that fails, or whose consumer panics, is due still.
func TestRecordBufferGoesOn(t *testing.T) {
	t.Parallel()
	spec := state.RecordBufferSpec("b", serde.String, serde.String)
	db := openDB(t, memstore.New(), state.Config{Inline: true})
	b := openLayer[*state.RecordBuffer[string, string]](t, openPartition(t, db, spec), spec, &journal{})
	for ts := range int64(4) {
		must(t, b.Add("k", "v", ts, none, state.Coordinates{}))
	}
	failed := errors.New("failed")
	if err := b.Take(3, func(state.Buffered[string, string]) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("%v, want the consumer's error", err)
	}
	func() {
		defer func() { _ = recover() }()
		_ = b.Take(3, func(state.Buffered[string, string]) error { panic("in the consumer") })
	}()
	var got []string
	must(t, b.Take(3, func(e state.Buffered[string, string]) error {
		got = append(got, fmt.Sprint(e.Timestamp))
		return nil
	}))
	equal(t, "taken afterwards", got, []string{"2", "3"})
}

const buffered = "\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02in\x00\x00\x00\x00\x00\x00\x00\x01" +
	"\x00\x00\x00\x01x\x00\x00\x00\x011\x00\x00\x00\x010\xff\xff\xff\xfe\x00\x00\x00\x030+1\x00\x00\x00\x00\x00\x00\x00\x0a"

// TestBufferedRefused: a value that ends early or goes on is no value of a buffer.
func TestBufferedRefused(t *testing.T) {
	t.Parallel()
	spec := state.BufferSpec("b", serde.String, serde.Bytes)
	open := func(value string) error {
		p := openPartition(t, openDB(t, memstore.New(), state.Config{Inline: true}), spec)
		must(t, p.Restore([]byte("k"), []byte(value), 5))
		must(t, p.RestoredTo(1))
		_, err := spec.Open(state.Env{Committed: p})
		return err
	}
	must(t, open(buffered))
	for n := range len(buffered) {
		if open(buffered[:n]) == nil {
			t.Errorf("%d of %d bytes are taken", n, len(buffered))
		}
	}
	if open(buffered+"\x00") == nil {
		t.Error("a byte too many is taken")
	}
}

// FuzzBuffered: a buffer refuses what is not in its format, and keeps what is, byte for byte.
func FuzzBuffered(f *testing.F) {
	f.Add([]byte(buffered))
	f.Add(bytes.Repeat([]byte{0xff}, 60))
	f.Fuzz(func(t *testing.T, value []byte) {
		spec := state.BufferSpec("b", serde.String, serde.Bytes)
		db := openDB(t, memstore.New(), state.Config{Inline: true})
		p := openPartition(t, db, spec)
		must(t, p.Restore([]byte("k"), append([]byte{}, value...), 5))
		must(t, p.RestoredTo(1))
		l, err := spec.Open(state.Env{Committed: p})
		if err != nil {
			return
		}
		b := l.(*state.Buffer[string, []byte])
		if _, err := b.Peek(); err != nil {
			t.Fatal(err)
		}
		if b.Len() != 1 || b.Size() <= 0 || b.Size() > int64(len(value))+64 {
			t.Fatalf("%d wait, of %d bytes, from %d", b.Len(), b.Size(), len(value))
		}
		must(t, b.Remove())
		if b.Len() != 0 || b.Size() != 0 {
			t.Fatalf("%d wait, of %d bytes, after the removal", b.Len(), b.Size())
		}
	})
}
