package statetest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
)

// lists drives a state.ListValue.
type lists struct {
	sp             *state.Spec
	s              *state.ListValue[string, string]
	now, committed map[string][]string
	clock          int64
}

func newLists() *lists {
	return &lists{sp: state.ListValueSpec("lists", text{}, text{}), now: map[string][]string{}, committed: map[string][]string{}}
}

func (l *lists) layer() state.Layer { return l.s }
func (l *lists) spec() *state.Spec  { return l.sp }

func (l *lists) open(e state.Env) error {
	opened, err := l.sp.Open(e)
	l.s, _ = opened.(*state.ListValue[string, string])
	return err
}

func (l *lists) settle(commit bool) {
	if commit {
		l.committed = cloneTable(l.now)
		return
	}
	l.now = cloneTable(l.committed)
}

func (l *lists) operate(r *rand.Rand) (string, error) {
	key := specialKey(r)
	l.clock++
	switch x := r.IntN(100); {
	case x < 50:
		v := fmt.Sprintf("v%03d", r.IntN(1000))[:r.IntN(5)] // an empty value is one
		l.now[key] = append(l.now[key], v)
		return "", l.s.Add(key, v, l.clock, serde.Headers{})
	case x < 65:
		removed, err := l.s.Remove(key, l.clock, serde.Headers{})
		_, want := l.now[key]
		delete(l.now, key)
		if removed != want {
			return fmt.Sprintf("list of %s removed: %v, want %v", key, removed, want), err
		}
		return "", err
	case x < 95:
		list, err := l.s.Get(key)
		if err != nil {
			return "", err
		}
		return l.differs(key, list, l.now[key])
	}
	return l.some(r)
}

func (l *lists) differs(key string, list state.List[string], want []string) (string, error) {
	var got []string
	for v, err := range list.All() {
		if err != nil {
			return "", err
		}
		got = append(got, v)
	}
	if !slices.Equal(got, want) || list.Len() != len(want) {
		return fmt.Sprintf("list of %s: %q of %d, want %q", key, got, list.Len(), want), nil
	}
	return "", nil
}

// some compares a range, forwards or backwards.
func (l *lists) some(r *rand.Rand) (string, error) {
	lo, hi := specialKey(r), specialKey(r)
	keys := slices.DeleteFunc(slices.Sorted(maps.Keys(l.now)), func(k string) bool { return k < lo || k > hi })
	rows := l.s.Range(serde.Some(lo), serde.Some(hi))
	if r.IntN(2) == 0 {
		slices.Reverse(keys)
		rows = l.s.RangeBackward(serde.Some(lo), serde.Some(hi))
	}
	for row, err := range rows {
		if err != nil {
			return "", err
		}
		if len(keys) == 0 || keys[0] != row.Key {
			return fmt.Sprintf("range %s to %s has %s, want next of %q", lo, hi, row.Key, keys), nil
		}
		if differs, err := l.differs(row.Key, row.Value, l.now[row.Key]); differs != "" || err != nil {
			return differs, err
		}
		keys = keys[1:]
	}
	if len(keys) > 0 {
		return fmt.Sprintf("range %s to %s lacks %q", lo, hi, keys), nil
	}
	return "", nil
}

func (l *lists) compare() (string, error) {
	n := 0
	for row, err := range l.s.Range(serde.None[string](), serde.None[string]()) {
		if err != nil {
			return "", err
		}
		n++
		if differs, err := l.differs(row.Key, row.Value, l.now[row.Key]); differs != "" || err != nil {
			return differs, err
		}
	}
	if n != len(l.now) {
		return fmt.Sprintf("%d lists, want %d", n, len(l.now)), nil
	}
	return "", nil
}
