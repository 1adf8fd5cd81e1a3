package stream_test

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/window"
)

func namesCogroup(b *stream.Builder) {
	keep := func(_, _, a string) string { return a }
	a, c := from(b, "a"), from(b, "c")
	empty := func() string { return "" }
	texts := stream.Materialized("", serde.String)
	one := stream.Cogroup(stream.GroupByKey(a), keep).With(stream.Cogroup(stream.GroupBy(c, value, grouped), keep))
	toText(one.Aggregate(empty, texts).ToStream(), "out1")
	two := stream.Cogroup(stream.GroupByKey(a), keep).With(stream.Cogroup(stream.GroupBy(c, value, grouped.Named("g")), keep))
	toText(two.Aggregate(empty, stream.Materialized("co", serde.String), stream.Named("n")).ToStream(), "out2")
}

func namesMergeRepartition(b *stream.Builder) {
	s := stream.SelectKey(from(b, "in"), value)
	toCounts(stream.GroupByKey(s, grouped).Count(counts), "out1")
	toText(stream.GroupByKey(s, grouped.Named("g2")).Reduce(later, stream.Materialized("", serde.String)).ToStream(), "out2")
	toText(stream.JoinTable(s, tableFrom(b, "t"), both, stream.JoinedWith(serde.String, serde.String)), "out3")
}

func namesRepartition(b *stream.Builder) {
	s := from(b, "in")
	with := stream.RepartitionedWith(serde.String, serde.String)
	toText(s.Repartition(), "out1")
	toText(s.Repartition(with.Named("rep")), "out2")
	toText(s.Repartition(with.Named("rep3").Partitions(3)), "out3")
	toText(stream.ToTable(stream.SelectKey(s, value), with).ToStream(), "out4")
	toText(stream.ToTable(stream.SelectKey(s, value), with, stream.Named("n-table")).ToStream(), "out5")
	toText(stream.ToTable(s, stream.StoreNamed("tt")).ToStream(), "out6")
}

func namesStreamTableJoin(b *stream.Builder) {
	l, t := from(b, "l"), tableFrom(b, "t")
	with := stream.JoinedWith(serde.String, serde.String)
	toText(stream.JoinTable(stream.SelectKey(l, value), t, both, with), "out1")
	toText(stream.LeftJoinTable(stream.SelectKey(l, value), t, bothOr, with, stream.Named("j2")), "out2")
	v := tableFrom(b, "v", stream.Materialized("ver", serde.String).Versioned(time.Hour))
	toText(stream.JoinTable(l, v, both, with, stream.Named("j3"), stream.JoinGrace(ten)), "out3")
	toText(stream.LeftJoinTable(l, v, bothOr, with, stream.JoinGrace(ten)), "out4")
}

func nobody(window.Windowed[string], int64) {}

func namesWindows(b *stream.Builder) {
	g := stream.GroupByKey(from(b, "in"))
	tumbling := g.WindowedBy(window.Tumbling(ten).Grace(ten)).Count(counts)
	stream.ToStream(tumbling.Suppress(stream.UntilWindowCloses(stream.Unbounded()))).Foreach(nobody)
	stream.ToStream(g.WindowedBy(window.SlidingBy(ten).Grace(ten)).Count(counts)).Foreach(nobody)
	stream.ToStream(g.WindowedBySessions(window.Sessions(ten).Grace(ten)).Count(counts)).Foreach(nobody)
	stream.ToStream(g.WindowedBy(window.Tumbling(5 * time.Minute)).EmitOnClose().Count(counts)).Foreach(nobody)
}

func namesWindowsNamed(b *stream.Builder) {
	g := stream.GroupByKey(from(b, "in"), grouped.Named("g"))
	named := func(name string) stream.Store[int64] { return stream.Materialized(name, serde.Int64) }
	tumbling := g.WindowedBy(window.Tumbling(ten).Grace(ten)).Count(named("w"), stream.Named("n-count"))
	stream.ToStream(tumbling.Suppress(stream.UntilWindowCloses(stream.Unbounded()), stream.Named("sup"))).Foreach(nobody)
	stream.ToStream(g.WindowedBy(window.SlidingBy(ten).Grace(ten)).Count(named("sl"))).Foreach(nobody)
	stream.ToStream(g.WindowedBySessions(window.Sessions(ten).Grace(ten)).Count(named("se").Retention(time.Hour))).Foreach(nobody)
}

// TestExplicitNames: a program that gives every name is built though all names must be given; naming-explicit-forced is one that does
// not.
func TestExplicitNames(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder(stream.ExplicitNames())
	named := stream.GroupBy(from(b, "in"), value, grouped.Named("g")).Count(stream.Materialized("c", serde.Int64))
	toCounts(named.Filter(func(string, int64) bool { return true }), "out")
	toText(tableFrom(b, "t").ToStream(), "out2") // it has a name for a store, but none
	if _, err := b.Topology(); err != nil {
		t.Errorf("all names are given: %v", err)
	}
}

// TestExplicitNamesOfUnloggedStores: a store that has no changelog has a name all the same, by which it is found on disk.
func TestExplicitNamesOfUnloggedStores(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder(stream.ExplicitNames())
	stream.GroupBy(from(b, "in"), value, grouped.Named("g")).Count(stream.Materialized("", serde.Int64).With(state.WithoutChangelog()))
	if _, err := b.Topology(); err == nil || !strings.Contains(err.Error(), "KSTREAM-AGGREGATE-STATE-STORE-") {
		t.Errorf("%v, want an error that names the store", err)
	}
}

// namesSelfJoin joins a stream with itself, which needs one store.
func namesSelfJoin(b *stream.Builder) {
	l := from(b, "l")
	toText(stream.Join(l, l, both, window.Within(ten).Grace(ten)), "out")
}
