package stream_test

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime/topologytest"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/window"
)

// basket is an aggregate that an aggregator may change in place.
type basket struct{ Items []string }

// TestPanickingAggregator: what an aggregator that panics has half done is not seen by the next record, nor stored (P-30).
func TestPanickingAggregator(t *testing.T) {
	t.Parallel()
	put := func(_, item string, b *basket) *basket {
		b.Items = append(b.Items, item)
		if item == "rotten" {
			b.Items[0] = "spoilt"
			panic(errors.New("rotten"))
		}
		return b
	}
	empty := func() *basket { return &basket{} }
	baskets := serde.JSON[*basket]()
	for name, build := range map[string]func(b *stream.Builder) stream.KStream[string, *basket]{
		"aggregate": func(b *stream.Builder) stream.KStream[string, *basket] {
			return stream.Aggregate(stream.GroupByKey(from(b, "in")), empty, put, stream.Materialized("baskets", baskets)).ToStream()
		},
		"windows": func(b *stream.Builder) stream.KStream[string, *basket] {
			table := stream.AggregateWindows(stream.GroupByKey(from(b, "in")).WindowedBy(window.Tumbling(time.Hour)), empty, put, stream.Materialized("baskets", baskets))
			return stream.SelectKey(stream.ToStream(table), func(w window.Windowed[string], _ *basket) string { return w.Key })
		},
		"sessions": func(b *stream.Builder) stream.KStream[string, *basket] {
			merge := func(_ string, a, b *basket) *basket {
				b.Items = append(a.Items, b.Items...)
				return b
			}
			g := stream.GroupByKey(from(b, "in")).WindowedBySessions(window.Sessions(time.Hour))
			table := stream.AggregateSessions(g, empty, put, merge, stream.Materialized("baskets", baskets))
			return stream.SelectKey(stream.ToStream(table), func(w window.Windowed[string], _ *basket) string { return w.Key })
		},
	} {
		for _, manual := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				b := stream.NewBuilder()
				build(b).To("out", serde.String, baskets)
				top, err := b.Topology()
				if err != nil {
					t.Fatal(err)
				}
				options := []topologytest.Option{topologytest.OnProcessing(topologytest.LogAndContinue)}
				if manual {
					options = append(options, topologytest.ManualCommit())
				}
				d := topologytest.New(t, top, options...)
				in := topologytest.NewInput(d, "in", serde.String, serde.String)
				for _, item := range []string{"apple", "rotten", "pear"} {
					in.Pipe("k", item)
				}
				d.Commit()
				got := topologytest.Latest(topologytest.NewOutput(d, "out", serde.String, baskets))["k"]
				if got == nil || len(got.Items) != 2 || got.Items[0] != "apple" || got.Items[1] != "pear" {
					t.Errorf("basket %+v, want apple and pear", got)
				}
				if d.Dropped() != 1 {
					t.Errorf("dropped %v", d.Drops())
				}
			})
		}
	}
}

// TestGuardedSplit: a split with one branch asks its predicate once for each record, with or without a guard behind it.
func TestGuardedSplit(t *testing.T) {
	t.Parallel()
	for _, options := range [][]topologytest.Option{nil, {topologytest.OnProcessing(topologytest.LogAndContinue)}} {
		b, asked := stream.NewBuilder(), 0
		toText(from(b, "in").Split().Branch(func(string, string) bool { asked++; return true }), "out")
		top, err := b.Topology()
		if err != nil {
			t.Fatal(err)
		}
		d := topologytest.New(t, top, options...)
		topologytest.NewInput(d, "in", serde.String, serde.String).Pipe("k", "v")
		if n := len(d.Records("out")); n != 1 || asked != 1 {
			t.Errorf("%d records, the predicate was asked %d times", n, asked)
		}
	}
}

// mean is an aggregate that JSON cannot encode once it is no number.
type mean struct{ Sum float64 }

// TestAggregateThatCannotBeEncoded: the record that spoils the aggregate is dropped, and the aggregate stays as it was (P-30).
func TestAggregateThatCannotBeEncoded(t *testing.T) {
	t.Parallel()
	means, zero := serde.JSON[*mean](), func() *mean { return &mean{} }
	add := func(_, v string, m *mean) *mean {
		x, _ := strconv.ParseFloat(v, 64)
		m.Sum += x
		return m
	}
	one := func(string, string) string { return "k" }
	store := stream.Materialized("means", means)
	plain := serde.JSON[mean]() // without a pointer: the store keeps it as it is
	for name, build := range map[string]func(b *stream.Builder) stream.KStream[string, *mean]{
		"aggregate": func(b *stream.Builder) stream.KStream[string, *mean] {
			return stream.Aggregate(stream.GroupBy(from(b, "in"), one, grouped), zero, add, store).ToStream()
		},
		"uncached": func(b *stream.Builder) stream.KStream[string, *mean] {
			return stream.Aggregate(stream.GroupBy(from(b, "in"), one, grouped), zero, add, store.Uncached()).ToStream()
		},
		"plain": func(b *stream.Builder) stream.KStream[string, *mean] {
			addPlain := func(k, v string, m mean) mean { return *add(k, v, &m) }
			table := stream.Aggregate(stream.GroupBy(from(b, "in"), one, grouped), func() mean { return mean{} }, addPlain, stream.Materialized("means", plain))
			return stream.MapValues(table.ToStream(), func(m mean) *mean { return &m })
		},
		"table": func(b *stream.Builder) stream.KStream[string, *mean] {
			rows := stream.Table(b, "in", serde.String, serde.String)
			g := stream.GroupTable(rows, func(k, v string) (string, string) { return one(k, v), v }, grouped)
			return stream.AggregateTable(g, zero, add, add, store).ToStream()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := stream.NewBuilder()
			build(b).To("out", serde.String, means)
			top, err := b.Topology()
			if err != nil {
				t.Fatal(err)
			}
			d := topologytest.New(t, top, topologytest.OnProcessing(topologytest.LogAndContinue))
			in := topologytest.NewInput(d, "in", serde.String, serde.String)
			for _, v := range []string{"1", "NaN", "2"} {
				in.Pipe(v, v)
			}
			if got := topologytest.Latest(topologytest.NewOutput(d, "out", serde.String, means))["k"]; got == nil || got.Sum != 3 {
				t.Errorf("sum %+v, want 3", got)
			}
			if d.Dropped() != 1 {
				t.Errorf("dropped %v", d.Drops())
			}
		})
	}
}

// TestPanickingSlidingAggregator: a window that begins with what another one holds is not there if the record cannot be folded in.
func TestPanickingSlidingAggregator(t *testing.T) {
	t.Parallel()
	for _, store := range []stream.Store[int64]{counts, counts.Uncached()} {
		b := stream.NewBuilder()
		g := stream.GroupByKey(from(b, "in")).WindowedBy(window.SlidingBy(10 * time.Millisecond))
		atMostTwo := func(_, _ string, n int64) int64 {
			if n == 2 {
				panic(errors.New("full"))
			}
			return n + 1
		}
		table := stream.AggregateWindows(g, func() int64 { return 0 }, atMostTwo, store)
		windows := window.KeySerde(serde.String, 10*time.Millisecond)
		stream.ToStream(table).To("out", windows, serde.Int64)
		top, err := b.Topology()
		if err != nil {
			t.Fatal(err)
		}
		d := topologytest.New(t, top, topologytest.OnProcessing(topologytest.LogAndContinue))
		in := topologytest.NewInput(d, "in", serde.String, serde.String)
		for _, at := range []int64{20, 22, 25, 40} {
			in.PipeAt("k", "v", at)
		}
		got := map[int64]int64{}
		for w, n := range topologytest.Latest(topologytest.NewOutput(d, "out", windows, serde.Int64)) {
			got[w.Start] = n
		}
		if want := map[int64]int64{10: 1, 12: 2, 21: 2, 23: 1, 30: 1}; !maps.Equal(got, want) { // none from 15, where the record of 25 would be the third
			t.Errorf("windows by start %v, want %v", got, want)
		}
		if d.Dropped() != 1 {
			t.Errorf("dropped %v", d.Drops())
		}
	}
}

// TestPanickingBufferedJoin: of the records that have waited long enough, those behind one whose join fails come out with the next record.
func TestPanickingBufferedJoin(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	users := stream.Table(b, "users", serde.String, serde.String, stream.Materialized("users", serde.String).Versioned(time.Minute))
	toText(stream.LeftJoinTable(from(b, "in"), users, func(v string, _ serde.Maybe[string]) string {
		if v == "rotten" {
			panic(errors.New(v))
		}
		return v
	}, stream.JoinGrace(10*time.Millisecond), stream.JoinedWith(serde.String, serde.String)), "out")
	top, err := b.Topology()
	if err != nil {
		t.Fatal(err)
	}
	d := topologytest.New(t, top, topologytest.OnProcessing(topologytest.LogAndContinue))
	in := topologytest.NewInput(d, "in", serde.String, serde.String)
	for at, v := range []string{"apple", "rotten", "pear"} {
		in.PipeAt("k", v, int64(at))
	}
	in.PipeAt("k", "later", 20)
	in.PipeAt("k", "later", 21)
	if got := outText(d); got != "k=apple@0 k=pear@2" {
		t.Errorf("out %s", got)
	}
}

// TestPanickingOuterJoin: a record that waits for a match behind one whose result fails is taken out by its match all the same.
func TestPanickingOuterJoin(t *testing.T) {
	t.Parallel()
	b, failures := stream.NewBuilder(), 1
	toText(stream.LeftJoin(from(b, "left"), from(b, "right"), func(l string, r serde.Maybe[string]) string {
		if l == "rotten" && failures > 0 {
			failures--
			panic(errors.New(l))
		}
		return l + "+" + r.Or("none")
	}, window.Within(10*time.Millisecond), atOnce), "out")
	top, err := b.Topology()
	if err != nil {
		t.Fatal(err)
	}
	d := topologytest.New(t, top, topologytest.OnProcessing(topologytest.LogAndContinue))
	left := topologytest.NewInput(d, "left", serde.String, serde.String)
	right := topologytest.NewInput(d, "right", serde.String, serde.String)
	left.PipeAt("a", "rotten", 100)
	left.PipeAt("b", "apple", 105)
	right.PipeAt("c", "x", 111) // fails on the result of a
	right.PipeAt("b", "y", 110)
	right.PipeAt("c", "z", 130)
	if got := outText(d); got != "b=apple+y@110 a=rotten+none@100" {
		t.Errorf("out %s", got)
	}
}

// outText returns what is in the topic out.
func outText(d *topologytest.Driver) string {
	var all []string
	for _, r := range d.Records("out") {
		all = append(all, fmt.Sprintf("%s=%s@%d", r.Key, r.Value, r.Timestamp))
	}
	return strings.Join(all, " ")
}
