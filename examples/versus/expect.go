package main

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/topology"
	"github.com/twmb/franz-go/pkg/kgo"
)

// expectation is what an output must be; see is called for each of its records. forget begins anew, for another output.
type expectation interface {
	see(r *kgo.Record)
	check() error
	forget()
}

// exact is an output whose records are known, each as often as it must be there.
type exact struct{ want, got digest }

func (e *exact) see(r *kgo.Record) { e.got.add(r.Key, r.Value, r.Timestamp.UnixMilli()) }

func (e *exact) forget() { e.got = digest{} }

func (e *exact) check() error {
	if e.got != e.want {
		return fmt.Errorf("%d records came out with SHA-256 sums %x, want %d with %x", e.got.n, e.got.sum, e.want.n, e.want.sum)
	}
	return nil
}

// table is an output whose last record of each key is known.
type table struct {
	want map[string]int64
	got  map[string]int64
	bad  int64 // records that are no count
}

func newTable() *table { return &table{want: map[string]int64{}, got: map[string]int64{}} }

func (t *table) see(r *kgo.Record) {
	switch {
	case r.Value == nil:
		delete(t.got, string(r.Key))
	case len(r.Value) == 8:
		t.got[string(r.Key)] = int64(binary.BigEndian.Uint64(r.Value))
	default:
		t.bad++
	}
}

func (t *table) forget() { t.got, t.bad = map[string]int64{}, 0 }

func (t *table) check() error {
	differ := 0
	for k, v := range t.want {
		if got, ok := t.got[k]; !ok || got != v {
			differ++
		}
	}
	if differ > 0 || len(t.got) != len(t.want) || t.bad > 0 {
		return fmt.Errorf("%d of %d keys differ; the output has %d keys, and %d records that are no counts", differ, len(t.want), len(t.got), t.bad)
	}
	return nil
}

func wantIncremented(c sized) expectation {
	e, in := &exact{}, streamInput("", streamSeed, c.n, c.keys)
	for n := range c.n {
		r := in.at(n)
		r.value[len(r.value)-1]++
		e.want.add(r.key, r.value, r.timestamp)
	}
	return e
}

func wantRows(c sized) expectation {
	e, in, rows := &exact{}, streamInput("", streamSeed, c.n, c.keys), tableInput("", tableRows)
	for n := range c.n {
		r := in.at(n)
		row := rows.at(keyIndex(streamSeed, n, c.keys))
		e.want.add(r.key, joinedRow(r.value, row.value), r.timestamp)
	}
	return e
}

func streamKey(i int64) []byte { return appendKey(make([]byte, 0, keyBytes+16), firstPrefix, i) }

func wantCounts(c sized) expectation {
	t := newTable()
	for n := range c.n {
		t.want[string(streamKey(keyIndex(streamSeed, n, c.keys)))]++
	}
	return t
}

func wantSecondCounts(c sized) expectation {
	t := newTable()
	for n := range c.n {
		t.want[string(appendKey(nil, secondPrefix, secondIndex(appendValue(nil, streamSeed, n))))]++
	}
	return t
}

// windowKey is a key with its window's start, as it stands in an output.
func windowKey(index, start int64) string {
	return string(binary.BigEndian.AppendUint64(streamKey(index), uint64(start)))
}

func wantWindows(c sized) expectation {
	t, size := newTable(), windowSize.Milliseconds()
	for n := range c.n {
		t.want[windowKey(keyIndex(streamSeed, n, c.keys), eventTime(n)/size*size)]++
	}
	return t
}

// wantFinalWindows wants the windows that the time of their partition has passed, each once.
func wantFinalWindows(c sized) expectation {
	type row struct{ count, last int64 }
	size := finalSize.Milliseconds()
	now := make(map[int32]int64)
	all := make(map[[2]int64]row)
	for n := range c.n {
		i, ts := keyIndex(streamSeed, n, c.keys), eventTime(n)
		now[topology.PartitionOf(streamKey(i), partitions)] = ts
		w := [2]int64{i, ts / size * size}
		all[w] = row{all[w].count + 1, ts}
	}
	e := &exact{}
	for w, r := range all {
		if w[1]+size <= now[topology.PartitionOf(streamKey(w[0]), partitions)] {
			e.want.add([]byte(windowKey(w[0], w[1])), binary.BigEndian.AppendUint64(nil, uint64(r.count)), r.last)
		}
	}
	return e
}

func wantSessions(c sized) expectation {
	type session struct{ start, end, count int64 }
	gap := sessionGap.Milliseconds()
	open := make(map[int64]session)
	t := newTable()
	end := func(i int64, s session) {
		key := binary.BigEndian.AppendUint64(streamKey(i), uint64(s.end))
		t.want[string(binary.BigEndian.AppendUint64(key, uint64(s.start)))] = s.count
	}
	for n := range c.n {
		i, ts := keyIndex(streamSeed, n, c.keys), eventTime(n)
		s, ok := open[i]
		switch {
		case !ok:
			s = session{ts, ts, 0}
		case ts-s.end > gap:
			end(i, s)
			s = session{ts, ts, 0}
		}
		open[i] = session{s.start, ts, s.count + 1}
	}
	for i, s := range open {
		end(i, s)
	}
	return t
}

// wantPairs wants each pair of two records of a key whose times are close enough.
func wantPairs(c sized) expectation {
	e := &exact{}
	within := joinWithin.Milliseconds()
	var right [][]int64 // numbers by key, ascending
	right = slices.Grow(right, int(c.keys))[:c.keys]
	for n := range c.n {
		i := keyIndex(rightSeed, n, c.keys)
		right[i] = append(right[i], n)
	}
	for n := range c.n {
		i, ts := keyIndex(streamSeed, n, c.keys), eventTime(n)
		for len(right[i]) > 0 && eventTime(right[i][0]) < ts-within {
			right[i] = right[i][1:] // left times ascend
		}
		for _, m := range right[i] {
			if eventTime(m) > ts+within {
				break
			}
			pair := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(n)), uint64(m))
			e.want.add(streamKey(i), pair, max(ts, eventTime(m)))
		}
	}
	return e
}
