package state

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/state/internal/keyschema"
	"github.com/millrace-io/millrace/state/internal/layer"
)

// walk iterates over a span of the store: this transaction's writes over the committed layer. It stops when yield
// returns false and reports whether to go on.
func (t *transaction[V]) walk(s span, reverse bool, yield func(e found[V]) bool) (more bool, err error) {
	t.sort()
	top := layer.NewWalk(&t.order, t.table.Key, s.lo, s.hi, reverse)
	below, err := t.below.scan(s, reverse)
	if err != nil {
		return false, fmt.Errorf("scan store %s: %w", t.below.id, err)
	}
	defer func() {
		if e := below.close(); e != nil && err == nil {
			more, err = false, fmt.Errorf("scan store %s: %w", t.below.id, e)
		}
	}()

	slot, written := top.Next()
	stored := below.next()
	for written || stored {
		order := -1
		switch {
		case !written:
			order = 1
		case stored:
			order = bytes.Compare(t.table.Key(slot), below.key)
			if reverse {
				order = -order
			}
		}
		var e found[V]
		if order > 0 {
			e, err = t.decodeStored(below.key, below.val)
		} else {
			e = found[V]{local: t.table.Key(slot), headers: t.kept.of(slot)}
			e.v, e.ts, e.ok, err = t.copyOf(slot)
		}
		if err != nil {
			return false, err
		}
		if e.ok && !yield(e) {
			return false, nil
		}
		if order >= 0 {
			stored = below.next()
		}
		if order <= 0 {
			slot, written = top.Next()
		}
	}
	return true, nil
}

// decodeStored returns an entry as the committed layer has it.
func (t *transaction[V]) decodeStored(local, stored []byte) (e found[V], err error) {
	e.local, e.ok = local, true
	var body []byte
	if e.headers, e.ts, body, err = t.split(stored); err == nil {
		e.v, err = t.decode(body)
	}
	if err != nil {
		return e, fmt.Errorf("store %s: value of key %x: %w", t.below.id, local, err)
	}
	return e, nil
}

// copyOf returns the value of an entry that is the caller's own: plain, or decoded anew.
func (t *transaction[V]) copyOf(s layer.Slot) (v V, ts int64, ok bool, err error) {
	it := t.table.At(s)
	if it.flags&flagPresent == 0 {
		return v, -1, false, nil
	}
	if t.plain {
		return it.v, it.ts, true, nil
	}
	b, err := t.encoded(s)
	if err != nil {
		return v, it.ts, false, err
	}
	if v, err = t.decode(b); err != nil {
		return v, it.ts, false, fmt.Errorf("store %s: value of key %x: %w", t.below.id, t.table.Key(s), err)
	}
	return v, it.ts, true, nil
}

// sort makes the order of what this transaction has written, at the first scan in it.
func (t *transaction[V]) sort() {
	if t.ordered {
		return
	}
	slots := make([]layer.Slot, 0, t.dirty)
	for i, s := range t.writes {
		if int(t.table.At(s).last) == i+1 {
			slots = append(slots, s)
		}
	}
	t.order.Build(slots, func(a, b layer.Slot) int { return bytes.Compare(t.table.Key(a), t.table.Key(b)) })
	t.ordered = true
}

// group makes the groups of what this transaction has written, at the first look-up in one. Those that follow keep them.
func (t *transaction[V]) group(tail int) {
	if t.tail > 0 {
		return
	}
	t.key, t.tail = t.table.Key, tail
	for i, s := range t.writes {
		if int(t.table.At(s).last) == i+1 {
			t.groups.Add(t.table.Key(s), tail, s, t.key)
		}
	}
}

func (t *transaction[V]) insertOrdered(s layer.Slot) {
	key := t.table.Key(s)
	t.order.Insert(t.order.Seek(func(x layer.Slot) int { return bytes.Compare(t.table.Key(x), key) }), s)
}

// buckets returns the buckets with lo <= bucket <= hi that the store has, in this transaction or below, in order.
func (t *transaction[V]) buckets(lo, hi keyschema.Bucket) []keyschema.Bucket {
	t.sort()
	list := t.below.bucketsIn(lo, hi)
	// Skip from bucket to bucket: there are few of them and many entries.
	for next := lo; ; {
		w := layer.NewWalk(&t.order, t.table.Key, keyschema.AppendBucket(nil, next), nil, false)
		s, ok := w.Next()
		if !ok {
			break
		}
		b := t.below.bucketOf(t.table.Key(s))
		if b > hi {
			break
		}
		list = append(list, b)
		if b == hi {
			break
		}
		next = b + 1
	}
	slices.Sort(list)
	return slices.Compact(list)
}
