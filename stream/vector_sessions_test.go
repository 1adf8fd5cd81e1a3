package stream_test

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-io/millrace/runtime/topologytest"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/window"
)

// The programs about sessions, sliding and unlimited windows, and about windows that are emitted when they close.

func merge(_, a, b str) str { return tail("(" + *a + "&" + *b + ")") }

// sessionless says why a run is not compared.
var (
	noHeaders = map[string]string{"headers": "without a cache, Kafka Streams' session results have no headers"}
	defect    = map[string]string{
		"null-aggregate-defect-cached":      "a defect of Kafka Streams",
		"null-aggregate-defect-cached-each": "a defect of Kafka Streams",
	}
)

func (p *play) sessions() window.Session {
	return window.Sessions(p.millis(p.v.Params.Gap)).Grace(p.millis(p.v.Params.Grace))
}

func (p *play) sliding() window.Sliding {
	return window.SlidingBy(p.millis(p.v.Params.Diff)).Grace(p.millis(p.v.Params.Grace))
}

// closing returns the recorded throttle of an aggregation that emits windows when they close.
func (p *play) closing() time.Duration { return p.interval("windowed.aggregation") }

const day = 24 * time.Hour

func sessionStore[V any](p *play, name string) string {
	p.stores[name] = func(d *topologytest.Driver) [][]any {
		var rows [][]any
		err := topologytest.StoreOf[*state.Session[str, V]](d, name).All(0, math.MaxInt64, func(r state.SessionRow[str, V]) error {
			rows = append(rows, []any{fmt.Sprintf("%s@%d/%d", text(r.Key), r.Start, r.End), plain(r.Value), showHeaders(r.Headers)})
			return nil
		})
		if err != nil {
			return [][]any{{err}}
		}
		return byKey(rows)
	}
	p.ends[name] = func(d *topologytest.Driver) int64 {
		newest, _ := topologytest.StoreOf[*state.Session[str, V]](d, name).Newest()
		return newest - p.sessions().Keep().Milliseconds()
	}
	return name
}

func slidingStore[V any](p *play, name string) string {
	size := p.v.Params.Diff
	p.stores[name] = windowRows[V](name, size)
	p.seen[name] = func(d *topologytest.Driver) int64 {
		newest, _ := topologytest.StoreOf[*state.Window[str, V]](d, name).Newest()
		return newest - p.sliding().Keep().Milliseconds()
	}
	return name
}

// windowRows is windowContent for a store that is shown whole.
func windowRows[V any](name string, size int64) func(*topologytest.Driver) [][]any {
	return func(d *topologytest.Driver) [][]any {
		var rows [][]any
		for row, err := range topologytest.StoreOf[*state.Window[str, V]](d, name).FetchAll(0, math.MaxInt64) {
			if err != nil {
				return [][]any{{err}}
			}
			rows = append(rows, []any{fmt.Sprintf("%v@%d/%d", plain(row.Key), row.Start, window.End(row.Start, size)), plain(row.Value), row.Timestamp})
		}
		return byKey(rows)
	}
}

// byTime has the rows of a store shown by their windows' starts: Kafka Streams' stores for windows that are emitted when they close
// are ordered like that.
func (p *play) byTime(name string) {
	content := p.stores[name]
	p.stores[name] = func(d *topologytest.Driver) [][]any {
		rows := content(d)
		slices.SortStableFunc(rows, func(a, b []any) int { return cmp.Compare(startOf(a), startOf(b)) })
		return rows
	}
}

func startOf(row []any) int64 {
	_, times, _ := strings.Cut(row[0].(string), "@")
	start, _, _ := strings.Cut(times, "/")
	n, _ := strconv.ParseInt(start, 10, 64)
	return n
}

func (p *play) sessionKeys() serde.Serde[window.Windowed[str]] { return window.SessionKeySerde(texts) }
func (p *play) slidingKeys() serde.Serde[window.Windowed[str]] {
	return window.KeySerde(texts, p.millis(p.v.Params.Diff))
}

func (p *play) sessioned() stream.SessionStream[str, str] {
	return stream.GroupByKey(p.from("in")).WindowedBySessions(p.sessions())
}

func (p *play) windowed(w window.Windows) stream.WindowedStream[str, str] {
	return stream.GroupByKey(p.from("in")).WindowedBy(w)
}

func slidingAggregate(p *play) {
	m := stream.Materialized(slidingStore[str](p, "w"), texts)
	stream.ToStream(stream.AggregateWindows(p.windowed(p.sliding()), zero, add, m)).To("out", p.slidingKeys(), texts)
}

func slidingReduce(p *play) {
	m := stream.Materialized(slidingStore[str](p, "w"), texts)
	stream.ToStream(p.windowed(p.sliding()).Reduce(reduce, m)).To("out", p.slidingKeys(), texts)
}

func slidingCount(p *play) {
	m := stream.Materialized(slidingStore[int64](p, "w"), serde.Int64)
	stream.ToStream(p.windowed(p.sliding()).Count(m)).To("out", p.slidingKeys(), serde.Int64)
}

func closedWindows(p *play) {
	p.stores["w"] = windowRows[str]("w", p.v.Params.Size)
	p.byTime("w")
	closeWindows(p, stream.Materialized("w", texts).Retention(day))
}

// closeWindows sums up windows, and emits each when it closes.
func closeWindows(p *play, m stream.Store[str]) {
	table := stream.AggregateWindows(p.windowed(p.windows()).EmitOnClose(p.closing()), zero, add, m)
	stream.ToStream(table).To("out", p.windowedKeys(), texts)
}

var windowPrograms = map[string]program{
	"win-session": {buries: true, skip: noHeaders, build: func(p *play) {
		m := stream.Materialized(sessionStore[str](p, "s"), texts)
		stream.ToStream(stream.AggregateSessions(p.sessioned(), zero, add, merge, m)).To("out", p.sessionKeys(), texts)
	}},
	"win-session-count": {buries: true, build: func(p *play) {
		m := stream.Materialized(sessionStore[int64](p, "s"), serde.Int64)
		stream.ToStream(p.sessioned().Count(m)).To("out", p.sessionKeys(), serde.Int64)
	}},
	"win-session-reduce": {buries: true, build: func(p *play) {
		m := stream.Materialized(sessionStore[str](p, "s"), texts)
		stream.ToStream(p.sessioned().Reduce(reduce, m)).To("out", p.sessionKeys(), texts)
	}},
	"win-sliding":                {skip: defect, build: slidingAggregate},
	"win-sliding-reduce":         {skip: defect, build: slidingReduce},
	"win-sliding-no-grace-count": {build: slidingCount},
	"win-unlimited": {build: func(p *play) {
		p.stores["w"] = windowRows[str]("w", math.MaxInt64)
		w := p.windowed(window.UnlimitedFrom(time.UnixMilli(p.v.Params.Start)))
		stream.ToStream(stream.AggregateWindows(w, zero, add, stream.Materialized("w", texts))).To("out", window.UnlimitedKeySerde(texts), texts)
	}},
	"win-emit-close-tumbling": {build: closedWindows},
	"quirk-emit-close-retention": {
		build: func(p *play) {
			p.stores["w"] = windowRows[str]("w", p.v.Params.Size)
			p.byTime("w")
			closeWindows(p, stream.Materialized("w", texts))
		},
		uncached: "not to be copied: closed windows are lost when event time jumps beyond retention",
	},
	"win-emit-close-throttled": {build: closedWindows},
	"win-emit-close-hopping": {build: func(p *play) {
		p.stores["w"] = windowRows[int64]("w", p.v.Params.Size)
		p.byTime("w")
		table := p.windowed(p.windows()).EmitOnClose(p.closing()).Count(stream.Materialized("w", serde.Int64).Retention(day))
		stream.ToStream(table).To("out", p.windowedKeys(), serde.Int64)
	}},
	"win-emit-close-sliding": {build: func(p *play) {
		p.stores["w"] = windowRows[str]("w", p.v.Params.Diff)
		p.byTime("w")
		w := p.windowed(p.sliding()).EmitOnClose(p.closing())
		stream.ToStream(stream.AggregateWindows(w, zero, add, stream.Materialized("w", texts).Retention(day))).To("out", p.slidingKeys(), texts)
	}},
	"win-emit-close-session": {build: func(p *play) {
		m := stream.Materialized(sessionStore[str](p, "s"), texts).Retention(day)
		delete(p.ends, "s")
		w := p.sessioned().EmitOnClose(p.closing())
		stream.ToStream(stream.AggregateSessions(w, zero, add, merge, m)).To("out", p.sessionKeys(), texts)
	}},
}
