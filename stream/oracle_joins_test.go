package stream_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime/topologytest"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/window"
	"github.com/millrace-io/millrace/topology"
)

const oracleSeeds = uint64(12)

// TestOracleOfJoins: the results of stream-stream joins are those of a nested loop over all records, which arrive out of order within the
// grace period: each pair once, and each record that has no match once, at its own time. One whose window has passed when it arrives does
// not wait for the grace period (D-105 to D-111).
func TestOracleOfJoins(t *testing.T) {
	t.Parallel()
	for seed := range oracleSeeds {
		t.Run(fmt.Sprintf("seed-%d", seed), func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(seed, 3))
			before, after := time.Duration(rnd.IntN(12))*time.Millisecond, time.Duration(rnd.IntN(12))*time.Millisecond
			late := time.Duration(rnd.IntN(20)+1) * time.Millisecond
			arrivals := topologytest.OutOfOrder(seed, late, append(sideOf(rnd, "l", 120), sideOf(rnd, "r", 120)...))
			// As in Kafka Streams, what is late by the whole grace period does not find the oldest record that it should meet.
			grace := late + time.Millisecond
			got := joinResults(t, window.Within(0).Before(before).After(after).Grace(grace), seed%2 == 0, arrivals)
			want := nestedLoop(before.Milliseconds(), after.Milliseconds(), arrivals)
			for kind := range want {
				slices.Sort(got[kind])
				slices.Sort(want[kind])
				if !slices.Equal(got[kind], want[kind]) {
					t.Errorf("%s join (before %v, after %v, late %v): %d results, want %d\n%s", kind, before, after, late,
						len(got[kind]), len(want[kind]), strings.Join(difference(got[kind], want[kind]), "\n"))
				}
			}
		})
	}
}

// difference returns what is in one of two sorted lists alone.
func difference(got, want []string) (list []string) {
	for len(got)+len(want) > 0 {
		switch {
		case len(want) == 0 || len(got) > 0 && got[0] < want[0]:
			list, got = append(list, "has "+got[0]), got[1:]
		case len(got) == 0 || want[0] < got[0]:
			list, want = append(list, "lacks "+want[0]), want[1:]
		default:
			got, want = got[1:], want[1:]
		}
	}
	return list
}

type textRecord = topology.Record[string, string]

// sideOf makes random records of one side, "l" or "r", which their values begin with.
func sideOf(rnd *rand.Rand, side string, n int) (list []textRecord) {
	for i := range n {
		list = append(list, topology.NewRecord(fmt.Sprint("k", rnd.IntN(4)), fmt.Sprint(side, i), rnd.Int64N(300)))
	}
	return list
}

// joinResults runs inner, left and outer joins over the records of both sides.
func joinResults(t *testing.T, w window.Join, manual bool, arrivals []textRecord) map[string][]string {
	t.Helper()
	b := stream.NewBuilder()
	l, r := from(b, "l"), from(b, "r")
	with := streamJoined.EmitInterval(0)
	sides := func(l, r serde.Maybe[string]) string { return l.Or("-") + "+" + r.Or("-") }
	toText(stream.Join(l, r, func(l, r string) string { return l + "+" + r }, w, with), "inner")
	toText(stream.LeftJoin(l, r, func(l string, r serde.Maybe[string]) string { return l + "+" + r.Or("-") }, w, with), "left")
	toText(stream.OuterJoin(l, r, sides, w, with), "outer")
	top, err := b.Topology()
	if err != nil {
		t.Fatal(err)
	}
	var options []topologytest.Option
	if manual {
		options = append(options, topologytest.ManualCommit())
	}
	d := topologytest.New(t, top, options...)
	inputs := map[string]*topologytest.Input[string, string]{
		"l": topologytest.NewInput(d, "l", serde.String, serde.String), "r": topologytest.NewInput(d, "r", serde.String, serde.String),
	}
	for _, r := range arrivals {
		inputs[r.Value[:1]].PipeRecord(r)
	}
	// Records of a far future close all windows; they are of a key of their own.
	d.AdvanceWallClock(time.Hour)
	inputs["l"].PipeAt("end", "end", 1_000_000)
	inputs["r"].PipeAt("end", "end", 1_000_000)
	d.Commit()
	if n := d.Dropped(); n != 0 {
		t.Errorf("%d records were dropped: %v", n, d.Drops())
	}
	results := map[string][]string{}
	for _, kind := range []string{"inner", "left", "outer"} {
		for _, r := range topologytest.NewOutput(d, kind, serde.String, serde.String).ReadAll() {
			if r.Key != "end" {
				results[kind] = append(results[kind], fmt.Sprintf("%s %s @%d", r.Key, r.Value, r.Timestamp))
			}
		}
	}
	return results
}

// nestedLoop is what joins are by definition.
func nestedLoop(before, after int64, arrivals []textRecord) map[string][]string {
	want := map[string][]string{}
	newest := int64(-1)
	for i, r := range arrivals {
		isLeft := r.Value[:1] == "l"
		newest = max(newest, r.Timestamp)
		earlier, matched := false, false // has a match among those that came before it, or at all
		for j, o := range arrivals {
			left, right := r, o
			if !isLeft {
				left, right = o, r
			}
			meets := o.Value[:1] != r.Value[:1] && o.Key == r.Key && left.Timestamp-before <= right.Timestamp && right.Timestamp <= left.Timestamp+after
			if !meets {
				continue
			}
			earlier, matched = earlier || j < i, true
			if j < i {
				pair := fmt.Sprintf("%s %s+%s @%d", r.Key, left.Value, right.Value, max(r.Timestamp, o.Timestamp))
				for _, kind := range []string{"inner", "left", "outer"} {
					want[kind] = append(want[kind], pair)
				}
			}
		}
		end, alone, kinds := r.Timestamp+after, r.Value+"+-", []string{"left", "outer"}
		if !isLeft {
			end, alone, kinds = r.Timestamp+before, "-+"+r.Value, []string{"outer"}
		}
		if passed := !earlier && end < newest; passed || !matched {
			for _, kind := range kinds {
				want[kind] = append(want[kind], fmt.Sprintf("%s %s @%d", r.Key, alone, r.Timestamp))
			}
		}
	}
	return want
}

// TestOracleOfWindows: sessions and sliding windows are those that the records' times make by definition, whatever the order of arrival.
func TestOracleOfWindows(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		t.Run(fmt.Sprintf("seed-%d", seed), func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(seed, 4))
			gap := time.Duration(1+rnd.IntN(20)) * time.Millisecond
			late := time.Duration(1+rnd.IntN(60)) * time.Millisecond
			var records []topology.Record[string, int64]
			for range 150 {
				records = append(records, topology.NewRecord(fmt.Sprint("k", rnd.IntN(3)), rnd.Int64N(100), rnd.Int64N(1500)))
			}
			b := stream.NewBuilder()
			g := stream.GroupByKey(stream.From(b, "in", serde.String, serde.Int64))
			sessions := g.WindowedBySessions(window.Sessions(gap).Grace(late)).Reduce(addNumbers, stream.Materialized("s", serde.Int64))
			stream.ToStream(sessions).To("sessions", window.SessionKeySerde(serde.String), serde.Int64)
			sliding := g.WindowedBy(window.SlidingBy(gap).Grace(late)).Reduce(addNumbers, stream.Materialized("w", serde.Int64))
			stream.ToStream(sliding).To("sliding", window.KeySerde(serde.String, gap), serde.Int64)
			top, err := b.Topology()
			if err != nil {
				t.Fatal(err)
			}
			var options []topologytest.Option
			if seed%2 == 0 {
				options = append(options, topologytest.ManualCommit())
			}
			d := topologytest.New(t, top, options...)
			in := topologytest.NewInput(d, "in", serde.String, serde.Int64)
			for _, r := range topologytest.OutOfOrder(seed, late, records) {
				in.PipeRecord(r)
				if rnd.IntN(20) == 0 {
					d.Commit()
				}
			}
			d.Commit()
			same(t, "sessions", topologytest.Latest(topologytest.NewOutput(d, "sessions", window.SessionKeySerde(serde.String), serde.Int64)), sessionsOf(records, gap.Milliseconds()))
			same(t, "sliding", topologytest.Latest(topologytest.NewOutput(d, "sliding", window.KeySerde(serde.String, gap), serde.Int64)), slidingOf(records, gap.Milliseconds()))
			if n := d.Dropped(); n != 0 {
				t.Errorf("%d records were dropped: %v", n, d.Drops())
			}
		})
	}
}

// byKeyAndTime returns the records of each key, sorted by time.
func byKeyAndTime(records []topology.Record[string, int64]) map[string][]topology.Record[string, int64] {
	keys := map[string][]topology.Record[string, int64]{}
	for _, r := range records {
		keys[r.Key] = append(keys[r.Key], r)
	}
	for _, list := range keys {
		slices.SortStableFunc(list, func(a, b topology.Record[string, int64]) int { return int(a.Timestamp - b.Timestamp) })
	}
	return keys
}

func sessionsOf(records []topology.Record[string, int64], gap int64) map[window.Windowed[string]]int64 {
	want := map[window.Windowed[string]]int64{}
	for key, list := range byKeyAndTime(records) {
		w, sum := window.Windowed[string]{Key: key, Start: list[0].Timestamp, End: list[0].Timestamp}, int64(0)
		for _, r := range list {
			if r.Timestamp > w.End+gap {
				want[w] = sum
				w.Start, sum = r.Timestamp, 0
			}
			w.End, sum = r.Timestamp, sum+r.Value
		}
		want[w] = sum
	}
	return want
}

func slidingOf(records []topology.Record[string, int64], d int64) map[window.Windowed[string]]int64 {
	want := map[window.Windowed[string]]int64{}
	for key, list := range byKeyAndTime(records) {
		for _, r := range list {
			for _, start := range []int64{max(0, r.Timestamp-d), r.Timestamp + 1} {
				sum, some := int64(0), false
				for _, o := range list {
					if start <= o.Timestamp && o.Timestamp <= start+d {
						sum, some = sum+o.Value, true
					}
				}
				if some {
					want[window.Windowed[string]{Key: key, Start: start, End: start + d}] = sum
				}
			}
		}
	}
	return want
}
