package stream_test

import (
	"github.com/millrace-io/millrace/runtime/topologytest"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/window"
)

// The programs about what waits: suppression, and joins with a grace period.

const suppressStore = "KTABLE-SUPPRESS-STATE-STORE-0000000003"

// buffered has a buffer shown: how much waits in it.
func buffered[K, V any](p *play, name string) {
	p.buffers[name] = func(d *topologytest.Driver) (int, int64) {
		b := topologytest.StoreOf[*state.Buffer[K, V]](d, name)
		return b.Len(), b.Size()
	}
}

// heldTable suppresses a stored table of texts by a time limit.
func heldTable(p *play, store string, l stream.TimeLimit, opts ...stream.StepOption) {
	buffered[str, str](p, store)
	to(p.rows("in", p.stored("t")).Suppress(l, opts...).ToStream(), "out")
}

// heldWindows suppresses a windowed aggregate until its windows close.
func heldWindows(p *play, store string, b stream.StrictBuffer, opts ...stream.StepOption) {
	buffered[window.Windowed[str], str](p, store)
	p.stores["w"] = windowContent[str, str](p, "w", p.v.Params.Size)
	w := stream.AggregateWindows(p.windowed(p.windows()), zero, add, stream.Materialized("w", texts))
	stream.ToStream(w.Suppress(stream.UntilWindowCloses(b), opts...)).To("out", p.windowedKeys(), texts)
}

func (p *play) limit() stream.TimeLimit { return p.limitBy(stream.Unbounded()) }

func (p *play) limitBy(b stream.Buffer) stream.TimeLimit {
	return stream.UntilTimeLimit(p.millis(p.v.Params.Limit), b)
}

var suppressPrograms = map[string]program{
	"suppress-time-limit":         {build: func(p *play) { heldTable(p, "sup-store", p.limit(), stream.Named("sup")) }},
	"suppress-time-limit-zero":    {build: func(p *play) { heldTable(p, suppressStore, p.limit()) }},
	"suppress-time-limit-bounded": {build: func(p *play) { heldTable(p, suppressStore, p.limitBy(stream.MaxRecords(2))) }},
	"suppress-time-limit-bytes": {build: func(p *play) {
		heldTable(p, suppressStore, p.limitBy(stream.MaxBytes(p.v.Params.Bytes)))
	}},
	"suppress-window-close": {build: func(p *play) {
		heldWindows(p, "sup-store", stream.Unbounded(), stream.Named("sup"))
	}},
	"suppress-shut-down-when-full": {build: func(p *play) {
		heldWindows(p, suppressStore, stream.MaxRecords(2).ShutDownWhenFull())
	}},
	"agg-headers-store": {bare: []string{"out2"}, build: func(p *play) {
		p.v.Params.Gap = p.v.Params.Size
		buffered[window.Windowed[str], str](p, suppressStore)
		p.stores["w"] = windowContent[str, str](p, "w", p.v.Params.Size)
		g := stream.GroupByKey(p.from("in"))
		w := stream.AggregateWindows(g.WindowedBy(p.windows()), zero, add, stream.Materialized("w", texts))
		stream.ToStream(w.Suppress(stream.UntilWindowCloses(stream.Unbounded()))).To("out", p.windowedKeys(), texts)
		sessions := g.WindowedBySessions(p.sessions()).Count(stream.Materialized(sessionStore[int64](p, "s"), serde.Int64))
		stream.ToStream(sessions).To("out2", p.sessionKeys(), serde.Int64)
	}},
	"suppress-window-time-limit": {build: func(p *play) {
		buffered[window.Windowed[str], int64](p, suppressStore)
		p.stores["w"] = windowContent[str, int64](p, "w", p.v.Params.Size)
		w := p.windowed(p.windows()).Count(stream.Materialized("w", serde.Int64))
		stream.ToStream(w.Suppress(p.limit())).To("out", p.windowedKeys(), serde.Int64)
	}},
	"suppress-window-close-sliding": {build: func(p *play) {
		buffered[window.Windowed[str], str](p, suppressStore)
		m := stream.Materialized(slidingStore[str](p, "w"), texts)
		w := stream.AggregateWindows(p.windowed(p.sliding()), zero, add, m)
		stream.ToStream(w.Suppress(stream.UntilWindowCloses(stream.Unbounded()))).To("out", p.slidingKeys(), texts)
	}},
	"suppress-window-close-session": {buries: true, build: func(p *play) {
		buffered[window.Windowed[str], str](p, suppressStore)
		m := stream.Materialized(sessionStore[str](p, "s"), texts)
		w := stream.AggregateSessions(p.sessioned(), zero, add, merge, m)
		stream.ToStream(w.Suppress(stream.UntilWindowCloses(stream.Unbounded()))).To("out", p.sessionKeys(), texts)
	}},
}

// patient returns the sides of a join with a grace period, and its options.
func (p *play) patient(grace int64) (stream.KStream[str, str], table, []stream.StreamJoinOption) {
	p.buffers["j-Buffer"] = func(d *topologytest.Driver) (int, int64) {
		return topologytest.StoreOf[*state.RecordBuffer[str, str]](d, "j-Buffer").Len(), 0
	}
	l := p.from("l")
	return l, p.rows("t", p.versioned("v")), []stream.StreamJoinOption{stream.Named("j"), stream.JoinGrace(p.millis(grace))}
}

var gracePrograms = map[string]program{
	"st-grace-inner": {build: func(p *play) {
		l, t, opts := p.patient(p.v.Params.Grace)
		to(stream.JoinTable(l, t, joined, opts...), "out")
	}},
	"st-grace-zero": {build: func(p *play) {
		l, t, opts := p.patient(0)
		to(stream.JoinTable(l, t, joined, opts...), "out")
	}},
	"st-grace-left": {
		skip: map[string]string{"null-key": "D-118: Kafka Streams fails on a null key, Millrace joins it with nothing, as D-116"},
		build: func(p *play) {
			l, t, opts := p.patient(p.v.Params.Grace)
			to(stream.LeftJoinTable(l, t, left, opts...), "out")
		},
	},
}
