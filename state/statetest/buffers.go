package statetest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
)

// waiting is what waits in a buffer of the model.
type waiting struct {
	key, old, new, prior string // "" if absent
	at, ts, offset       int64
	seq                  uint32
}

func (w waiting) String() string {
	return fmt.Sprint(w.key, " ", w.old, "->", w.new, " @", w.ts, " from ", w.offset)
}

// arrived is what waits as the store gives it.
func arrived(b state.Buffered[string, string]) waiting {
	return waiting{key: b.Key, old: b.Change.Old.Or(""), new: b.Change.New.Or(""), ts: b.Timestamp, offset: b.Source.Offset}
}

func maybe(s string) serde.Maybe[string] {
	if s == "" {
		return serde.None[string]()
	}
	return serde.Some(s)
}

// randomValue returns a value, or "" for none.
func randomValue(r *rand.Rand) string {
	if r.IntN(5) == 0 {
		return ""
	}
	return fmt.Sprint("v", r.IntN(1000))
}

// buffer drives a state.Buffer.
type buffer struct {
	sp             *state.Spec
	s              *state.Buffer[string, string]
	now, committed []waiting // by time, then key
	clock          int64
}

func newBuffer() *buffer { return &buffer{sp: state.BufferSpec("buffer", text{}, text{})} }

func (b *buffer) layer() state.Layer { return b.s }
func (b *buffer) spec() *state.Spec  { return b.sp }

func (b *buffer) open(e state.Env) error {
	l, err := b.sp.Open(e)
	b.s, _ = l.(*state.Buffer[string, string])
	return err
}

func (b *buffer) settle(commit bool) {
	if commit {
		b.committed = slices.Clone(b.now)
		return
	}
	b.now = slices.Clone(b.committed)
}

func (b *buffer) operate(r *rand.Rand) (string, error) {
	switch x := r.IntN(100); {
	case x < 45:
		return "", b.put(r)
	case x < 70 && len(b.now) > 0:
		return b.remove()
	case x < 95:
		return b.prior(r)
	}
	return b.heads()
}

func (b *buffer) put(r *rand.Rand) error {
	b.clock += r.Int64N(5)
	w := waiting{key: specialKey(r), old: randomValue(r), new: randomValue(r), at: b.clock - r.Int64N(30), ts: r.Int64N(1000), offset: r.Int64N(1000)}
	err := b.s.Put(w.at, state.Buffered[string, string]{
		Key: w.key, Change: state.Change[string]{Old: maybe(w.old), New: maybe(w.new), Latest: true}, Timestamp: w.ts,
		Source: state.Coordinates{Topic: "in", Partition: 1, Offset: w.offset},
	})
	if i := slices.IndexFunc(b.now, func(o waiting) bool { return o.key == w.key }); i >= 0 {
		w.at, w.prior = b.now[i].at, b.now[i].prior
		b.now[i] = w
		return err
	}
	w.prior = w.old
	b.now = append(b.now, w)
	slices.SortFunc(b.now, func(x, y waiting) int { return cmp.Or(cmp.Compare(x.at, y.at), strings.Compare(x.key, y.key)) })
	return err
}

// remove takes the first out, after a look at it.
func (b *buffer) remove() (string, error) {
	e, err := b.s.Peek()
	if err != nil {
		return "", err
	}
	if got, want := arrived(e).String(), b.now[0].String(); got != want {
		return fmt.Sprintf("first: %s, want %s", got, want), nil
	}
	b.now = b.now[1:]
	return "", b.s.Remove()
}

func (b *buffer) prior(r *rand.Rand) (string, error) {
	key := specialKey(r)
	got, waits, err := b.s.Prior(key)
	i := slices.IndexFunc(b.now, func(o waiting) bool { return o.key == key })
	if waits != (i >= 0) || waits && got.Or("") != b.now[i].prior {
		return fmt.Sprintf("prior of %s: %q, %v; want %v", key, got.Or(""), waits, b.now), err
	}
	return "", err
}

func (b *buffer) heads() (string, error) {
	at, ok := b.s.First()
	if b.s.Len() != len(b.now) || ok != (len(b.now) > 0) || ok && at != b.now[0].at || (b.s.Size() == 0) != (len(b.now) == 0) {
		return fmt.Sprintf("%d wait, of size %d, the first since %d, %v; want %v", b.s.Len(), b.s.Size(), at, ok, b.now), nil
	}
	return "", nil
}

// compare takes everything out, and forgets that.
func (b *buffer) compare() (string, error) {
	if d, err := b.heads(); d != "" || err != nil || len(b.now) == 0 {
		return d, err
	}
	e, err := b.s.Peek()
	return differs("first", []string{arrived(e).String()}, []string{b.now[0].String()}), err
}

// recordBuffer drives a state.RecordBuffer.
type recordBuffer struct {
	sp             *state.Spec
	s              *state.RecordBuffer[string, string]
	now, committed []waiting
	clock          int64
	seq            uint32
}

func newRecordBuffer() *recordBuffer {
	return &recordBuffer{sp: state.RecordBufferSpec("records", text{}, text{})}
}

func (b *recordBuffer) layer() state.Layer { return b.s }
func (b *recordBuffer) spec() *state.Spec  { return b.sp }

func (b *recordBuffer) open(e state.Env) error {
	l, err := b.sp.Open(e)
	b.s, _ = l.(*state.RecordBuffer[string, string])
	b.seq = 0
	return err
}

func (b *recordBuffer) settle(commit bool) {
	if commit {
		b.committed = slices.Clone(b.now)
		return
	}
	b.now = slices.Clone(b.committed)
}

func (b *recordBuffer) operate(r *rand.Rand) (string, error) {
	switch x := r.IntN(100); {
	case x < 85:
		return "", b.add(r)
	case x < 95:
		return b.take(b.clock - r.Int64N(300))
	}
	return b.compare()
}

func (b *recordBuffer) add(r *rand.Rand) error {
	b.clock += r.Int64N(5)
	w := waiting{key: specialKey(r), new: fmt.Sprint("v", r.IntN(1000)), ts: max(0, b.clock-r.Int64N(200)), offset: r.Int64N(1000)}
	w.ts -= w.ts % 10
	same := func(o waiting) bool { return o.key == w.key && o.ts == w.ts && o.seq == w.seq }
	for b.seq++; ; b.seq++ {
		if w.seq = b.seq; !slices.ContainsFunc(b.now, same) {
			break
		}
	}
	b.now = append(b.now, w)
	return b.s.Add(w.key, w.new, w.ts, serde.Headers{}, state.Coordinates{Topic: "in", Partition: 1, Offset: w.offset})
}

func (b *recordBuffer) take(until int64) (string, error) {
	var got, want []string
	err := b.s.Take(until, func(e state.Buffered[string, string]) error {
		got = append(got, arrived(e).String())
		return nil
	})
	slices.SortFunc(b.now, func(x, y waiting) int {
		return cmp.Or(cmp.Compare(x.ts, y.ts), strings.Compare(joined{key: x.key, ts: x.ts, seq: x.seq}.tail(), joined{key: y.key, ts: y.ts, seq: y.seq}.tail()))
	})
	for len(b.now) > 0 && b.now[0].ts <= until {
		want = append(want, b.now[0].String())
		b.now = b.now[1:]
	}
	return differs(fmt.Sprint("records up to ", until), got, want), err
}

func (b *recordBuffer) compare() (string, error) {
	if b.s.Len() != len(b.now) {
		return fmt.Sprintf("%d records wait, want %d", b.s.Len(), len(b.now)), nil
	}
	return "", nil
}
