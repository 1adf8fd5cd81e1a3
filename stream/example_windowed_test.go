package stream_test

import (
	"fmt"
	"strconv"
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/window"
)

const ms = time.Millisecond

// everyTwo are windows of two milliseconds, one after the other.
var everyTwo = window.Tumbling(2 * ms)

type windowOfKey = window.Windowed[string]

// groupedByKey groups a topic of aggregates.
func groupedByKey(b *stream.Builder, topic string) stream.GroupedStream[string, string] {
	return stream.GroupByKey(stream.From(b, topic, serde.String, serde.String), stream.GroupedWith(serde.String, serde.String))
}

// showWindow is a window as text: its key and from when on it reaches up to where, in milliseconds.
func showWindow[V any](w windowOfKey, v V) (string, string) {
	return fmt.Sprintf("%s %d-%d", w.Key, w.Start, w.End), fmt.Sprint(v)
}

// showWindows writes a table of windows to the topic "out".
func showWindows[V any](t stream.WindowedTable[string, V]) {
	stream.Map(stream.ToStream(t), showWindow[V]).To("out", serde.String, serde.String)
}

var aggregates = stream.Materialized("aggregates", serde.String)

func ExampleGroupedStream_Count() {
	b := stream.NewBuilder()
	counts := groupedByKey(b, "in").Count(stream.Materialized("counts", serde.Int64))
	stream.MapValues(counts.ToStream(), func(n int64) string { return strconv.FormatInt(n, 10) }).To("out", serde.String, serde.String)

	runRecords(b, "out", [3]string{"in", "a", "x"}, [3]string{"in", "b", "x"}, [3]string{"in", "a", "x"})
	// Output:
	// a: 1
	// b: 1
	// a: 2
}

// The first value of a key is its aggregate.
func ExampleGroupedStream_Reduce() {
	b := stream.NewBuilder()
	groupedByKey(b, "in").Reduce(func(aggregate, value string) string { return aggregate + value }, aggregates).ToStream().
		To("out", serde.String, serde.String)

	runRecords(b, "out", [3]string{"in", "k", "a"}, [3]string{"in", "k", "b"})
	// Output:
	// k: a
	// k: ab
}

// Streams of different values make one aggregate.
func ExampleCogroup() {
	b := stream.NewBuilder()
	orders := stream.Cogroup(groupedByKey(b, "orders"), func(_, goods, all string) string { return all + "+" + goods })
	returned := stream.Cogroup(groupedByKey(b, "returns"), func(_, goods, all string) string { return all + "-" + goods })
	orders.With(returned).Aggregate(func() string { return "" }, aggregates).ToStream().To("out", serde.String, serde.String)

	runRecords(b, "out", [3]string{"orders", "ann", "hat"}, [3]string{"orders", "ann", "bag"}, [3]string{"returns", "ann", "hat"})
	// Output:
	// ann: +hat
	// ann: +hat+bag
	// ann: +hat+bag-hat
}

// A record counts in the one window that it falls into.
func ExampleGroupedStream_WindowedBy() {
	b := stream.NewBuilder()
	showWindows(groupedByKey(b, "in").WindowedBy(everyTwo).Count(stream.Materialized("counts", serde.Int64)))

	runRecords(b, "out", [3]string{"in", "a", "x"}, [3]string{"in", "a", "x"}, [3]string{"in", "a", "x"})
	// Output:
	// a 0-2: 1
	// a 0-2: 2
	// a 2-4: 1
}

func ExampleAggregateWindows() {
	b := stream.NewBuilder()
	windows := groupedByKey(b, "in").WindowedBy(window.Hopping(2*ms, ms)) // each record in two of them
	showWindows(stream.AggregateWindows(windows, func() string { return "" }, func(_, value, all string) string { return all + value }, aggregates))

	runRecords(b, "out", [3]string{"in", "k", "a"}, [3]string{"in", "k", "b"})
	// Output:
	// k 0-2: a
	// k 0-2: ab
	// k 1-3: b
}

func ExampleWindowedStream_Reduce() {
	b := stream.NewBuilder()
	windows := groupedByKey(b, "in").WindowedBy(everyTwo)
	showWindows(windows.Reduce(func(all, value string) string { return all + value }, aggregates))

	runRecords(b, "out", [3]string{"in", "k", "a"}, [3]string{"in", "k", "b"}, [3]string{"in", "k", "c"})
	// Output:
	// k 0-2: a
	// k 0-2: ab
	// k 2-4: c
}

// A window gives one result, when it is over.
func ExampleWindowedStream_EmitOnClose() {
	b := stream.NewBuilder()
	windows := groupedByKey(b, "in").WindowedBy(everyTwo.Grace(0)).EmitOnClose(0)
	showWindows(windows.Count(stream.Materialized("counts", serde.Int64)))

	runRecords(b, "out", [3]string{"in", "a", "x"}, [3]string{"in", "a", "x"}, [3]string{"in", "a", "x"})
	// Output:
	// a 0-2: 2
}

// A session goes on as long as records of its key come within the gap. One that grows is taken back and given anew.
func ExampleGroupedStream_WindowedBySessions() {
	b := stream.NewBuilder()
	sessions := groupedByKey(b, "in").WindowedBySessions(window.Sessions(ms))
	counts := stream.AsTable(sessions.Count(stream.Materialized("counts", serde.Int64)))
	stream.Map(counts.ToStream(), showWindow[int64]).To("out", serde.String, serde.String)

	runRecords(b, "out", [3]string{"in", "a", "x"}, [3]string{"in", "a", "x"}, [3]string{"in", "b", "x"}, [3]string{"in", "a", "x"})
	// Output:
	// a 0-0: 1
	// a 0-1: 2
	// b 2-2: 1
	// a 3-3: 1
}

// Two sessions that a record brings together become one.
func ExampleAggregateSessions() {
	b := stream.NewBuilder()
	sessions := groupedByKey(b, "in").WindowedBySessions(window.Sessions(2 * ms))
	showWindows(stream.AggregateSessions(sessions, func() string { return "" },
		func(_, value, all string) string { return all + value },
		func(_, earlier, later string) string { return earlier + later }, aggregates))

	runRecords(b, "out", [3]string{"in", "k", "a"}, [3]string{"in", "other", "x"}, [3]string{"in", "k", "b"})
	// Output:
	// k 0-0: a
	// other 1-1: x
	// k 0-2: ab
}

// Of each window its last row alone, once it is over.
func ExampleUntilWindowCloses() {
	b := stream.NewBuilder()
	counts := groupedByKey(b, "in").WindowedBy(everyTwo.Grace(0)).Count(stream.Materialized("counts", serde.Int64))
	showWindows(counts.Suppress(stream.UntilWindowCloses(stream.Unbounded())))

	runRecords(b, "out", [3]string{"in", "a", "x"}, [3]string{"in", "a", "x"}, [3]string{"in", "a", "x"})
	// Output:
	// a 0-2: 2
}

// A row that changes often comes out once in a while. A buffer that is full lets go of what has waited longest.
func ExampleKTable_Suppress() {
	b := stream.NewBuilder()
	cities := stream.Table(b, "cities", serde.String, serde.String)
	cities.Suppress(stream.UntilTimeLimit(2*ms, stream.MaxRecords(100))).ToStream().To("out", serde.String, serde.String)

	runRecords(b, "out",
		[3]string{"cities", "ann", "Rome"},
		[3]string{"cities", "ann", "Paris"},
		[3]string{"cities", "bob", "Oslo"},
		[3]string{"cities", "eve", "Bern"},
	)
	// Output:
	// ann: Paris
}

func ExampleMapWindows() {
	b := stream.NewBuilder()
	counts := groupedByKey(b, "in").WindowedBy(everyTwo).Count(stream.Materialized("counts", serde.Int64))
	showWindows(stream.MapWindows(counts, func(n int64) string { return strconv.FormatInt(100*n, 10) + " %" }))

	runRecords(b, "out", [3]string{"in", "a", "x"})
	// Output:
	// a 0-2: 100 %
}

// What leaves a group is subtracted from its aggregate.
func ExampleGroupedTable_Reduce() {
	b := stream.NewBuilder()
	points := stream.Table(b, "points", serde.String, serde.String) // player: team and points
	byTeam := stream.GroupTable(points, func(_, row string) (string, int64) { return row[:3], int64(row[4] - '0') },
		stream.GroupedWith(serde.String, serde.Int64).Named("by-team"))
	sums := byTeam.Reduce(func(sum, n int64) int64 { return sum + n }, func(sum, n int64) int64 { return sum - n },
		stream.Materialized("sums", serde.Int64))
	stream.MapTable(sums, func(n int64) string { return strconv.FormatInt(n, 10) }).ToStream().To("out", serde.String, serde.String)

	runRecords(b, "out", [3]string{"points", "ann", "red 3"}, [3]string{"points", "bob", "red 4"}, [3]string{"points", "ann", "red 5"})
	// Output:
	// red: 3
	// red: 7
	// red: 9
}

func ExampleAggregateTable() {
	b := stream.NewBuilder()
	cities := stream.Table(b, "cities", serde.String, serde.String)
	byCity := stream.GroupTable(cities, func(person, city string) (string, string) { return city, person },
		stream.GroupedWith(serde.String, serde.String).Named("by-city"))
	stream.AggregateTable(byCity, func() string { return "" },
		func(_, person, all string) string { return all + "+" + person },
		func(_, person, all string) string { return all + "-" + person }, aggregates).
		ToStream().To("out", serde.String, serde.String)

	runRecords(b, "out", [3]string{"cities", "ann", "Rome"}, [3]string{"cities", "ann", "Paris"})
	// Output:
	// Rome: +ann
	// Rome: +ann-ann
	// Paris: +ann
}

func ExampleMapTable() {
	b := stream.NewBuilder()
	cities := stream.Table(b, "cities", serde.String, serde.String)
	stream.MapTable(cities, func(city string) string { return "in " + city }).ToStream().To("out", serde.String, serde.String)

	runRecords(b, "out", [3]string{"cities", "ann", "Rome"})
	// Output:
	// ann: in Rome
}

func ExampleMapTableWithKey() {
	b := stream.NewBuilder()
	cities := stream.Table(b, "cities", serde.String, serde.String)
	stream.MapTableWithKey(cities, func(name, city string) string { return name + " in " + city }).ToStream().To("out", serde.String, serde.String)

	runRecords(b, "out", [3]string{"cities", "ann", "Rome"})
	// Output:
	// ann: ann in Rome
}

func ExampleToStreamBy() {
	b := stream.NewBuilder()
	cities := stream.Table(b, "cities", serde.String, serde.String)
	stream.ToStreamBy(cities, func(_, city string) string { return city }).To("out", serde.String, serde.String)

	runRecords(b, "out", [3]string{"cities", "ann", "Rome"})
	// Output:
	// Rome: Rome
}

// A row for which the condition holds is none. Without a store it is not known whether it was one before, so it is deleted in any case.
func ExampleKTable_FilterNot() {
	b := stream.NewBuilder()
	cities := stream.Table(b, "cities", serde.String, serde.String)
	cities.FilterNot(func(_, city string) bool { return city == "Paris" }).ToStream().To("out", serde.String, serde.String)

	runRecords(b, "out", [3]string{"cities", "ann", "Rome"}, [3]string{"cities", "ann", "Paris"}, [3]string{"cities", "bob", "Paris"})
	// Output:
	// ann: Rome
	// ann: null
	// bob: null
}
