package stream_test

import (
	"fmt"
	"strconv"
	"time"

	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/topology"
)

// The programs about processors and chosen topics.

// base has what most processors do not need.
type base struct{ ctx *topology.Context[str, str] }

func (p *base) Init(ctx *topology.Context[str, str]) error { p.ctx = ctx; return nil }
func (p *base) Close() error                               { return nil }

// tick punctuates every so many milliseconds and shows what it sees; it cancels with the call number stop.
type tick struct {
	base
	p           *play
	kind        topology.PunctuationType
	calls, stop int
	cancel      func()
}

func (k *tick) Init(ctx *topology.Context[str, str]) error {
	k.ctx = ctx
	k.cancel = ctx.Schedule(time.Duration(k.p.v.Params.Every)*time.Millisecond, k.kind, k.punctuate)
	return nil
}

func (k *tick) Process(r topology.Record[str, str]) error {
	k.p.trace("record %s stream=%d offset=%d", s(r.Value), k.ctx.StreamTime(), k.ctx.Metadata().Offset)
	k.ctx.Forward(r)
	return nil
}

func (k *tick) punctuate(now int64) error {
	from := k.ctx.Metadata()
	topic := from.Topic
	if topic == "" {
		topic = "null"
	}
	k.p.trace("tick %d topic=%s offset=%d stream=%d wall=%d", now, topic, from.Offset, k.ctx.StreamTime(), k.ctx.CurrentTime())
	if k.calls++; k.calls == k.stop {
		k.cancel()
	}
	k.ctx.Forward(topology.NewRecord(of("tick"), of(strconv.FormatInt(now, 10)), now))
	return nil
}

func ticking(kind topology.PunctuationType, stop int) program {
	return program{build: func(p *play) {
		to(stream.Process(p.from("in"), func() *tick { return &tick{p: p, kind: kind, stop: stop} }), "out")
	}}
}

// forwarder forwards as the values tell it.
type forwarder struct {
	base
	p *play
}

func (f *forwarder) Process(r topology.Record[str, str]) error {
	f.p.trace("start %s", s(r.Value))
	defer f.p.trace("end %s", s(r.Value))
	switch s(r.Value) {
	case "one":
		r.Headers = r.Headers.With("from", []byte("P"))
		return f.ctx.ForwardTo("c2", r)
	case "time":
		r.Timestamp += 100
		f.ctx.Forward(r)
	case "twice":
		for i, v := range []string{"first", "second"} {
			out := topology.WithValue(r, of(v))
			out.Headers = topology.Headers{}.With("n", fmt.Append(nil, i+1))
			f.ctx.Forward(out)
		}
	case "none":
	default:
		f.ctx.Forward(r)
	}
	return nil
}

// adder adds a header to the headers that it is given, unless its key is empty.
type adder struct {
	base
	key string
}

func (a *adder) Process(r topology.Record[str, str]) error {
	if a.key != "" {
		r.Headers.Add(a.key, []byte("1"))
	}
	a.ctx.Forward(r)
	return nil
}

func adding(key string) func() *adder { return func() *adder { return &adder{key: key} } }

var processPrograms = map[string]program{
	"punctuate-stream-time": ticking(topology.PunctuateStreamTime, -1),
	"punctuate-wall-clock":  ticking(topology.PunctuateWallClock, -1),
	"punctuate-cancel":      ticking(topology.PunctuateStreamTime, 2),
	"stateless-process-forward": {build: func(p *play) {
		in := stream.Process(p.from("in"), func() *forwarder { return &forwarder{p: p} }, stream.Named("P"))
		for _, child := range []string{"c1", "c2"} {
			to(stream.MapValues(in, func(v str) str {
				p.trace("%s %s", child, s(v))
				return of(child + ":" + s(v))
			}, stream.Named(child)), "out"+child[1:])
		}
	}},
	"stateless-process-headers-shared": {build: func(p *play) {
		in := stream.Process(p.from("in"), adding("p"))
		to(stream.Process(in, adding("a")), "out1")
		to(stream.Process(in, adding("")), "out2")
	}},
	"stateless-dynamic-sink": {build: func(p *play) {
		p.from("in").ToTopics(func(r *topology.Record[str, str], _ topology.Coordinates) string {
			switch {
			case r.Value == nil:
				return "out-null"
			case *r.Value == "":
				return "out-x"
			}
			return "out-" + (*r.Value)[:1]
		}, texts, texts)
	}},
	"ss-self-join-optimized": {build: func(p *play) {
		p.shows(p.within(), "KSTREAM-JOINTHIS-0000000003-store", "unused", "")
		in := p.from("in")
		to(stream.Join(in, in, joined, p.within()), "out")
	}, builder: []stream.BuilderOption{stream.Optimized()}},
	"table-headers-store": {build: func(p *play) {
		g := stream.GroupTable(p.rows("in", p.stored("t")), itself, stream.GroupedWith(texts, texts).Named("g"))
		counts64(g.Count(p.counted("c")), "out")
	}},
}
