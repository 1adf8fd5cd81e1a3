//go:build go1.27

package stream_test

import (
	"strings"
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/window"
)

// With Go 1.27 every operator is a method.
func ExampleKStream_GroupBy() {
	b := stream.NewBuilder()
	stream.From(b, "in", serde.String, serde.String).
		FlatMapValues(func(line string, emit func(string)) {
			for word := range strings.FieldsSeq(line) {
				emit(word)
			}
		}).
		GroupBy(func(_, word string) string { return word }, stream.GroupedWith(serde.String, serde.String)).
		Count(stream.Materialized("counts", serde.Int64)).
		MapValues(func(n int64) string { return strings.Repeat("*", int(n)) }).
		ToStream().To("out", serde.String, serde.String)
	runExample(b, "in", "to be or not to be")
	// Output:
	// to: *
	// be: *
	// or: *
	// not: *
	// to: **
	// be: **
}

// A windowed table becomes a stream again under a key of the program's own.
func ExampleWindowedTable_ToStream() {
	b := stream.NewBuilder()
	stream.From(b, "in", serde.String, serde.String).
		GroupBy(func(_, v string) string { return v }, stream.GroupedWith(serde.String, serde.String)).
		WindowedBy(window.Tumbling(2*time.Millisecond)).
		Aggregate(func() string { return "" }, func(_, v, a string) string { return a + v }, stream.Materialized("w", serde.String)).
		ToStream(func(w window.Windowed[string], v string) (string, string) {
			return w.Key + w.StartTime().Format("/.000"), v
		}).
		To("out", serde.String, serde.String)
	runExample(b, "in", "a", "a", "a")
	// Output:
	// a/.000: a
	// a/.000: aa
	// a/.002: a
}
