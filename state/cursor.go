package state

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/millrace-io/millrace/state/internal/keyschema"
	"github.com/millrace-io/millrace/state/internal/layer"
)

// cursor iterates over spans of a store of buckets as walk does, and can be used again: once its buffers have grown it does not
// allocate, as long as memory has the buckets whole and V is plain. Joins look up one range for each record.
type cursor[V any] struct {
	t     *transaction[V]
	top   layer.GroupWalk
	below scan
	lo    []byte
	hi    []byte
	enc   []byte // of the key that is looked for
	busy  bool   // it stands in an iteration
}

// borrow returns the store's cursor, or another one if that is in use: an iteration inside an iteration.
func (t *transaction[V]) borrow() *cursor[V] {
	c := &t.cursor
	if c.busy {
		c = &cursor[V]{}
	}
	c.t, c.busy = t, true
	return c
}

// errStop ends an iteration that its caller wants no more of.
var errStop = errors.New("stop")

// each calls f for the entries of one encoded key, c.enc, whose times lie in from <= time <= to, in the order of their keys inside the
// store. tail is how many bytes follow the time at the end of such a key. local is valid until f writes.
func (c *cursor[V]) each(width, from, to int64, tail int, reverse bool, f func(local []byte, v V, ts int64) error) error {
	if from > to {
		return nil
	}
	first, last := keyschema.BucketOf(from, width), keyschema.BucketOf(to, width)
	// So many are tried one by one; of more it is asked which there are. Their number may be too large for an int64.
	const few = 4
	if uint64(last-first) >= few {
		buckets := c.t.buckets(first, last)
		for i := range buckets {
			b := buckets[i]
			if reverse {
				b = buckets[len(buckets)-1-i]
			}
			if err := c.bucket(b, from, to, tail, reverse, f); err != nil {
				return err
			}
		}
		return nil
	}
	for i := range last - first + 1 {
		b := first + i
		if reverse {
			b = last - i
		}
		if err := c.bucket(b, from, to, tail, reverse, f); err != nil {
			return err
		}
	}
	return nil
}

// bucket is each in one bucket.
func (c *cursor[V]) bucket(b keyschema.Bucket, from, to int64, tail int, reverse bool, f func(local []byte, v V, ts int64) error) (err error) {
	t := c.t
	c.lo = append(keyschema.AppendBucket(c.lo[:0], b), c.enc...)
	c.hi = append(c.hi[:0], c.lo...)
	c.lo = keyschema.AppendStart(c.lo, from)
	c.hi = keyschema.AppendStart(c.hi, to)
	for range tail {
		c.hi = append(c.hi, 0xff)
	}
	c.hi = append(c.hi, 0)
	length := len(c.hi) - 1

	sp := span{bucket: b, lo: c.lo, hi: c.hi, prefix: keyschema.BucketLen + len(c.enc), tail: keyschema.StartLen + tail}
	t.group(sp.tail)
	c.top.Restart(&t.groups, t.key, sp.lo, sp.hi, sp.prefix, reverse)
	if err := c.below.open(t.below, sp, reverse); err != nil {
		return fmt.Errorf("scan store %s: %w", t.below.id, err)
	}
	defer func() {
		if e := c.below.close(); e != nil && err == nil {
			err = fmt.Errorf("scan store %s: %w", t.below.id, e)
		}
	}()
	slot, written := c.top.Next()
	stored := c.below.next()
	for written || stored {
		order := -1
		switch {
		case !written:
			order = 1
		case stored:
			if order = bytes.Compare(t.table.Key(slot), c.below.key); reverse {
				order = -order
			}
		}
		var e found[V]
		if order > 0 {
			e, err = t.clean(c.below.key, c.below.val, length)
		} else {
			e, err = t.written(slot, length)
		}
		if err != nil {
			return err
		}
		if e.ok {
			if err := f(e.local, e.v, e.ts); err != nil {
				return err
			}
		}
		if order >= 0 {
			stored = c.below.next()
		}
		if order <= 0 {
			slot, written = c.top.Next()
		}
	}
	return nil
}

// found is an entry that an iteration stands on; not ok: it is not to be shown. local and headers are valid until the next one.
type found[V any] struct {
	local   []byte
	v       V
	ts      int64
	headers []byte // encoded, see decodeHeaders; a cursor leaves them out
	ok      bool
}

// written returns an entry of this transaction, if its key has the length: between two entries of a key there may be others,
// of keys that it is a prefix of (S-16).
func (t *transaction[V]) written(s layer.Slot, length int) (e found[V], err error) {
	if e.local = t.table.Key(s); len(e.local) != length {
		return e, nil
	}
	e.v, e.ts, e.ok, err = t.copyOf(s)
	return e, err
}

// clean is written for an entry that the committed layer has.
func (t *transaction[V]) clean(local, stored []byte, length int) (e found[V], err error) {
	if e.local = local; len(local) != length {
		return e, nil
	}
	if t.plain { // it may be here, decoded
		if s, ok := t.table.Peek(layer.Hash(local), local); ok {
			if it := t.table.At(s); it.flags&flagPresent != 0 {
				e.v, e.ts, e.ok = it.v, it.ts, true
				return e, nil
			}
		}
	}
	return t.decodeStored(local, stored)
}

// lookFor encodes the key that each looks for.
func lookFor[K, V any](c *cursor[V], ks *keyCodec[K], key K) error {
	b, err := ks.Append(c.enc[:0], key)
	if err != nil {
		return fmt.Errorf("store %s: encode key: %w", c.t.below.id, err)
	}
	c.enc = b
	return nil
}

// release gives the cursor back and returns the error of an iteration.
func (c *cursor[V]) release(err error) error {
	c.busy = false
	if errors.Is(err, errStop) {
		return nil
	}
	return err
}

// Each is Fetch without an iterator: it calls f for the windows of key with from <= start <= to, oldest first, until f returns false.
// It does not allocate as long as V is plain and the windows are in memory. f may write the store.
func (s *Window[K, V]) Each(key K, from, to int64, f func(start int64, v V, timestamp int64) bool) error {
	if low, ok := s.low(); ok {
		from = max(from, low)
	}
	c := s.t.borrow()
	err := lookFor(c, &s.ks, key)
	if err == nil {
		err = c.each(s.width, from, to, 0, false, func(local []byte, v V, ts int64) error {
			_, start, err := keyschema.SplitWindow(local)
			if err == nil && !f(start, v, ts) {
				err = errStop
			}
			return err
		})
	}
	return c.release(err)
}

// Retention returns for how many milliseconds after the newest window's start the store keeps windows.
func (s *Window[K, V]) Retention() int64 { return s.retention }
