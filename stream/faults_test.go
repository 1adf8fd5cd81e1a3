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

// TestFaults: a fault of a program is an error of Topology that names the node and the fix; all faults come at once (D-151).
func TestFaults(t *testing.T) {
	t.Parallel()
	sum := func(a, b string) string { return a + b }
	texts := stream.Materialized("texts", serde.String)
	for _, c := range []struct {
		name    string
		program func(b *stream.Builder)
		want    []string
	}{
		{"nothing to do", func(*stream.Builder) {}, []string{"has no source"}},
		{"a topic read twice", func(b *stream.Builder) {
			from(b, "in")
			tableFrom(b, "in")
		}, []string{`source KSTREAM-SOURCE-0000000002: topic "in" is read by source KSTREAM-SOURCE-0000000000 already, as one of ["in"]: read it once`}},
		{"a name that no topic could have", func(b *stream.Builder) {
			from(b, "in").Filter(always, stream.Named("no spaces"))
		}, []string{`operator name "no spaces": only letters, digits, '.', '_' and '-' are allowed, not ' '`}},
		{"a topic that could not be", func(b *stream.Builder) {
			toText(from(b, ""), "a/b")
		}, []string{`source KSTREAM-SOURCE-0000000000: topic "": it is empty`, `node KSTREAM-SINK-0000000001: topic "a/b": only letters`}},
		{"a name used twice", func(b *stream.Builder) {
			from(b, "in").Filter(always, stream.Named("f")).Filter(always, stream.Named("f"))
		}, []string{"node f: the name is used twice"}},
		{"two names for one operator", func(b *stream.Builder) {
			from(b, "in").Filter(always, stream.Named("f"), stream.Named("g"))
		}, []string{`operator f: Named is given 2 times: ["f" "g"]`}},
		{"a store used twice", func(b *stream.Builder) {
			g := stream.GroupByKey(from(b, "in"))
			g.Reduce(sum, texts)
			g.Reduce(sum, texts)
		}, []string{"store texts: the name is used twice"}},
		{"a repartition topic used twice", func(b *stream.Builder) {
			in := from(b, "in")
			stream.GroupBy(in, value, grouped.Named("g")).Reduce(sum, texts)
			in.Repartition(stream.RepartitionedWith(serde.String, serde.String).Named("g"))
		}, []string{"g-repartition"}},
		{"a value serde that is not known", func(b *stream.Builder) {
			s := stream.SelectKey(stream.MapValues(from(b, "in"), strings.Clone), value)
			stream.GroupByKey(s).Reduce(sum, texts)
		}, []string{
			"node KSTREAM-REDUCE-0000000003: the key serde is unknown, and the store needs it: give it by GroupedWith",
			"node texts-repartition: the key serde is unknown; the repartition topic needs it: give it by GroupedWith or RepartitionedWith",
			"node texts-repartition: the value serde is unknown",
		}},
		{"no serde at all", func(b *stream.Builder) {
			stream.From[string, string](b, "in", nil, nil).To("out", nil, serde.String)
			stream.GroupByKey(from(b, "in2")).Count(stream.Store[int64]{})
		}, []string{
			"node KSTREAM-SOURCE-0000000000: the key serde is nil", "node KSTREAM-SOURCE-0000000000: the value serde is nil",
			"node KSTREAM-SINK-0000000001: the key serde is nil",
			"node KSTREAM-AGGREGATE-0000000004: the store has no value serde: give it by Materialized",
		}},
		{"functions that are nil", func(b *stream.Builder) {
			s := from(b, "in")
			s.Filter(nil)
			stream.MapValues[string, string, string](s, nil)
			stream.GroupByKey(s).Reduce(nil, texts)
			stream.Aggregate[string, string, string](stream.GroupByKey(s), nil, nil, stream.Materialized("more", serde.String))
		}, []string{
			"node KSTREAM-FILTER-0000000001: the predicate is nil", "node KSTREAM-MAPVALUES-0000000002: the function is nil",
			"node KSTREAM-REDUCE-0000000003: the reducer is nil",
			"node KSTREAM-AGGREGATE-0000000004: the initialiser is nil", "node KSTREAM-AGGREGATE-0000000004: the aggregator is nil",
		}},
		{"windows without size", func(b *stream.Builder) {
			stream.GroupByKey(from(b, "in")).WindowedBy(window.Tumbling(0).Grace(-1)).Count(counts)
		}, []string{"node KSTREAM-AGGREGATE-0000000002: window size 0s: want at least 1ms", "window grace -1ns"}},
		{"a retention that is too short", func(b *stream.Builder) {
			stream.GroupByKey(from(b, "in")).WindowedBy(window.Tumbling(time.Hour)).Count(counts.Retention(time.Minute))
		}, []string{"node KSTREAM-AGGREGATE-0000000002: the retention 1m0s is less than size and grace period, 1h0m0s"}},
		{"a retention of what is no window", func(b *stream.Builder) {
			stream.GroupByKey(from(b, "in")).Count(counts.Retention(time.Minute))
		}, []string{"node KSTREAM-AGGREGATE-0000000002: Retention is for windows"}},
		{"a branch after the default", func(b *stream.Builder) {
			split := from(b, "in").Split()
			split.Default()
			split.Branch(always)
			split.Default()
		}, []string{"Branch is called after Default", "Default is called twice"}},
		{"a stream of another builder", func(b *stream.Builder) {
			from(b, "in").Merge(from(stream.NewBuilder(), "other"))
		}, []string{"node KSTREAM-MERGE-0000000001: a stream of another builder is given to it"}},
		{"a table of another builder", func(b *stream.Builder) {
			other := stream.GlobalTable(stream.NewBuilder(), "t", serde.String, serde.String)
			stream.JoinGlobal(from(b, "in"), other, value, sum)
		}, []string{"node KSTREAM-LEFTJOIN-0000000001: a global table of another builder is given to it"}},
		{"negative partitions", func(b *stream.Builder) {
			from(b, "in").Repartition(stream.RepartitionedWith(serde.String, serde.String).Named("r").Partitions(-1))
		}, []string{"repartition r: -1 partitions"}},
		{"a store without a processor", func(b *stream.Builder) {
			from(b, "in")
			stream.AddStore[*state.KeyValue[string, string]](b, state.KeyValueSpec("lonely", serde.String, serde.String))
		}, []string{"lonely"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := stream.NewBuilder()
			c.program(b)
			top, err := b.Topology()
			if err == nil {
				t.Fatalf("no error, but:\n%s", top.Describe())
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in:\n%v", want, err)
				}
			}
		})
	}
}

// TestTopologyTwice: the topology is built once.
func TestTopologyTwice(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	toText(from(b, "in"), "out")
	first, err := b.Topology()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := b.Topology(); err != nil || again != first {
		t.Errorf("the second call gives another topology: %v", err)
	}
}

// TestSharedRepartition: the aggregations of a named grouping share its repartition topic; without a name each has its own.
func TestSharedRepartition(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	in := from(b, "in")
	named := stream.GroupBy(in, value, grouped.Named("g"))
	toCounts(named.Count(stream.Materialized("c1", serde.Int64)), "o1")
	toCounts(named.Count(stream.Materialized("c2", serde.Int64)), "o2")
	unnamed := stream.GroupBy(in, value, grouped)
	toCounts(unnamed.Count(stream.Materialized("c3", serde.Int64)), "o3")
	toCounts(unnamed.Count(stream.Materialized("c4", serde.Int64)), "o4")
	top, err := b.Topology()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, topic := range internalTopics(t, top) {
		name, _, _ := strings.Cut(topic, " ")
		names = append(names, name)
	}
	got := strings.Join(names, " ")
	const want = "app-c1-changelog app-c2-changelog app-c3-changelog app-c3-repartition app-c4-changelog app-c4-repartition app-g-repartition"
	if got != want {
		t.Errorf("internal topics %s\nwant %s", got, want)
	}
}
