package stream_test

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-io/millrace/runtime/topologytest"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/window"
	"github.com/millrace-io/millrace/topology"
)

func Example() {
	b := stream.NewBuilder()
	lines := stream.From(b, "lines", serde.String, serde.String)
	words := stream.FlatMapValues(lines, func(line string, emit func(string)) {
		for _, w := range strings.Fields(line) {
			emit(w)
		}
	})
	counts := stream.GroupBy(words,
		func(_, word string) string { return word },
		stream.GroupedWith(serde.String, serde.String),
	).Count(stream.Materialized("counts", serde.Int64))
	stream.MapValues(counts.ToStream(), func(n int64) string { return strconv.FormatInt(n, 10) }).
		To("out", serde.String, serde.String)

	runExample(b, "lines", "to be", "or not to be")
	// Output:
	// to: 1
	// be: 1
	// or: 1
	// not: 1
	// to: 2
	// be: 2
}

func ExampleTimestamps() {
	b := stream.NewBuilder()
	// The event time stands in front of the text: "1500 hello".
	events := stream.From(b, "events", serde.String, serde.String, stream.Timestamps(
		func(r topology.Record[string, string], _ topology.Coordinates, _ int64) (int64, error) {
			millis, _, _ := strings.Cut(r.Value, " ")
			return strconv.ParseInt(millis, 10, 64)
		}))
	perSecond := stream.GroupByKey(stream.SelectKey(events, func(string, string) string { return "all" }),
		stream.GroupedWith(serde.String, serde.String)).
		WindowedBy(window.Tumbling(time.Second)).
		Count(stream.Materialized("per-second", serde.Int64))
	show := func(w window.Windowed[string], n int64) (string, string) {
		return w.StartTime().Format("15:04:05"), strconv.FormatInt(n, 10)
	}
	stream.Map(stream.ToStream(perSecond), show).To("out", serde.String, serde.String)

	runExample(b, "events", "1500 a", "1900 b", "2000 c")
	// Output:
	// 00:00:01: 1
	// 00:00:01: 2
	// 00:00:02: 1
}

func ExampleKStream_Split() {
	b := stream.NewBuilder()
	split := stream.From(b, "numbers", serde.String, serde.String).Split()
	negative := split.Branch(func(_, n string) bool { return strings.HasPrefix(n, "-") })
	rest := split.Default()
	stream.SelectKey(negative, func(string, string) string { return "negative" }).To("out", serde.String, serde.String)
	stream.SelectKey(rest, func(string, string) string { return "rest" }).To("out", serde.String, serde.String)

	runExample(b, "numbers", "-3", "8")
	// Output:
	// negative: -3
	// rest: 8
}

func ExampleLeftJoinGlobal() {
	b := stream.NewBuilder()
	flights := stream.From(b, "flights", serde.String, serde.String)
	cities := stream.GlobalTable(b, "cities", serde.String, serde.String)
	located := stream.LeftJoinGlobal(flights, cities,
		func(_, flight string) string { return flight[:3] }, // the airport that it leaves
		func(flight string, city serde.Maybe[string]) string { return flight + " from " + city.Or("somewhere") })
	located.To("out", serde.String, serde.String)

	top, err := b.Topology()
	if err != nil {
		fmt.Println(err)
		return
	}
	tb := &exampleTB{}
	defer tb.cleanup()
	d := topologytest.New(tb, top)
	topologytest.NewInput(d, "cities", serde.String, serde.String).Pipe("DTW", "Detroit, MI")
	in := topologytest.NewInput(d, "flights", serde.String, serde.String)
	in.Pipe("", "DTW-LAS")
	in.Pipe("", "XYZ-LAS")
	for _, r := range topologytest.NewOutput(d, "out", serde.String, serde.String).ReadAll() {
		fmt.Println(r.Value)
	}
	// Output:
	// DTW-LAS from Detroit, MI
	// XYZ-LAS from somewhere
}

func ExampleAggregate() {
	type stats struct{ Count, Total int }
	b := stream.NewBuilder()
	ratings := stream.From(b, "ratings", serde.String, serde.String) // "film stars"
	byFilm := stream.GroupBy(ratings,
		func(_, rating string) string { film, _, _ := strings.Cut(rating, " "); return film },
		stream.GroupedWith(serde.String, serde.String))
	totals := stream.Aggregate(byFilm,
		func() stats { return stats{} },
		func(_, rating string, s stats) stats {
			_, stars, _ := strings.Cut(rating, " ")
			n, err := strconv.Atoi(stars)
			if err == nil {
				s.Count, s.Total = s.Count+1, s.Total+n
			}
			return s
		},
		stream.Materialized("totals", serde.JSON[stats]()))
	stream.MapValues(totals.ToStream(), func(s stats) string { return fmt.Sprintf("%.1f", float64(s.Total)/float64(s.Count)) }).
		To("out", serde.String, serde.String)

	runExample(b, "ratings", "Alien 5", "Alien 4")
	// Output:
	// Alien: 5.0
	// Alien: 4.5
}

// parser drops what is no number, with a reason that shows in the counters and the log.
type parser struct {
	ctx *stream.ValueContext[string, int]
}

func (p *parser) Init(ctx *stream.ValueContext[string, int]) error { p.ctx = ctx; return nil }
func (p *parser) Close() error                                     { return nil }

func (p *parser) Process(r topology.Record[string, string]) error {
	n, err := strconv.Atoi(r.Value)
	if err != nil {
		p.ctx.Drop("not a number", err)
		return nil
	}
	p.ctx.Forward(n)
	return nil
}

func ExampleProcessValues() {
	b := stream.NewBuilder()
	lines := stream.From(b, "lines", serde.String, serde.String)
	numbers := stream.ProcessValues(lines, func() *parser { return &parser{} })
	stream.MapValues(numbers, func(n int) string { return strconv.Itoa(n * n) }).To("out", serde.String, serde.String)

	runExample(b, "lines", "7", "seven", "12")
	// Output:
	// : 49
	// : 144
}
