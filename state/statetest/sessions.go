package statetest

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
)

// session drives a state.Session. A place's start stands for the session's end, which retention counts from; how long the session is
// follows from it.
type session[V any] struct {
	vals values[V]
	sp   *state.Spec
	s    *state.Session[string, V]
}

func sessionOf[V any](vals values[V], opts ...state.SpecOption) func() (store, int64) {
	return func() (store, int64) {
		sp := state.SessionSpec("ses", text{}, vals.serde, windowRetention*time.Millisecond, 0, opts...)
		return &session[V]{vals: vals, sp: sp}, windowRetention
	}
}

func (s *session[V]) layer() state.Layer { return s.s }
func (s *session[V]) spec() *state.Spec  { return s.sp }

func (s *session[V]) open(e state.Env) error {
	l, err := s.sp.Open(e)
	s.s, _ = l.(*state.Session[string, V])
	return err
}

// logTime reads the end out of a changelog's key: key, end (8), start (8).
func (s *session[V]) logTime(key []byte) int64 {
	return int64(binary.BigEndian.Uint64(key[len(key)-16:]))
}

func bounds(p place) (start, end int64) { return max(0, p.start-p.start%70), p.start }

func (s *session[V]) add(p place, n, ts int64, h serde.Headers) (string, bool, error) {
	start, end := bounds(p)
	v, _, ok, err := s.s.Get(p.key, start, end)
	if err != nil {
		return "", false, err
	}
	if ok {
		v = s.vals.add(v, n)
	} else {
		v = s.vals.fresh(n)
	}
	return s.write(p, v, ts, h)
}

func (s *session[V]) put(p place, n, ts int64, h serde.Headers) (string, bool, error) {
	return s.write(p, s.vals.fresh(n), ts, h)
}

func (s *session[V]) write(p place, v V, ts int64, h serde.Headers) (string, bool, error) {
	start, end := bounds(p)
	text := s.vals.text(v)
	err := s.s.Put(p.key, start, end, v, ts, h)
	s.vals.add(v, 1) // the caller goes on using what it has put
	if errors.Is(err, state.ErrExpired) {
		return "", false, nil
	}
	return text, err == nil, err
}

func (s *session[V]) delete(p place, ts int64, h serde.Headers) (bool, error) {
	start, end := bounds(p)
	err := s.s.Delete(p.key, start, end, ts, h)
	if errors.Is(err, state.ErrExpired) {
		return false, nil
	}
	return err == nil, err
}

func (s *session[V]) get(p place) (held, bool, error) {
	start, end := bounds(p)
	v, ts, ok, err := s.s.Get(p.key, start, end)
	if !ok || err != nil {
		return held{}, false, err
	}
	h := held{value: s.vals.text(v), ts: ts}
	if s.sp.KeepsHeaders {
		row, ok, err := s.s.Row(p.key, start, end)
		if !ok || err != nil {
			return held{}, false, err
		}
		h = held{s.vals.text(row.Value), row.Timestamp, shown(row.Headers)}
	}
	s.vals.add(v, 1)
	return h, true, nil
}

func (s *session[V]) list(r *rand.Rand, m *model) (got, want []string, err error) {
	from := m.newest - r.Int64N(2*windowRetention)
	to := from + r.Int64N(2*windowRetention)
	switch r.IntN(3) {
	case 0:
		return s.find(fmt.Sprintf("k%d", r.IntN(12)), from, to, r.IntN(2) == 0, m)
	case 1:
		return s.findRange(r, from, to, m)
	}
	err = s.s.All(from, to, func(row state.SessionRow[string, V]) error {
		got = append(got, fmt.Sprintf("%s@%d %s %d%s", row.Key, row.End, s.vals.text(row.Value), row.Timestamp, shown(row.Headers)))
		return nil
	})
	places := sorted(m, func(p place) bool { return p.start >= from && p.start <= to }, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.start/windowBucket, b.start/windowBucket), cmp.Compare(encoded(a), encoded(b)))
	})
	return got, texts(m, places, false), err
}

// findRange lists the sessions of a range of keys that end at or after from and start at or before to.
func (s *session[V]) findRange(r *rand.Rand, from, to int64, m *model) (got, want []string, err error) {
	lo, hi, has := keyRange(r)
	rows, reverse := s.s.FindRange(lo, hi, from, to), r.IntN(2) == 0
	if reverse {
		rows = s.s.FindRangeBackward(lo, hi, from, to)
	}
	for row, err := range rows {
		if err != nil {
			return nil, nil, err
		}
		got = append(got, fmt.Sprintf("%s@%d %s %d%s", row.Key, row.End, s.vals.text(row.Value), row.Timestamp, shown(row.Headers)))
	}
	places := sorted(m, func(p place) bool {
		start, _ := bounds(p)
		return has(p.key) && p.start >= from && start <= to
	}, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.start/windowBucket, b.start/windowBucket), cmp.Compare(encoded(a), encoded(b)))
	})
	return got, texts(m, places, reverse), nil
}

// find lists the sessions of one key that end at or after from and start at or before to.
func (s *session[V]) find(key string, from, to int64, reverse bool, m *model) (got, want []string, err error) {
	find := s.s.Find
	if reverse {
		find = s.s.FindBackward
	}
	err = find(key, from, to, func(start, end int64, v V) bool {
		got = append(got, fmt.Sprintf("%d-%d %s", start, end, s.vals.text(v)))
		s.vals.add(v, 1) // what is found is the caller's
		return true
	})
	places := sorted(m, func(p place) bool {
		start, _ := bounds(p)
		return p.key == key && p.start >= from && start <= to
	}, func(a, b place) int { return cmp.Compare(a.start, b.start) })
	for _, p := range places {
		start, end := bounds(p)
		want = append(want, fmt.Sprintf("%d-%d %s", start, end, m.now[p].value))
	}
	if reverse {
		slices.Reverse(want)
	}
	return got, want, err
}

func (s *session[V]) changes(f func(change) error) error {
	return s.s.Changes(func(key string, _, end int64, c state.Change[V], ts int64, h serde.Headers) error {
		return f(changeOf(place{key, end}, c, s.vals, ts, h))
	})
}
