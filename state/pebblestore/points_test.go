package pebblestore

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/millrace-io/millrace/state"
)

// TestPointsSeeTheNewest: an iterator that a read has while a batch or a run comes in is not used again: it would show the next read what was
// there before.
func TestPointsSeeTheNewest(t *testing.T) {
	t.Parallel()
	e, err := Open("state", Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	apply := func(value string) error {
		var b state.Batch
		b.Set([]byte("k"), []byte(value))
		return e.Apply(&b)
	}
	ingest := func(value string) error {
		return e.Ingest(func(write func(op state.Op, a, b []byte) error) error {
			return write(state.OpSet, []byte("k"), []byte(value))
		})
	}
	for i, write := range []func(string) error{apply, apply, ingest, apply, ingest} {
		value := string(rune('a' + i))
		it, epoch, err := e.points.take()
		if err = errors.Join(err, write(value), e.points.give(it, epoch)); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second with the iterator of the first
			if got, ok, err := e.Get(nil, []byte("k")); string(got) != value || !ok || err != nil {
				t.Errorf("write %d: %q, %v, %v; want %q", i, got, ok, err, value)
			}
		}
	}
	if _, _, err := e.Get(nil, []byte("no")); err != nil {
		t.Error(err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}
