package stream_test

import (
	"encoding/hex"
	"math"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/runtime/topologytest"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/internal/operator"
)

// The programs about tables, and the functions that they use under the names of the recording.

func data(v str) str {
	if v == nil {
		return nil
	}
	if _, after, ok := strings.Cut(*v, ":"); ok {
		return &after
	}
	return v
}

func sub(_, v, agg str) str {
	if s(v) == "DEL" {
		return nil
	}
	return tail(*agg + "-" + s(v))
}

func unreduce(a, b str) str {
	if s(b) == "DEL" {
		return nil
	}
	return tail(*a + ";" + s(b))
}

func outer(l, r serde.Maybe[str]) str  { return joined(l.Or(nil), r.Or(nil)) }
func begins(_, v str) bool             { return isA(v) }
func byForeignKey(_, v str) (str, str) { return fk(nil, v), data(v) }
func itself(_, v str) (str, str)       { return v, v }
func mark(v str) str                   { return of(*v + "!") }

type table = stream.KTable[str, str]

func (p *play) rows(topic string, opts ...stream.TableSourceOption) table {
	return stream.Table(p.Builder, topic, texts, texts, opts...)
}

// stored names a store of texts and has it shown.
func (p *play) stored(name string) stream.StoreName {
	p.stores[name] = keyValueContent[str, str](name)
	return stream.StoreNamed(name)
}

func (p *play) materialized(name string) stream.Store[str] {
	p.stored(name)
	return stream.Materialized(name, texts)
}

func (p *play) counted(name string) stream.Store[int64] {
	p.stores[name] = keyValueContent[str, int64](name)
	return stream.Materialized(name, serde.Int64)
}

// shown has the stores shown whose names are generated.
func (p *play) shown(stores ...string) {
	for _, name := range stores {
		p.stored(name)
	}
}

func counts64(t stream.KTable[str, int64], topic string) { t.ToStream().To(topic, texts, serde.Int64) }

func (p *play) grouped(topic string) stream.GroupedTable[str, str] {
	p.shown("in-STATE-STORE-0000000000")
	return stream.GroupTable(p.rows(topic), byForeignKey, stream.GroupedWith(texts, texts).Named("g"))
}

func (p *play) sides() (l, r table) {
	p.shown("l-STATE-STORE-0000000000", "r-STATE-STORE-0000000003")
	l = p.rows("l")
	return l, p.rows("r")
}

// versioned names a versioned store of texts with the recorded history, and has what it keeps of it shown.
func (p *play) versioned(name string) stream.Store[str] {
	p.histories = append(p.histories, name)
	p.stores[name] = func(d *topologytest.Driver) [][]any {
		var rows [][]any
		store := topologytest.StoreOf[*state.Versioned[str, str]](d, name)
		if newest, ok := store.Newest(); ok {
			p.oldest = newest - p.v.Params.H
		}
		err := store.Each(func(k, v str, from, to int64) error {
			row := []any{*k, *v, from, "null"}
			if to != math.MaxInt64 {
				row[3] = to
			}
			rows = append(rows, row)
			return nil
		})
		if err != nil {
			return [][]any{{err}}
		}
		return p.reachable(rows)
	}
	return stream.Materialized(name, texts).Versioned(p.millis(p.v.Params.H))
}

// reachable leaves out versions that nobody can ask for any more: Kafka Streams drops them a segment at a time, Millrace with the next
// write of their key.
func (p *play) reachable(rows [][]any) [][]any {
	return slices.DeleteFunc(rows, func(row []any) bool {
		to, ok := row[3].(int64)
		return ok && to <= p.oldest
	})
}

func (p *play) foreignSides() (l, r table) {
	p.stores["fkj-subscription-store"] = subscriptions
	return p.sides()
}

// subscriptions shows the store of a foreign-key join: keys, contents and times.
func subscriptions(d *topologytest.Driver) [][]any {
	var rows [][]any
	for row, err := range topologytest.StoreOf[*state.KeyValue[string, operator.Subscription]](d, "fkj-subscription-store").
		Range(serde.None[string](), serde.None[string]()) {
		if err != nil {
			return [][]any{{err}}
		}
		rows = append(rows, []any{hex.EncodeToString([]byte(row.Key)), row.Value.String(), row.Timestamp})
	}
	return rows
}

var tablePrograms = map[string]program{
	"stateless-to-table": {build: func(p *play) { to(stream.ToTable(p.from("in"), p.stored("t")).ToStream(), "out") }},
	"stateless-to-table-repartition": {build: func(p *play) {
		to(stream.ToTable(stream.SelectKey(p.from("in"), firstCharacter), p.stored("t"), stream.RepartitionedWith(texts, texts)).ToStream(), "out")
	}},
	"table-source-plain":        {build: func(p *play) { to(p.rows("in").ToStream(), "out") }},
	"table-source-materialized": {build: func(p *play) { to(p.rows("in", p.stored("t")).ToStream(), "out") }},
	"table-filter-plain":        {build: func(p *play) { to(p.rows("in").Filter(begins).ToStream(), "out") }},
	"table-filter-materialized": {build: func(p *play) { to(p.rows("in").Filter(begins, p.stored("f")).ToStream(), "out") }},
	"table-filter-not-both-materialized": {build: func(p *play) {
		to(p.rows("in", p.stored("t")).FilterNot(begins, p.stored("f")).ToStream(), "out")
	}},
	"table-filter-source-materialized": {build: func(p *play) { to(p.rows("in", p.stored("t")).Filter(begins).ToStream(), "out") }},
	"table-filter-then-group": {build: func(p *play) {
		p.shown("in-STATE-STORE-0000000000")
		g := stream.GroupTable(p.rows("in").Filter(begins), itself, stream.GroupedWith(texts, texts).Named("g"))
		counts64(g.Count(p.counted("c")), "out")
	}},
	"table-map-values-plain": {build: func(p *play) { to(stream.MapTable(p.rows("in"), mark).ToStream(), "out") }},
	"table-map-values-materialized": {build: func(p *play) {
		to(stream.MapTableWithKey(p.rows("in", p.stored("t")), func(k, v str) str {
			if strings.HasPrefix(*v, "b") {
				return nil
			}
			return of(*k + *v)
		}, p.materialized("m")).ToStream(), "out")
	}},
	"table-to-stream-mapper": {build: func(p *play) {
		keyed := stream.ToStreamBy(p.rows("in", p.stored("t")), func(_, v str) str { return of(s(v)) })
		counts64(stream.GroupByKey(keyed, stream.GroupedWith(texts, texts).Named("g")).Count(p.counted("c")), "out")
	}},
	"table-group-aggregate": {build: func(p *play) {
		to(stream.AggregateTable(p.grouped("in"), zero, add, sub, p.materialized("agg")).ToStream(), "out")
	}},
	"table-group-count": {build: func(p *play) { counts64(p.grouped("in").Count(p.counted("c")), "out") }},
	"table-group-reduce": {build: func(p *play) {
		to(p.grouped("in").Reduce(reduce, unreduce, p.materialized("red")).ToStream(), "out")
	}},
	"agg-old-value": {build: func(p *play) {
		first := stream.Aggregate(stream.GroupByKey(p.from("in")), zero, add, p.materialized("agg"))
		all := stream.GroupTable(first, func(_, v str) (str, str) { return of("all"), v }, stream.GroupedWith(texts, texts).Named("g"))
		with := func(sign string) func(_, v, a str) str {
			return func(_, v, a str) str { return tail(*a + sign + *v) }
		}
		to(stream.AggregateTable(all, func() str { return of("") }, with("+"), with("-"), p.materialized("agg2")).ToStream(), "out")
	}},

	"table-join-inner": {build: func(p *play) {
		l, r := p.sides()
		to(stream.JoinTables(l, r, joined).ToStream(), "out")
	}},
	"table-join-left": {build: func(p *play) {
		l, r := p.sides()
		to(stream.LeftJoinTables(l, r, left).ToStream(), "out")
	}},
	"table-join-outer": {build: func(p *play) {
		l, r := p.sides()
		to(stream.OuterJoinTables(l, r, outer).ToStream(), "out")
	}},
	"table-join-outer-materialized": {build: func(p *play) {
		l := p.rows("l", p.stored("lt"))
		to(stream.OuterJoinTables(l, p.rows("r", p.stored("rt")), outer, p.materialized("j")).ToStream(), "out")
	}},
	"table-join-chain": {build: func(p *play) {
		l, r := p.sides()
		p.shown("x-STATE-STORE-0000000009")
		inner := stream.LeftJoinTables(l, r, left)
		to(stream.OuterJoinTables(inner, p.rows("x"), outer).ToStream(), "out")
	}},
	"table-join-filtered": {build: func(p *play) {
		p.shown("l-STATE-STORE-0000000000", "r-STATE-STORE-0000000005")
		l := stream.MapTable(p.rows("l").Filter(func(_, v str) bool { return !strings.HasSuffix(*v, "3") }), func(v str) str { return of(*v + "'") })
		r := stream.MapTable(p.rows("r"), func(v str) str {
			if strings.HasSuffix(*v, "2") {
				return nil
			}
			return v
		})
		to(stream.LeftJoinTables(l, r, left).ToStream(), "out")
	}},
	"table-join-self": {build: func(p *play) {
		p.shown("in-STATE-STORE-0000000000")
		t := p.rows("in")
		to(stream.JoinTables(t, t, joined).ToStream(), "out")
	}},
	"table-join-then-count": {build: func(p *play) {
		l, r := p.sides()
		g := stream.GroupTable(stream.LeftJoinTables(l, r, left), itself, stream.GroupedWith(texts, texts).Named("g"))
		counts64(g.Count(p.counted("c")), "out")
	}},
	"table-transform-values": {build: func(p *play) {
		t := p.rows("in", p.stored("t"))
		to(stream.TransformTable(t, func() keyed { return keyed{} }).ToStream(), "out")
	}},
	"table-transform-values-materialized": {build: func(p *play) {
		t := p.rows("in", p.stored("t"))
		to(stream.TransformTable(t, func() keyed { return keyed{not: "b"} }, p.materialized("m")).ToStream(), "out")
	}},

	"table-fk-inner": {build: func(p *play) {
		l, r := p.foreignSides()
		to(stream.JoinForeign(l, r, fk, joined, stream.Named("fkj")).ToStream(), "out")
	}},
	"table-fk-left": {build: func(p *play) {
		l, r := p.foreignSides()
		to(stream.LeftJoinForeign(l, r, fk, left, stream.Named("fkj")).ToStream(), "out")
	}},
	"table-fk-inner-materialized": {build: func(p *play) {
		l, r := p.foreignSides()
		to(stream.JoinForeign(l, r, fk, joined, stream.Named("fkj"), p.materialized("j")).ToStream(), "out")
	}},

	"st-inner": {build: func(p *play) {
		l := p.from("l")
		to(stream.JoinTable(l, p.rows("t", p.stored("ts")), joined), "out")
	}},
	"st-left": {build: func(p *play) {
		l := p.from("l")
		to(stream.LeftJoinTableWithKey(l, p.rows("t", p.stored("ts")), left3), "out")
	}},
	"st-inner-repartition": {build: func(p *play) {
		l := stream.SelectKey(p.from("l"), fk)
		to(stream.JoinTable(l, p.rows("t", p.stored("ts")), joined, stream.Named("j"), stream.JoinedWith(texts, texts)), "out")
	}},
	"st-left-repartition": {build: func(p *play) {
		l := stream.SelectKey(p.from("l"), fk)
		to(stream.LeftJoinTable(l, p.rows("t", p.stored("ts")), left, stream.Named("j"), stream.JoinedWith(texts, texts)), "out")
	}},
	"st-table-lookup-chain": {build: func(p *play) {
		p.shown("t-STATE-STORE-0000000001")
		l := p.from("l")
		t := p.rows("t").Filter(func(_, v str) bool { return !strings.HasSuffix(*v, "1") })
		to(stream.JoinTable(l, stream.MapTable(t, func(v str) str { return of(*v + "'") }), joined), "out")
	}},
	"st-versioned-inner": {build: func(p *play) {
		l := p.from("l")
		to(stream.JoinTable(l, p.rows("t", p.versioned("v")), joined), "out")
	}},
	"st-versioned-left": {build: func(p *play) {
		l := p.from("l")
		to(stream.LeftJoinTable(l, p.rows("t", p.versioned("v")), left), "out")
	}},
	"table-versioned-source": {build: func(p *play) { to(p.rows("in", p.versioned("v")).ToStream(), "out") }},
	"table-versioned-filter": {build: func(p *play) { to(p.rows("in", p.versioned("v")).Filter(begins).ToStream(), "out") }},
	"table-versioned-filter-join": {build: func(p *play) {
		p.shown("r-STATE-STORE-0000000003")
		l := p.rows("in", p.versioned("v")).Filter(begins)
		to(stream.LeftJoinTables(l, p.rows("r"), left).ToStream(), "out")
	}},
	"table-versioned-group": {build: func(p *play) {
		g := stream.GroupTable(p.rows("in", p.versioned("v")), byForeignKey, stream.GroupedWith(texts, texts).Named("g"))
		to(stream.AggregateTable(g, zero, add, sub, p.materialized("agg")).ToStream(), "out")
	}},
	"table-join-versioned-left": {build: func(p *play) {
		p.shown("r-STATE-STORE-0000000002")
		l := p.rows("l", p.versioned("lv"))
		to(stream.LeftJoinTables(l, p.rows("r"), left).ToStream(), "out")
	}},
	"table-join-versioned-both": {build: func(p *play) {
		l := p.rows("l", p.versioned("lv"))
		to(stream.OuterJoinTables(l, p.rows("r", p.versioned("rv")), outer).ToStream(), "out")
	}},
	"table-join-versioned-result": {build: func(p *play) {
		l, r := p.sides()
		to(stream.JoinTables(l, r, joined, p.versioned("j")).ToStream(), "out")
	}},
	"table-fk-left-versioned": {build: func(p *play) {
		p.stores["fkj-subscription-store"] = subscriptions
		l := p.rows("l", p.versioned("lv"))
		to(stream.LeftJoinForeign(l, p.rows("r", p.versioned("rv")), fk, left, stream.Named("fkj")).ToStream(), "out")
	}},
}

// keyed puts the key in front of each row, also of none, and leaves out rows that begin with not.
type keyed struct{ not string }

func (keyed) Init(*stream.TableContext) error { return nil }
func (keyed) Close() error                    { return nil }
func (t keyed) Transform(k str, row serde.Maybe[str]) (serde.Maybe[str], error) {
	v := s(row.Or(nil))
	if t.not != "" && row.Present() && strings.HasPrefix(v, t.not) {
		return serde.None[str](), nil
	}
	return serde.Some(of(s(k) + "=" + v)), nil
}
