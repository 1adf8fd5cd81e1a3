package state

import (
	"errors"
	"fmt"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state/internal/layer"
)

// changes gives what Changes is to give, see KeyValue.Changes.
func (t *transaction[V]) changes(f func(local []byte, c Change[V], ts int64, h serde.Headers) error) error {
	for t.emitted < len(t.writes) {
		s, h := t.writes[t.emitted], t.headersOf(t.emitted)
		t.emitted++
		if int(t.table.At(s).last) != t.emitted {
			continue // a later write follows
		}
		c, some, err := t.change(s)
		if err != nil {
			t.emitted--
			return err
		}
		if !some {
			continue
		}
		if t.from != nil {
			t.from.Resume(t.origins[t.emitted-1])
		}
		if t.source != nil {
			t.source.SetSource(t.sources[t.emitted-1])
		}
		if err := f(t.table.Key(s), c, t.table.At(s).ts, h); err != nil {
			return err
		}
	}
	if t.from != nil {
		t.from.Resume(0)
	}
	clear(t.bases)
	t.bases = t.bases[:0] // every entry's base is 0 now
	return nil
}

// change returns how an entry differs from its base, which it then is itself. It is false for nothing there before and nothing
// now.
func (t *transaction[V]) change(s layer.Slot) (c Change[V], some bool, err error) {
	it := t.table.At(s)
	b := &t.bases[it.base-1]
	c.Latest = true
	if b.present && !t.omitOld {
		old := b.v
		if !t.plain {
			if old, err = t.decode(t.blobBytes(b.blob)); err != nil {
				return c, false, fmt.Errorf("store %s: old value of key %x: %w", t.below.id, t.table.Key(s), err)
			}
		}
		c.Old = serde.Some(old)
	}
	was := b.present
	if it.flags&flagPresent == 0 {
		it.base = 0
		return c, was, nil
	}
	if !t.plain {
		if _, err := t.encoded(s); err != nil {
			return c, false, err
		}
		if err := t.materialise(s); err != nil {
			return c, false, err
		}
	}
	c.New = serde.Some(it.v)
	if !t.plain && !planted(plantedAliased) { // handed over (T2)
		var none V
		it.v, it.flags = none, it.flags&^flagObject
	}
	it.base = 0
	return c, true, nil
}

var errUnflushed = errors.New("commit of writes that were not flushed")

// flush appends the entries written to the changelog, in the order of their last writes, and stages them for commit.
func (t *transaction[V]) flush(changelogKey func(local []byte) ([]byte, error)) error {
	for t.flushed < len(t.writes) {
		s := t.writes[t.flushed]
		if it := t.table.At(s); int(it.last) == t.flushed+1 {
			if err := t.flushEntry(s, it, changelogKey); err != nil {
				return err
			}
		}
		t.flushed++
	}
	return nil
}

func (t *transaction[V]) flushEntry(s layer.Slot, it *item[V], changelogKey func(local []byte) ([]byte, error)) error {
	local := t.table.Key(s)
	exists := it.flags&flagPresent != 0
	if !exists && it.flags&flagBelow == 0 {
		return nil // created and deleted: nobody below ever knew
	}
	var val []byte
	if exists {
		var err error
		if val, err = t.encoded(s); err != nil {
			return err
		}
		if val == nil {
			val = []byte{} // empty, not null
		}
	}
	key, err := changelogKey(local)
	if err != nil {
		return fmt.Errorf("store %s: key %x: %w", t.below.id, local, err)
	}
	if t.log != nil && !t.unlogged {
		h := t.headersOf(t.flushed)
		if t.kept.on && exists {
			if h, err = t.headersAt(s); err != nil {
				return err
			}
		}
		if err := t.append(h, key, val, it.ts); err != nil {
			return err
		}
	}
	t.grown += it.growth()
	if !exists {
		it.flags &^= flagBelow
		t.staged.Bury(layer.Hash(local), local)
		return nil
	}
	it.flags |= flagBelow
	t.front = appendStored(t.front[:0], t.kept.on, t.kept.of(s), it.ts)
	t.staged.Put(layer.Hash(local), local, t.front, val)
	return nil
}

// append writes to the changelog.
func (t *transaction[V]) append(h serde.Headers, key, val []byte, ts int64) (err error) {
	if t.headed != nil {
		err = t.headed.AppendWith(h.All(), key, val, ts)
	} else {
		err = t.log.Append(key, val, ts)
	}
	if err != nil {
		return fmt.Errorf("store %s: append to changelog: %w", t.below.id, err)
	}
	return nil
}

// commit gives what was flushed to the committed layer.
func (t *transaction[V]) commit(next int64) error {
	if t.flushed < len(t.writes) {
		return fmt.Errorf("store %s: %w", t.below.id, errUnflushed)
	}
	if invariants {
		if err := t.checkClean(); err != nil {
			return err
		}
	}
	if t.log == nil {
		next = -1
	}
	if err := t.below.commit(&t.staged, next, t.logged); err != nil {
		return fmt.Errorf("store %s: commit: %w", t.below.id, err)
	}
	t.below.entries.n += t.grown
	t.settle(false)
	t.makeRoom()
	return nil
}

// settle ends the transaction: entries written become clean, or are forgotten.
func (t *transaction[V]) settle(forget bool) {
	aliased := planted(plantedAliased) && !t.plain && !forget
	switch {
	case aliased:
	case !t.plain:
		t.table.Reset() // objects that user code may have changed or kept (T2)
		t.kept.reset()
	default:
		for _, s := range t.writes {
			it := t.table.At(s)
			if it.last == 0 {
				continue
			}
			it.last, it.base = 0, 0
			if forget {
				t.table.Remove(s)
				t.kept.remove(s)
			}
		}
	}
	clear(t.headers)
	clear(t.bases)
	clear(t.sources)
	t.writes, t.headers, t.origins, t.bases, t.blobs = t.writes[:0], t.headers[:0], t.origins[:0], t.bases[:0], t.blobs[:0]
	t.sources = t.sources[:0]
	t.emitted, t.flushed, t.dirty, t.grown = 0, 0, 0, 0
	t.order.Reset()
	t.ordered = false
	t.groups.Reset()
	t.cursor.busy = false // a panic may have left it standing
	t.staged.Reset()
	t.newest, t.logged = t.below.newestSeen(), newest{}
	const keep = 1 << 20
	if cap(t.bytes) > max(keep, 4*len(t.bytes)) { // the next one is likely to need as much as this one
		t.bytes, t.blobs = nil, nil
	}
	t.bytes = t.bytes[:0]
	if aliased {
		t.keepObjects()
	}
}

// drop forgets the transaction.
func (t *transaction[V]) drop() { t.settle(true) }
