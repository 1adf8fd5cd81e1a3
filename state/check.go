package state

import (
	"bytes"
	"fmt"

	"github.com/millrace-io/millrace/state/internal/layer"
)

// checkClean encodes every value that should be as it was read or flushed again, and compares: user code that changed one without
// writing it back would make what operators see differ from what the changelog says. It runs under the build tag
// invariants, before each commit.
func (t *transaction[V]) checkClean() (err error) {
	t.table.All(func(s layer.Slot) bool {
		err = t.checkEntry(s)
		return err == nil
	})
	return err
}

func (t *transaction[V]) checkEntry(s layer.Slot) error {
	it := t.table.At(s)
	const decoded = flagPresent | flagObject
	if it.flags&decoded != decoded {
		return nil
	}
	local := t.table.Key(s)
	var want []byte
	switch {
	case it.blob != 0:
		want = t.blobBytes(it.blob)
	case t.plain && it.last == 0:
		stored, ok, err := t.below.get(nil, layer.Hash(local), local)
		if err != nil {
			return err
		}
		if !ok {
			return nil // retention has passed it
		}
		if _, _, want, err = t.split(stored); err != nil {
			return err
		}
	default:
		return nil
	}
	got, err := t.vs.Append(nil, it.v)
	if err != nil {
		return fmt.Errorf("store %s: encode value of key %x: %w", t.below.id, local, err)
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("store %s: value of key %x was changed without a write: %x is now %x", t.below.id, local, want, got)
	}
	return nil
}
