package stream_test

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/runtime/topologytest"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/window"
	"github.com/millrace-io/millrace/topology"
)

// str is a key or value that may be null.
type str = *string

var (
	texts   = serde.Nullable(serde.String)
	onError = func(topologytest.Failure) topologytest.Response { return topologytest.Continue }
)

// The functions that the recorded topologies use, under the names of the recording.

func of(v string) str { return &v }

func s(v str) string { return text(v) }

func tail(v string) str { return of(v[max(0, len(v)-32):]) }

func isA(v str) bool { return v != nil && strings.HasPrefix(*v, "a") }

func add(_, v, agg str) str {
	if s(v) == "DEL" {
		return nil
	}
	return tail(*agg + "+" + s(v))
}

func reduce(a, b str) str {
	if s(b) == "DEL" {
		return nil
	}
	return tail(*a + "," + s(b))
}

func fk(_, v str) str {
	if v == nil {
		return nil
	}
	before, _, ok := strings.Cut(*v, ":")
	if !ok || before == "" {
		return nil
	}
	return &before
}

func joined(l, r str) str                    { return of(s(l) + "|" + s(r)) }
func left(l str, r serde.Maybe[str]) str     { return joined(l, r.Or(nil)) }
func left3(k, l str, r serde.Maybe[str]) str { return of(s(k) + ":" + s(left(l, r))) }
func zero() str                              { return of("0") }
func firstCharacter(_, v str) str {
	if v == nil || *v == "" {
		return nil
	}
	return of((*v)[:1])
}

func (p *play) from(topic string, opts ...stream.SourceOption[str, str]) stream.KStream[str, str] {
	return stream.From(p.Builder, topic, texts, texts, opts...)
}

func to(st stream.KStream[str, str], topic string) { st.To(topic, texts, texts) }

func (p *play) table(topic, store string) stream.GlobalKTable[str, str] {
	p.stores[store] = globalContent(store, "a", "b", "c", "d", "e")
	return stream.GlobalTable(p.Builder, topic, texts, texts, stream.StoreNamed(store))
}

var programs = map[string]program{
	"stateless-filter": {build: func(p *play) {
		to(p.from("in").Filter(func(k, v str) bool { return k == nil || v == nil || isA(v) }), "out")
	}},
	"stateless-filter-not": {build: func(p *play) {
		to(p.from("in").FilterNot(func(_, v str) bool { return isA(v) }), "out")
	}},
	"stateless-map": {build: func(p *play) {
		to(stream.Map(p.from("in"), func(k, v str) (str, str) {
			key, value := v, k
			if v == nil || strings.HasPrefix(*v, "n") {
				key = nil
			}
			if v != nil && strings.HasPrefix(*v, "z") {
				value = nil
			}
			return key, value
		}), "out")
	}},
	"stateless-map-values": {build: func(p *play) {
		marked := stream.MapValues(p.from("in"), func(v str) str { return of(s(v) + "!") })
		to(stream.MapValuesWithKey(marked, func(k, v str) str { return of(s(k) + ":" + *v) }), "out")
	}},
	"stateless-flat-map": {build: func(p *play) {
		to(stream.FlatMap(p.from("in"), func(k, v str, emit func(str, str)) {
			if v == nil {
				return
			}
			for x := range strings.SplitSeq(*v, ",") {
				if x != "" {
					emit(of(x), k)
				}
			}
		}), "out")
	}},
	"stateless-flat-map-values": {build: func(p *play) {
		to(stream.FlatMapValuesWithKey(p.from("in"), func(k, v str, emit func(str)) {
			if v == nil {
				emit(of("none"))
				return
			}
			for x := range strings.SplitSeq(*v, ",") {
				if x != "" {
					emit(of(s(k) + "/" + x))
				}
			}
		}), "out")
	}},
	"stateless-select-key": {build: func(p *play) {
		to(stream.SelectKey(p.from("in"), firstCharacter), "out")
	}},
	"stateless-long-serde": {build: func(p *play) {
		longs := serde.Nullable(serde.Int64)
		in := stream.From(p.Builder, "in", texts, longs)
		stream.MapValues(in, func(v *int64) *int64 {
			if v == nil {
				return nil
			}
			return new(*v * 2)
		}).To("out", texts, longs)
	}},
	"stateless-merge": {build: func(p *play) {
		a, c := p.from("in"), p.from("in2")
		c2 := stream.MapValues(c, func(v str) str { return of(s(v) + "-2") })
		to(a.Merge(c2).Merge(a.Filter(func(_, v str) bool { return isA(v) })), "out")
	}},
	"stateless-branch-default": {build: func(p *play) {
		split := p.from("in").Split(stream.Named("br-"))
		to(split.Branch(func(_, v str) bool { return isA(v) }), "out-a")
		to(split.Branch(func(k, v str) bool { return s(k) == "b" || v == nil }), "out-b")
		to(split.Default(), "out-rest")
	}},
	"stateless-branch-no-default": {build: func(p *play) {
		split := p.from("in").Split(stream.Named("br-"))
		first := split.Branch(func(k, _ str) bool { return k != nil && *k == "a" })
		two := split.Branch(func(_, v str) bool { return v != nil && strings.HasPrefix(*v, "b") }, stream.Named("two"))
		two = stream.MapValues(two, func(v str) str { return of(s(v) + "!") })
		third := split.Branch(func(_, v str) bool { return v == nil })
		// The recording shows the names of the branches, which are compared by the description.
		to(first.Peek(func(_, _ str) { p.trace("[br-1, br-3, br-two]") }), "out-1")
		to(two, "out-2")
		to(third, "out-3")
	}},
	"stateless-peek-order": {build: func(p *play) {
		in := p.from("in")
		peeked := in.Peek(func(k, v str) { p.trace("p1 %s %s", s(k), s(v)) })
		stream.FlatMapValues(peeked, func(v str, emit func(str)) { emit(of(s(v))); emit(of(s(v) + "2")) }).
			Foreach(func(k, v str) { p.trace("f1 %s %s", s(k), s(v)) })
		in.Foreach(func(k, v str) { p.trace("f2 %s %s", s(k), s(v)) })
		to(in, "out")
	}},
	"stateless-process-values": {build: func(p *play) {
		to(stream.ProcessValues(p.from("in"), func() *doubler { return &doubler{} }), "out")
	}},
	"stateless-repartition": {build: func(p *play) {
		keyed := stream.SelectKey(p.from("in"), firstCharacter).
			Repartition(stream.RepartitionedWith(texts, texts).Named("rep"))
		to(stream.MapValues(keyed, func(v str) str { return of(s(v) + "!") }), "out")
	}},

	"agg-aggregate": {build: func(p *play) {
		p.stores["agg"] = keyValueContent[str, str]("agg")
		to(stream.Aggregate(stream.GroupByKey(p.from("in")), zero, add, stream.Materialized("agg", texts)).ToStream(), "out")
	}},
	"agg-reduce": {build: func(p *play) {
		p.stores["r"] = keyValueContent[str, str]("r")
		to(stream.GroupByKey(p.from("in")).Reduce(reduce, stream.Materialized("r", texts)).ToStream(), "out")
	}},
	"agg-count": {build: func(p *play) {
		p.stores["c"] = keyValueContent[str, int64]("c")
		stream.GroupByKey(p.from("in")).Count(stream.Materialized("c", serde.Int64)).ToStream().To("out", texts, serde.Int64)
	}},
	"agg-group-by": {build: func(p *play) {
		p.stores["c"] = keyValueContent[str, int64]("c")
		stream.GroupBy(p.from("in"), func(_, v str) str { return v }, stream.GroupedWith(texts, texts).Named("g")).
			Count(stream.Materialized("c", serde.Int64)).ToStream().To("out", texts, serde.Int64)
	}},

	"win-tumbling":             {build: windowedAggregate},
	"win-hopping":              {build: windowedAggregate},
	"win-tumbling-grace-count": {build: windowedCount},
	"win-hopping-uneven":       {build: windowedCount},
	"win-tumbling-reduce": {build: func(p *play) {
		p.stores["w"] = windowContent[str, str](p, "w", p.v.Params.Size)
		table := stream.GroupByKey(p.from("in")).WindowedBy(p.windows()).Reduce(reduce, stream.Materialized("w", texts))
		stream.ToStream(table).To("out", p.windowedKeys(), texts)
	}},

	"sg-inner": {build: func(p *play) {
		l := p.from("l")
		to(stream.JoinGlobal(l, p.table("g", "gs"), fk, joined), "out")
	}},
	"sg-left": {build: func(p *play) {
		l := p.from("l")
		to(stream.LeftJoinGlobalWithKey(l, p.table("g", "gs"), fk, left3), "out")
	}},
	"sg-left-key-mapper": {build: func(p *play) {
		l := p.from("l")
		to(stream.LeftJoinGlobal(l, p.table("g", "gs"), func(k, _ str) str { return k }, left), "out")
	}},

	"process-store": {timeless: true, build: func(p *play) {
		p.stores["kv"] = untimed(keyValueContent[string, string]("kv"))
		spec := state.KeyValueSpec("kv", serde.String, serde.String)
		kv := stream.AddStore[*state.KeyValue[string, string]](p.Builder, spec)
		to(stream.Process(p.from("in"), func() *storeUser { return &storeUser{handle: kv} }, stream.Stores(kv)), "out")
	}},

	"time-default-extractor": {build: func(p *play) { to(p.from("in"), "out") }},
	"time-log-and-skip": {build: func(p *play) {
		to(p.from("in", stream.Timestamps(func(r topology.Record[str, str], _ topology.Coordinates, _ int64) (int64, error) {
			return r.Timestamp, nil
		})), "out")
	}},
	"time-partition-time": {build: func(p *play) {
		to(p.from("in", stream.Timestamps(func(r topology.Record[str, str], _ topology.Coordinates, partitionTime int64) (int64, error) {
			if r.Timestamp >= 0 {
				return r.Timestamp, nil
			}
			if partitionTime < 0 {
				return 0, errors.New("no partition time yet")
			}
			return partitionTime, nil
		})), "out")
	}},
	"time-wall-clock": {build: func(p *play) {
		n := int64(0)
		to(p.from("in", stream.Timestamps(func(topology.Record[str, str], topology.Coordinates, int64) (int64, error) {
			n++
			return n * 1000, nil
		})), "out")
	}},
	"time-from-value": {build: func(p *play) {
		p.stores["w"] = windowContent[str, int64](p, "w", p.v.Params.Size)
		in := p.from("in", stream.Timestamps(timeFromValue))
		table := stream.GroupByKey(in).WindowedBy(p.windows()).Count(stream.Materialized("w", serde.Int64))
		stream.ToStream(table).To("out", p.windowedKeys(), serde.Int64)
	}},

	"error-deserialize-fail":     {build: longsAsText},
	"error-deserialize-continue": {build: longsAsText, options: []topologytest.Option{topologytest.OnDeserialization(onError)}},
	"error-serialize":            {build: refusing},
	"error-serialize-continue":   {build: refusing, options: []topologytest.Option{topologytest.OnProduction(onError)}},
}

func (p *play) windows() window.Time {
	w := window.Tumbling(p.millis(p.v.Params.Size))
	if p.v.Params.Advance > 0 {
		w = window.Hopping(p.millis(p.v.Params.Size), p.millis(p.v.Params.Advance))
	}
	return w.Grace(p.millis(p.v.Params.Grace))
}

func (p *play) windowedKeys() serde.Serde[window.Windowed[str]] {
	return window.KeySerde(texts, p.millis(p.v.Params.Size))
}

func windowedAggregate(p *play) {
	p.stores["w"] = windowContent[str, str](p, "w", p.v.Params.Size)
	table := stream.AggregateWindows(stream.GroupByKey(p.from("in")).WindowedBy(p.windows()), zero, add, stream.Materialized("w", texts))
	stream.ToStream(table).To("out", p.windowedKeys(), texts)
}

func windowedCount(p *play) {
	p.stores["w"] = windowContent[str, int64](p, "w", p.v.Params.Size)
	table := stream.GroupByKey(p.from("in")).WindowedBy(p.windows()).Count(stream.Materialized("w", serde.Int64))
	stream.ToStream(table).To("out", p.windowedKeys(), serde.Int64)
}

func timeFromValue(r topology.Record[str, str], _ topology.Coordinates, partitionTime int64) (int64, error) {
	if r.Value == nil {
		return partitionTime, nil
	}
	before, _, ok := strings.Cut(*r.Value, ":")
	if before == "boom" {
		return 0, errors.New("boom")
	}
	n, err := strconv.ParseInt(before, 10, 64)
	if !ok || err != nil {
		return partitionTime, nil //nolint:nilerr // no number means the partition time
	}
	return n, nil
}

func longsAsText(p *play) {
	in := stream.From(p.Builder, "in", texts, serde.Nullable(serde.Int64))
	to(stream.MapValues(in, func(v *int64) str {
		if v == nil {
			return of("null")
		}
		return of(strconv.FormatInt(*v, 10))
	}), "out")
}

func refusing(p *play) {
	refuseX := serde.New(func(dst []byte, v str) ([]byte, error) {
		if *v == "x" {
			return dst, errors.New("cannot")
		}
		return append(dst, *v...), nil
	}, texts.Decode)
	p.from("in").To("out", texts, refuseX)
}

// doubler forwards value+"1" and, five milliseconds later, value+"2"; nothing for "skip".
type doubler struct {
	ctx *stream.ValueContext[str, str]
}

func (d *doubler) Init(ctx *stream.ValueContext[str, str]) error { d.ctx = ctx; return nil }
func (d *doubler) Close() error                                  { return nil }
func (d *doubler) Process(r topology.Record[str, str]) error {
	if s(r.Value) != "skip" {
		d.ctx.Forward(of(s(r.Value) + "1"))
		d.ctx.ForwardAt(r.Timestamp+5, of(s(r.Value)+"2"))
	}
	return nil
}

// storeUser reads and writes a store as the values tell it.
type storeUser struct {
	handle topology.Store[*state.KeyValue[string, string]]
	ctx    *topology.Context[str, str]
	kv     *state.KeyValue[string, string]
}

func (u *storeUser) Init(ctx *topology.Context[str, str]) (err error) {
	u.ctx = ctx
	u.kv, err = u.handle.In(ctx)
	return err
}

func (u *storeUser) Close() error { return nil }

func (u *storeUser) Process(r topology.Record[str, str]) error {
	if r.Key == nil || r.Value == nil {
		return nil
	}
	v, _, ok, err := u.kv.Get(*r.Key)
	if err != nil {
		return err
	}
	found := r.WithoutValue()
	if ok {
		found = topology.WithValue(r, of(v))
	}
	switch *r.Value {
	case "get":
		u.ctx.Forward(found)
	case "del":
		err = u.kv.Delete(*r.Key, r.Timestamp, r.Headers)
		u.ctx.Forward(topology.WithValue(r, of(s(found.Value))))
	case "put-if":
		if !ok {
			err = u.kv.Put(*r.Key, "X", r.Timestamp, r.Headers)
		}
		u.ctx.Forward(topology.WithValue(r, of(s(found.Value))))
	case "all":
		var rows []state.Row[string, string]
		for row, err := range u.kv.Range(serde.None[string](), serde.None[string]()) {
			if err != nil {
				return err
			}
			rows = append(rows, row)
		}
		for row := range slices.Values(rows) {
			u.ctx.Forward(topology.WithValue(topology.WithKey(r, of(row.Key)), of(row.Value)))
		}
	default:
		err = u.kv.Put(*r.Key, *r.Value, r.Timestamp, r.Headers)
	}
	return err
}
