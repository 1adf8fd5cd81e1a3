package stream_test

import (
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/stream"

	"github.com/millrace-io/millrace/runtime/topologytest"
)

// The programs about cogrouped streams.

func starred(_, v, a str) str { return tail(s(a) + "*" + s(v)) }
func hashed(_, v, a str) str  { return tail(s(a) + "#" + s(v)) }

// two returns in1 and in2, cogrouped.
func (p *play) two() stream.CogroupedStream[str, str] {
	one := stream.GroupByKey(p.from("in1"))
	return stream.Cogroup(one, add).With(stream.Cogroup(stream.GroupByKey(p.from("in2")), starred))
}

var cogroupPrograms = map[string]program{
	"cogroup-plain": {build: func(p *play) {
		both := p.two()
		third := stream.GroupBy(p.from("in3"), firstCharacter, stream.GroupedWith(texts, texts).Named("g"))
		to(both.With(stream.Cogroup(third, hashed)).Aggregate(zero, p.materialized("co")).ToStream(), "out")
	}},
	"cogroup-windowed": {build: func(p *play) {
		p.stores["co"] = windowRows[str]("co", p.v.Params.Size)
		p.seen["co"] = func(d *topologytest.Driver) int64 {
			newest, _ := topologytest.StoreOf[*state.Window[str, str]](d, "co").Newest()
			return newest - p.v.Params.Size - p.v.Params.Grace
		}
		table := p.two().WindowedBy(p.windows()).Aggregate(zero, stream.Materialized("co", texts))
		stream.ToStream(table).To("out", p.windowedKeys(), texts)
	}},
	"cogroup-session": {buries: true, build: func(p *play) {
		m := stream.Materialized(sessionStore[str](p, "co"), texts)
		table := p.two().WindowedBySessions(p.sessions()).Aggregate(zero, merge, m)
		stream.ToStream(table).To("out", p.sessionKeys(), texts)
	}},
}
