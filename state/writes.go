package state

import (
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state/internal/layer"
)

// touch makes the entry's write the last one, and keeps what it was.
func (t *transaction[V]) touch(s layer.Slot, h serde.Headers) *item[V] {
	it := t.table.At(s)
	if it.base == 0 {
		b := base[V]{present: it.flags&flagPresent != 0, blob: it.blob}
		if t.plain && !t.omitOld {
			b.v = it.v
		}
		t.bases = append(t.bases, b)
		it.base = uint32(len(t.bases))
	}
	n := len(t.writes)
	if int(it.last) == n && n > max(t.emitted, t.flushed) {
		t.note(n-1, h)
		if t.from != nil {
			t.origins[n-1] = t.from.Mark()
		}
		return it
	}
	if n == cap(t.writes) && n > 1024 && n > 4*t.dirty {
		t.compact()
		n = len(t.writes)
	}
	if it.last == 0 {
		t.dirty++
		if t.ordered {
			t.insertOrdered(s)
		}
		if t.tail > 0 {
			t.groups.Add(t.table.Key(s), t.tail, s, t.key)
		}
	}
	t.writes = append(t.writes, s)
	it.last = uint32(n + 1)
	t.note(n, h)
	if t.from != nil {
		t.origins = append(t.origins, t.from.Mark())
	}
	return it
}

// note keeps the headers of write i, the last one, and where it came from if somebody asks for that.
func (t *transaction[V]) note(i int, h serde.Headers) {
	if t.source != nil {
		t.sources = append(t.sources[:i], t.source.Source())
	}
	if len(t.headers) == 0 && h == (serde.Headers{}) {
		return
	}
	for len(t.headers) <= i { // this write, and those before it that had none
		t.headers = append(t.headers, serde.Headers{})
	}
	t.headers[i] = h
}

// headersOf returns the headers of write i.
func (t *transaction[V]) headersOf(i int) serde.Headers {
	if i < len(t.headers) {
		return t.headers[i]
	}
	return serde.Headers{}
}

// compact forgets writes that have been overtaken, so that a few keys written often do not make writes grow.
func (t *transaction[V]) compact() {
	kept, emitted, flushed := 0, 0, 0
	for i, s := range t.writes {
		if i == t.emitted {
			emitted = kept
		}
		if i == t.flushed {
			flushed = kept
		}
		if it := t.table.At(s); int(it.last) == i+1 {
			t.writes[kept] = s
			if len(t.headers) > 0 {
				t.headers[kept] = t.headersOf(i)
			}
			if t.from != nil {
				t.origins[kept] = t.origins[i]
			}
			if t.source != nil {
				t.sources[kept] = t.sources[i]
			}
			kept++
			it.last = uint32(kept)
		}
	}
	if t.emitted == len(t.writes) {
		emitted = kept
	}
	if t.flushed == len(t.writes) {
		flushed = kept
	}
	if kept < len(t.headers) {
		clear(t.headers[kept:])
		t.headers = t.headers[:kept]
	}
	if t.from != nil {
		t.origins = t.origins[:kept]
	}
	if t.source != nil {
		t.sources = t.sources[:kept]
	}
	t.writes, t.emitted, t.flushed = t.writes[:kept], emitted, flushed
}
