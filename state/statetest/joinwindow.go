package statetest

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
)

// joined is one record of a join side in the model. Its sequence number is a count of the writes since the store was opened; a
// number that is taken is passed over.
type joined struct {
	key, value string
	ts         int64
	seq        uint32
}

// encoded is in the order of the store's keys within a time bucket.
func (j joined) encoded() string {
	b := binary.BigEndian.AppendUint64([]byte(j.key), uint64(j.ts)^1<<63)
	return string(binary.BigEndian.AppendUint32(b, j.seq))
}

// tail is in the order of keys in a record buffer, within one time.
func (j joined) tail() string {
	return string(binary.BigEndian.AppendUint32([]byte(j.key), j.seq))
}

// joinWindow drives a state.JoinWindow.
type joinWindow[V any] struct {
	vals           values[V]
	sp             *state.Spec
	s              *state.JoinWindow[string, V]
	now, committed []joined
	newest         [2]int64 // now and committed, -1: none
	seq            uint32
}

func newJoinWindow[V any](vals values[V]) *joinWindow[V] {
	return &joinWindow[V]{
		vals:   vals,
		sp:     state.JoinWindowSpec("join", text{}, vals.serde, windowSize*time.Millisecond, windowRetention*time.Millisecond),
		newest: [2]int64{-1, -1},
	}
}

func (w *joinWindow[V]) layer() state.Layer { return w.s }
func (w *joinWindow[V]) spec() *state.Spec  { return w.sp }

func (w *joinWindow[V]) open(e state.Env) error {
	l, err := w.sp.Open(e)
	w.s, _ = l.(*state.JoinWindow[string, V])
	w.seq = 0
	return err
}

func (w *joinWindow[V]) settle(commit bool) {
	if commit {
		w.now = slices.DeleteFunc(w.now, func(j joined) bool { return j.ts < w.low() })
		w.committed, w.newest[1] = slices.Clone(w.now), w.newest[0]
		return
	}
	w.now, w.newest[0] = slices.Clone(w.committed), w.newest[1]
}

func (w *joinWindow[V]) low() int64 {
	if w.newest[0] < 0 {
		return math.MinInt64
	}
	return w.newest[0] - windowRetention + 1
}

func (w *joinWindow[V]) operate(r *rand.Rand) (string, error) {
	switch x := r.IntN(100); {
	case x < 60:
		return "", w.add(r)
	case x < 63:
		w.s.Null()
		w.seq++
		return "", nil
	case x < 98:
		return w.each(r)
	}
	return w.compare()
}

func (w *joinWindow[V]) add(r *rand.Rand) error {
	j := joined{key: specialKey(r), ts: w.newest[0] + r.Int64N(windowStep)}
	if r.IntN(4) > 0 {
		j.ts -= r.Int64N(windowRetention * 9 / 8)
	}
	j.ts = max(0, j.ts)
	j.ts -= j.ts % 10 // records of one key and time are wanted
	v := w.vals.fresh(r.Int64N(100))
	j.value = w.vals.text(v)
	if err := w.s.Add(j.key, v, j.ts, serde.Headers{}); err != nil {
		return err
	}
	w.vals.add(v, 1) // the caller goes on using what it has added
	w.seq++
	if j.ts < w.low() {
		return nil // it is in the changelog alone
	}
	for j.seq = w.seq; slices.ContainsFunc(w.now, func(o joined) bool { return o.key == j.key && o.ts == j.ts && o.seq == j.seq }); j.seq = w.seq {
		w.seq++
	}
	w.now = append(w.now, j)
	w.newest[0] = max(w.newest[0], j.ts)
	return nil
}

func (w *joinWindow[V]) each(r *rand.Rand) (string, error) {
	key := specialKey(r)
	from := w.newest[0] - r.Int64N(2*windowRetention)
	to := from + r.Int64N(windowRetention)
	var got []string
	err := w.s.Each(key, from, to, func(v V, ts int64) error {
		got = append(got, fmt.Sprint(ts, w.vals.text(v)))
		w.vals.add(v, 1) // what is found is the caller's
		return nil
	})
	var want []string
	for _, j := range w.sorted(func(a, b joined) int { return cmp.Or(cmp.Compare(a.ts, b.ts), cmp.Compare(a.seq, b.seq)) }) {
		if j.key == key && j.ts >= from && j.ts <= to {
			want = append(want, fmt.Sprint(j.ts, j.value))
		}
	}
	return differs(fmt.Sprintf("records of %s from %d to %d", key, from, to), got, want), err
}

// sorted returns the records that retention has not passed.
func (w *joinWindow[V]) sorted(compare func(a, b joined) int) []joined {
	list := slices.DeleteFunc(slices.Clone(w.now), func(j joined) bool { return j.ts < w.low() })
	slices.SortFunc(list, compare)
	return list
}

func (w *joinWindow[V]) compare() (string, error) {
	var got, want []string
	err := w.s.All(func(key string, v V, ts int64) error {
		got = append(got, fmt.Sprint(key, ts, w.vals.text(v)))
		return nil
	})
	for _, j := range w.sorted(func(a, b joined) int {
		return cmp.Or(cmp.Compare(a.ts/windowBucket, b.ts/windowBucket), strings.Compare(a.encoded(), b.encoded()))
	}) {
		want = append(want, fmt.Sprint(j.key, j.ts, j.value))
	}
	if newest, ok := w.s.Newest(); ok != (w.newest[0] >= 0) || ok && newest != w.newest[0] {
		return fmt.Sprintf("newest %d, %v; want %d", newest, ok, w.newest[0]), err
	}
	return differs("all records", got, want), err
}

// specialKey returns few keys, some of which others begin with.
func specialKey(r *rand.Rand) string {
	key := fmt.Sprintf("k%d", r.IntN(30))
	if r.IntN(4) == 0 {
		key = key[:1+r.IntN(len(key))]
	}
	return key
}

// differs says how two lists differ, and nothing if they do not.
func differs(what string, got, want []string) string {
	if slices.Equal(got, want) {
		return ""
	}
	return fmt.Sprintf("%s:\n got %v\nwant %v", what, got, want)
}
