package statetest

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/millrace-io/millrace/state"
)

// moment is a version in the model, which keeps all that were ever taken.
type moment struct {
	from    int64
	value   string
	deleted bool
}

// versioned drives a state.Versioned.
type versioned struct {
	sp             *state.Spec
	s              *state.Versioned[string, string]
	now, committed map[string][]moment // by time
	newest         [2]int64            // now and committed, -1: none
}

// versionHistory is such that no version begins just where it ends.
const versionHistory = 505

func newVersioned() *versioned {
	return &versioned{
		sp:  state.VersionedSpec("versions", text{}, text{}, versionHistory*time.Millisecond),
		now: map[string][]moment{}, committed: map[string][]moment{}, newest: [2]int64{-1, -1},
	}
}

func (v *versioned) layer() state.Layer { return v.s }
func (v *versioned) spec() *state.Spec  { return v.sp }

func (v *versioned) open(e state.Env) error {
	l, err := v.sp.Open(e)
	v.s, _ = l.(*state.Versioned[string, string])
	return err
}

func (v *versioned) settle(commit bool) {
	if commit {
		v.committed, v.newest[1] = cloneTable(v.now), v.newest[0]
		return
	}
	v.now, v.newest[0] = cloneTable(v.committed), v.newest[1]
}

func (v *versioned) low() int64 {
	if v.newest[0] < 0 {
		return math.MinInt64
	}
	return v.newest[0] - versionHistory
}

func (v *versioned) operate(r *rand.Rand) (string, error) {
	switch x := r.IntN(100); {
	case x < 50:
		return v.write(r)
	case x < 97:
		return v.get(r)
	}
	return v.compare()
}

func (v *versioned) write(r *rand.Rand) (string, error) {
	key := specialKey(r)
	m := moment{from: max(0, v.newest[0]+r.Int64N(windowStep)-r.Int64N(versionHistory*9/8)), deleted: r.IntN(4) == 0}
	m.from -= m.from % 10 // a version is written again now and then
	taken := m.from >= v.low()
	var got state.Validity
	var err error
	if m.deleted {
		got, err = v.s.Delete(key, m.from)
	} else {
		m.value = fmt.Sprint(r.IntN(1000))
		got, err = v.s.Put(key, m.value, m.from)
	}
	if err != nil || got.Stored != taken {
		return fmt.Sprintf("write of %s at %d taken: %v, newest %d", key, m.from, got.Stored, v.newest[0]), err
	}
	if !taken {
		return "", nil
	}
	v.newest[0] = max(v.newest[0], m.from)
	list := v.now[key]
	i, found := slices.BinarySearchFunc(list, m.from, func(o moment, at int64) int { return cmp.Compare(o.from, at) })
	var was moment
	if found {
		was, list[i] = list[i], m
	} else {
		list = slices.Insert(list, i, m)
	}
	v.now[key] = list
	to := int64(math.MaxInt64)
	if i+1 < len(list) {
		to = list[i+1].from
	}
	if m.deleted && found && !was.deleted && i+1 == len(list) && (i == 0 || list[i-1].deleted) {
		v.now[key] = list[:i] // the only version is taken back, and forgotten
	}
	if got.Latest != (to == math.MaxInt64) || got.To != to {
		return fmt.Sprintf("write of %s at %d is latest: %v, to %d; want to %d", key, m.from, got.Latest, got.To, to), nil
	}
	return "", nil
}

func (v *versioned) get(r *rand.Rand) (string, error) {
	key, at := specialKey(r), v.newest[0]+10-r.Int64N(versionHistory*3/2)
	if r.IntN(3) == 0 {
		at = math.MaxInt64
	}
	got, from, ok, err := v.s.GetAsOf(key, at)
	list := v.now[key]
	i, found := slices.BinarySearchFunc(list, at, func(o moment, at int64) int { return cmp.Compare(o.from, at) })
	if !found {
		i--
	}
	exists := i >= 0 && !list[i].deleted && (at >= v.low() || i == len(list)-1)
	if ok != exists || ok && (got != list[i].value || from != list[i].from) {
		return fmt.Sprintf("%s as of %d: %q from %d, %v; want %v of %v, newest %d", key, at, got, from, ok, exists, list, v.newest[0]), err
	}
	return "", err
}

// compare compares all versions that still held within the history: of others the store may have forgotten any.
func (v *versioned) compare() (string, error) {
	var got, want []string
	err := v.s.Each(func(key, value string, from, to int64) error {
		if to > v.low() {
			got = append(got, fmt.Sprint(key, " ", value, " ", from, " ", to))
		}
		return nil
	})
	for key, list := range v.now {
		for i, m := range list {
			to := int64(math.MaxInt64)
			if i+1 < len(list) {
				to = list[i+1].from
			}
			if !m.deleted && to > v.low() {
				want = append(want, fmt.Sprint(key, " ", m.value, " ", m.from, " ", to))
			}
		}
	}
	slices.Sort(got) // that keys come in order is checked for other stores
	slices.Sort(want)
	if newest, ok := v.s.Newest(); ok != (v.newest[0] >= 0) || ok && newest != v.newest[0] {
		return fmt.Sprintf("newest %d, %v; want %d", newest, ok, v.newest[0]), err
	}
	return differs("all versions", got, want), err
}
