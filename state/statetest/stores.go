package statetest

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
)

// keyValue drives a state.KeyValue.
type keyValue[V any] struct {
	vals values[V]
	sp   *state.Spec
	s    *state.KeyValue[string, V]
}

func keyValueOf[V any](vals values[V], opts ...state.SpecOption) func() (store, int64) {
	return func() (store, int64) {
		return &keyValue[V]{vals: vals, sp: state.KeyValueSpec("kv", text{}, vals.serde, opts...)}, 0
	}
}

func (k *keyValue[V]) layer() state.Layer { return k.s }
func (k *keyValue[V]) spec() *state.Spec  { return k.sp }

func (k *keyValue[V]) open(e state.Env) error {
	l, err := k.sp.Open(e)
	k.s, _ = l.(*state.KeyValue[string, V])
	return err
}

func (k *keyValue[V]) add(p place, n, ts int64, h serde.Headers) (string, bool, error) {
	e, err := k.s.At(p.key)
	if err != nil {
		return "", false, err
	}
	v, ok := e.Value()
	if !ok {
		v = k.vals.fresh(n)
	} else {
		v = k.vals.add(v, n)
	}
	return k.vals.text(v), true, e.Set(v, ts, h)
}

func (k *keyValue[V]) put(p place, n, ts int64, h serde.Headers) (string, bool, error) {
	v := k.vals.fresh(n)
	text := k.vals.text(v)
	err := k.s.Put(p.key, v, ts, h)
	k.vals.add(v, 1) // the caller goes on using what it has put
	return text, true, err
}

func (k *keyValue[V]) delete(p place, ts int64, h serde.Headers) (bool, error) {
	return true, k.s.Delete(p.key, ts, h)
}

func (k *keyValue[V]) get(p place) (held, bool, error) {
	v, ts, ok, err := k.s.Get(p.key)
	if !ok || err != nil {
		return held{}, false, err
	}
	h := held{value: k.vals.text(v), ts: ts}
	if k.sp.KeepsHeaders {
		row, ok, err := k.s.Row(p.key)
		if !ok || err != nil {
			return held{}, false, err
		}
		h = held{k.vals.text(row.Value), row.Timestamp, shown(row.Headers)}
	}
	k.vals.add(v, 1) // what was got is the caller's
	return h, true, nil
}

func (k *keyValue[V]) list(r *rand.Rand, m *model) (got, want []string, err error) {
	if r.IntN(4) == 0 {
		prefix := fmt.Sprintf("k%d", r.IntN(120))[:1+r.IntN(2)]
		places := sorted(m, func(p place) bool { return strings.HasPrefix(p.key, prefix) }, func(a, b place) int { return cmp.Compare(a.key, b.key) })
		got, err = k.show(k.s.ReadOnly().PrefixScan([]byte(prefix)))
		return got, texts(m, places, false), err
	}
	lo, hi := serde.None[string](), serde.None[string]()
	if r.IntN(3) > 0 {
		lo = serde.Some(fmt.Sprintf("k%d", r.IntN(120)))
	}
	if r.IntN(3) > 0 {
		hi = serde.Some(fmt.Sprintf("k%d", r.IntN(120)))
	}
	rows, reverse := k.s.Range(lo, hi), r.IntN(2) == 0
	if reverse {
		rows = k.s.RangeBackward(lo, hi)
	}
	got, err = k.show(rows)
	places := sorted(m, func(p place) bool { return p.key >= lo.Or("") && p.key <= hi.Or("z") }, func(a, b place) int {
		return cmp.Compare(a.key, b.key)
	})
	return got, texts(m, places, reverse), err
}

func (k *keyValue[V]) show(rows iter.Seq2[state.Row[string, V], error]) (list []string, err error) {
	for row, err := range rows {
		if err != nil {
			return nil, err
		}
		list = append(list, fmt.Sprint(row.Key, "@0 ", k.vals.text(row.Value), " ", row.Timestamp, shown(row.Headers)))
	}
	return list, nil
}

// keyRange chooses a range of keys, and says which keys are in it.
func keyRange(r *rand.Rand) (lo, hi serde.Maybe[string], has func(string) bool) {
	if r.IntN(3) > 0 {
		lo = serde.Some(fmt.Sprintf("k%d", r.IntN(12)))
	}
	if r.IntN(3) > 0 {
		hi = serde.Some(fmt.Sprintf("k%d", r.IntN(12)))
	}
	return lo, hi, func(key string) bool { return key >= lo.Or("") && key <= hi.Or("z") }
}

func (k *keyValue[V]) changes(f func(change) error) error {
	return k.s.Changes(func(key string, c state.Change[V], ts int64, h serde.Headers) error {
		return f(changeOf(place{key: key}, c, k.vals, ts, h))
	})
}

func changeOf[V any](p place, c state.Change[V], vals values[V], ts int64, h serde.Headers) change {
	x := change{place: p, old: "-", new: "-", ts: ts, header: h.All()[0].Key}
	if v, ok := c.Old.Get(); ok {
		x.old = vals.text(v)
		vals.add(v, 1) // old values are nobody else's
	}
	if v, ok := c.New.Get(); ok {
		x.new = vals.text(v)
		vals.add(v, 1) // neither are new ones
	}
	return x
}

// sorted returns the places of the model that keep accepts and retention has not passed.
func sorted(m *model, keep func(place) bool, compare func(a, b place) int) []place {
	var list []place
	for p := range m.now {
		if m.kept(p) && keep(p) {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, compare)
	return list
}

func texts(m *model, places []place, reverse bool) []string {
	var list []string
	for _, p := range places {
		list = append(list, fmt.Sprintf("%s@%d %s %d%s", p.key, p.start, m.now[p].value, m.now[p].ts, m.now[p].header))
	}
	if reverse {
		slices.Reverse(list)
	}
	return list
}

// window drives a state.Window.
type window[V any] struct {
	vals values[V]
	sp   *state.Spec
	s    *state.Window[string, V]
}

const (
	windowSize      = 100
	windowRetention = 1000
	windowStep      = 40
	windowBucket    = windowRetention / 4
)

func windowOf[V any](vals values[V], opts ...state.SpecOption) func() (store, int64) {
	return func() (store, int64) {
		sp := state.WindowSpec("win", text{}, vals.serde, windowSize*time.Millisecond, windowRetention*time.Millisecond, opts...)
		return &window[V]{vals: vals, sp: sp}, windowRetention
	}
}

func (w *window[V]) layer() state.Layer { return w.s }
func (w *window[V]) spec() *state.Spec  { return w.sp }

func (w *window[V]) open(e state.Env) error {
	l, err := w.sp.Open(e)
	w.s, _ = l.(*state.Window[string, V])
	return err
}

func (w *window[V]) add(p place, n, ts int64, h serde.Headers) (string, bool, error) {
	e, err := w.s.At(p.key, p.start)
	if err != nil {
		return "", false, err
	}
	v, ok := e.Value()
	if !ok {
		v = w.vals.fresh(n)
	} else {
		v = w.vals.add(v, n)
	}
	err = e.Set(v, ts, h)
	if errors.Is(err, state.ErrExpired) && e.Expired() {
		return "", false, nil
	}
	return w.vals.text(v), err == nil, err
}

func (w *window[V]) put(p place, n, ts int64, h serde.Headers) (string, bool, error) {
	v := w.vals.fresh(n)
	text := w.vals.text(v)
	err := w.s.Put(p.key, p.start, v, ts, h)
	w.vals.add(v, 1)
	if errors.Is(err, state.ErrExpired) {
		return "", false, nil
	}
	return text, err == nil, err
}

func (w *window[V]) delete(p place, ts int64, h serde.Headers) (bool, error) {
	err := w.s.Delete(p.key, p.start, ts, h)
	if errors.Is(err, state.ErrExpired) {
		return false, nil
	}
	return err == nil, err
}

func (w *window[V]) get(p place) (held, bool, error) {
	v, ts, ok, err := w.s.Get(p.key, p.start)
	if !ok || err != nil {
		return held{}, false, err
	}
	h := held{value: w.vals.text(v), ts: ts}
	if w.sp.KeepsHeaders {
		row, ok, err := w.s.Row(p.key, p.start)
		if !ok || err != nil {
			return held{}, false, err
		}
		h = held{w.vals.text(row.Value), row.Timestamp, shown(row.Headers)}
	}
	w.vals.add(v, 1)
	return h, true, nil
}

func (w *window[V]) list(r *rand.Rand, m *model) (got, want []string, err error) {
	from := m.newest - r.Int64N(2*windowRetention)
	to := from + r.Int64N(2*windowRetention)
	key, one, reverse := fmt.Sprintf("k%d", r.IntN(12)), r.IntN(2) == 0, r.IntN(2) == 0
	lo, hi, has := keyRange(r)
	ranged := r.IntN(2) == 0
	var rows iter.Seq2[state.WindowRow[string, V], error]
	switch {
	case one && reverse:
		rows = w.s.FetchBackward(key, from, to)
	case one:
		rows = w.s.Fetch(key, from, to)
	case ranged && reverse:
		rows = w.s.FetchRangeBackward(lo, hi, from, to)
	case ranged:
		rows = w.s.FetchRange(lo, hi, from, to)
	case reverse:
		rows = w.s.FetchAllBackward(from, to)
	default:
		rows = w.s.FetchAll(from, to)
	}
	for row, err := range rows {
		if err != nil {
			return nil, nil, err
		}
		got = append(got, fmt.Sprintf("%s@%d %s %d%s", row.Key, row.Start, w.vals.text(row.Value), row.Timestamp, shown(row.Headers)))
	}
	places := sorted(m, func(p place) bool {
		return p.start >= from && p.start <= to && (!one || p.key == key) && (one || !ranged || has(p.key))
	}, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.start/windowBucket, b.start/windowBucket),
			cmp.Compare(encoded(a), encoded(b)))
	})
	return got, texts(m, places, reverse), nil
}

// encoded orders places as the bytes of their keys are: key, then start (8).
func encoded(p place) string {
	return p.key + string([]byte{0x80, 0, 0, 0, byte(p.start >> 24), byte(p.start >> 16), byte(p.start >> 8), byte(p.start)})
}

func (w *window[V]) changes(f func(change) error) error {
	return w.s.Changes(func(key string, start int64, c state.Change[V], ts int64, h serde.Headers) error {
		return f(changeOf(place{key, start}, c, w.vals, ts, h))
	})
}
