package stream_test

import (
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
)

type (
	rows     = stream.KTable[string, string]
	maybeRow = serde.Maybe[string]
)

func tableFrom(b *stream.Builder, topic string, opts ...stream.TableSourceOption) rows {
	return stream.Table(b, topic, serde.String, serde.String, opts...)
}

func pairOf(_, v string) (string, string)       { return v, v }
func asItIs(v string) string                    { return v }
func first(l, _ string) string                  { return l }
func firstOf(l string, _ maybeRow) string       { return l }
func firstOfBoth(l maybeRow, _ maybeRow) string { return l.Or("") }
func aggregateOf(_, _, a string) string         { return a }
func noText() string                            { return "" }

type untouched struct{}

func (untouched) Init(*stream.TableContext) error                    { return nil }
func (untouched) Transform(_ string, row maybeRow) (maybeRow, error) { return row, nil }
func (untouched) Close() error                                       { return nil }
func newUntouched() untouched                                        { return untouched{} }
func storedText(name string) stream.Store[string]                    { return stream.Materialized(name, serde.String) }
func tableToText(t rows, topic string, opts ...stream.StepOption)    { toText(t.ToStream(opts...), topic) }

func namesTable(b *stream.Builder) {
	t := tableFrom(b, "t")
	tableToText(stream.MapTable(t.Filter(always), asItIs), "out1")
	tableToText(t.FilterNot(never, stream.StoreNamed("f")), "out2")
	tableToText(stream.TransformTable(t, newUntouched), "out3")
	toCounts(stream.GroupTable(t, pairOf, grouped).Count(counts), "out4")
	toText(stream.ToStreamBy(t, value), "out5")
}

func namesTableNamed(b *stream.Builder) {
	t := tableFrom(b, "t", stream.Named("src"), stream.StoreNamed("ts"))
	tableToText(stream.MapTable(t.Filter(always, stream.Named("n-filter")), asItIs, stream.Named("n-map-values")), "out1", stream.Named("n-to-stream"))
	tableToText(stream.TransformTable(t, newUntouched, stream.Named("n-transform")), "out3")
	toCounts(stream.GroupTable(t, pairOf, grouped.Named("g")).Count(counts, stream.Named("n-count")), "out4")
	tableToText(stream.AggregateTable(stream.GroupTable(t, pairOf, grouped.Named("g2")), noText, aggregateOf, aggregateOf, storedText("agg")), "out5")
}

func namesTableJoin(b *stream.Builder) {
	l := tableFrom(b, "l")
	r := tableFrom(b, "r")
	tableToText(stream.JoinTables(l, r, first), "out1")
	tableToText(stream.LeftJoinTables(l, r, firstOf, stream.Named("n-join")), "out2")
	tableToText(stream.OuterJoinTables(l, r, firstOfBoth, storedText("j")), "out3")
	tableToText(stream.OuterJoinTables(l, r, firstOfBoth, stream.Named("n-join2"), storedText("j2")), "out4")
}

func namesForeignJoin(b *stream.Builder) {
	l := tableFrom(b, "l")
	r := tableFrom(b, "r")
	tableToText(stream.JoinForeign(l, r, value, first), "out1")
	tableToText(stream.LeftJoinForeign(l, r, value, firstOf, stream.Named("fkj")), "out2")
	tableToText(stream.JoinForeign(l, r, value, first, storedText("j3")), "out3")
	tableToText(stream.LeftJoinForeign(l, r, value, firstOf, stream.Named("fkj4"), storedText("j4")), "out4")
}

func namesTableSource(b *stream.Builder) {
	tableToText(tableFrom(b, "t", stream.StoreNamed("ts")), "out1")
	tableToText(stream.JoinTables(tableFrom(b, "u").Filter(always), tableFrom(b, "w"), first), "out2")
}
