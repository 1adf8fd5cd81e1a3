package stream_test

import (
	"errors"
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
