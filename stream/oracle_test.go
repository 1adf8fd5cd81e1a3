package stream_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime/topologytest"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/window"
)

// TestOracle compares final tables with a recomputation from scratch, over random input and random points of commit. The
// grace period covers the input, so the result does not depend on the order of arrival.
func TestOracle(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		t.Run(fmt.Sprintf("seed-%d", seed), func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(seed, 0))
			compareWithOracle(t, rnd)
		})
	}
}

type event struct {
	key   string
	value int64
	time  int64
}

func compareWithOracle(t *testing.T, rnd *rand.Rand) {
	var options []topologytest.Option
	manual := rnd.IntN(4) > 0
	if manual {
		options = append(options, topologytest.ManualCommit())
	}
	size := time.Duration(1+rnd.IntN(50)) * time.Millisecond
	advance := min(size, time.Duration(1+rnd.IntN(50))*time.Millisecond)
	top, err := oracleProgram(size, advance).Topology()
	if err != nil {
		t.Fatal(err)
	}
	d := topologytest.New(t, top, options...)
	in := topologytest.NewInput(d, "in", serde.String, serde.Int64)
	var events []event
	for range 300 {
		e := event{fmt.Sprint("k", rnd.IntN(5)), rnd.Int64N(100) - 50, rnd.Int64N(400)}
		events = append(events, e)
		in.PipeAt(e.key, e.value, e.time)
		if rnd.IntN(20) == 0 {
			d.Commit()
		}
	}
	d.Commit()

	sums, counts := map[string]int64{}, map[string]int64{}
	windows := map[window.Windowed[string]]int64{}
	for _, e := range events {
		sums[e.key] += e.value
		counts[parity(e.key, e.value)]++
		for start := int64(0); start <= e.time; start += advance.Milliseconds() {
			if end := start + size.Milliseconds(); e.time < end {
				windows[window.Windowed[string]{Key: e.key, Start: start, End: end}] += e.value
			}
		}
	}
	same(t, "sums", topologytest.Latest(topologytest.NewOutput(d, "sums", serde.String, serde.Int64)), sums)
	same(t, "counts", topologytest.Latest(topologytest.NewOutput(d, "counts", serde.String, serde.Int64)), counts)
	same(t, "windows", topologytest.Latest(topologytest.NewOutput(d, "windows", window.KeySerde(serde.String, size), serde.Int64)), windows)
	if n := d.Dropped(); n != 0 {
		t.Errorf("%d records were dropped", n)
	}
}

func same[K comparable](t *testing.T, what string, got, want map[K]int64) {
	t.Helper()
	if !maps.Equal(got, want) {
		t.Errorf("%s: %v\nwant %v", what, got, want)
	}
}

func parity(_ string, v int64) string { return fmt.Sprint(v%2 == 0) }

// oracleProgram sums by key, counts by parity behind a repartition, and sums by key and window.
func oracleProgram(size, advance time.Duration) *stream.Builder {
	b := stream.NewBuilder()
	sum := func(a, v int64) int64 { return a + v }
	in := stream.From(b, "in", serde.String, serde.Int64)
	stream.GroupByKey(in).Reduce(sum, stream.Materialized("sums", serde.Int64)).ToStream().To("sums", serde.String, serde.Int64)
	stream.GroupBy(in, parity, stream.GroupedWith(serde.String, serde.Int64)).
		Count(stream.Materialized("counts", serde.Int64)).ToStream().To("counts", serde.String, serde.Int64)
	sums := stream.GroupByKey(in).WindowedBy(window.Hopping(size, advance).Grace(time.Hour)).
		Reduce(sum, stream.Materialized("windows", serde.Int64))
	stream.ToStream(sums).To("windows", window.KeySerde(serde.String, size), serde.Int64)
	return b
}
