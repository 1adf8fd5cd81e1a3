package stream_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/topology"
)

// TestNames compares the names of nodes, stores and internal topics with those that Kafka Streams gives.
func TestNames(t *testing.T) {
	t.Parallel()
	for name, program := range map[string]func(*stream.Builder){
		"naming-cogroup":             namesCogroup,
		"naming-count-default":       namesCountDefault,
		"naming-count-grouped-named": namesCountGrouped,
		"naming-count-store-named":   namesCountStore,
		"naming-global-table":        namesGlobalTable,
		"naming-merge-repartition":   namesMergeRepartition,
		"naming-process":             namesProcess,
		"naming-repartition":         namesRepartition,
		"naming-stream-table-join":   namesStreamTableJoin,
		"naming-windows-default":     namesWindows,
		"naming-windows-named":       namesWindowsNamed,
		"naming-stream-join-default": namesStreamJoins,
		"naming-stream-join-named":   namesStreamJoinsNamed,
		"naming-stateless-default":   namesStateless,
		"naming-stateless-named":     namesStatelessNamed,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := stream.NewBuilder()
			program(b)
			top, err := b.Topology()
			if err != nil {
				t.Fatal(err)
			}
			v := loadVector(t, name)
			compareDescription(t, top, v)
		})
	}
}

func compareDescription(t testing.TB, top *topology.Topology, v vector) {
	t.Helper()
	if got, want := sortedNames(top.Describe()), sortedNames(v.Describe); got != want {
		t.Errorf("description:\n%s\nKafka Streams has:\n%s", got, want)
	}
	var want []string
	for _, topic := range v.Internal {
		want = append(want, topic.Topic)
	}
	slices.Sort(want)
	if got := internalTopics(top); !slices.Equal(got, want) {
		t.Errorf("internal topics: %q\nKafka Streams has: %q", got, want)
	}
}

// sortedNames returns a description with the neighbours and the stores of each node sorted by name: Kafka Streams lists those in
// the order of a hash set, if they are of one size.
func sortedNames(description string) string {
	lines := strings.Split(strings.TrimSpace(description), "\n")
	for i, line := range lines {
		if head, stores, ok := strings.Cut(line, "(stores: ["); ok {
			list := strings.Split(strings.TrimSuffix(stores, "])"), ", ")
			slices.Sort(list)
			lines[i] = head + "(stores: [" + strings.Join(list, ", ") + "])"
		}
		for _, arrow := range []string{"--> ", "<-- "} {
			if head, names, ok := strings.Cut(line, arrow); ok {
				list := strings.Split(names, ", ")
				slices.Sort(list)
				lines[i] = head + arrow + strings.Join(list, ", ")
			}
		}
	}
	return strings.Join(lines, "\n")
}

// internalTopics returns the full names of a topology's internal topics, sorted.
func internalTopics(top *topology.Topology) []string {
	var names []string
	for _, s := range top.Stores {
		if s.Kind != state.KindGlobal && s.Logging {
			names = append(names, topology.ChangelogTopic("app", s.Name))
		}
	}
	for _, r := range top.Repartition {
		names = append(names, top.Internal("app", r.Topic()))
	}
	slices.Sort(names)
	return names
}

type lines = stream.KStream[string, string]

func from(b *stream.Builder, topic string, opts ...stream.SourceOption[string, string]) lines {
	return stream.From(b, topic, serde.String, serde.String, opts...)
}

func value(_, v string) string   { return v }
func later(_, v string) string   { return v }
func always(string, string) bool { return true }
func never(string, string) bool  { return false }

var (
	grouped = stream.GroupedWith(serde.String, serde.String)
	counts  = stream.Materialized("", serde.Int64)
)

func toText(s lines, topic string) { s.To(topic, serde.String, serde.String) }
func toCounts(s stream.KTable[string, int64], topic string) {
	s.ToStream().To(topic, serde.String, serde.Int64)
}

func namesCountDefault(b *stream.Builder) {
	s := from(b, "in")
	toCounts(s.GroupByKey().Count(counts), "out1")
	toCounts(stream.GroupBy(s, value, grouped).Count(counts), "out2")
	toText(stream.SelectKey(s, value).GroupByKey(grouped).Reduce(later, stream.Materialized("", serde.String)).ToStream(), "out3")
}

func namesCountGrouped(b *stream.Builder) {
	s := from(b, "in")
	toCounts(stream.GroupBy(s, value, grouped.Named("g1")).Count(counts), "out1")
	toCounts(stream.GroupBy(s, value, grouped.Named("g2")).Count(stream.Materialized("c2", serde.Int64)), "out2")
	stream.GroupBy(s, value, grouped.Named("g3")).Count(counts, stream.Named("n3")).
		ToStream(stream.Named("n-to-stream")).To("out3", serde.String, serde.Int64)
	keep := func(_, _, a string) string { return a }
	toText(stream.Aggregate(s.GroupByKey(), func() string { return "" }, keep,
		stream.Materialized("c4", serde.String), stream.Named("n4")).ToStream(), "out4")
}

func namesCountStore(b *stream.Builder) {
	s := from(b, "in")
	toCounts(s.GroupByKey().Count(stream.Materialized("c1", serde.Int64)), "out1")
	toCounts(stream.GroupBy(s, value, grouped).Count(stream.Materialized("c2", serde.Int64)), "out2")
	toText(stream.MapValues(s, strings.Clone), "out3")
}

func namesGlobalTable(b *stream.Builder) {
	l := from(b, "l")
	g1 := stream.GlobalTable(b, "g1", serde.String, serde.String)
	toText(stream.JoinGlobal(l, g1, value, later), "out1")
	g2 := stream.GlobalTable(b, "g2", serde.String, serde.String, stream.StoreNamed("gs"))
	toText(stream.LeftJoinGlobal(l, g2, value, func(v string, row serde.Maybe[string]) string { return v + row.Or("") }, stream.Named("n-join")), "out2")
}

type idle struct{}

func (idle) Init(*topology.Context[string, string]) error  { return nil }
func (idle) Process(topology.Record[string, string]) error { return nil }
func (idle) Close() error                                  { return nil }

type idleValues struct{ idle }

func (idleValues) Init(*stream.ValueContext[string, string]) error { return nil }

func namesProcess(b *stream.Builder) {
	kv := stream.AddStore[*state.KeyValue[string, string]](b, state.KeyValueSpec("kv", serde.String, serde.String))
	s := from(b, "in")
	newIdle := func() idle { return idle{} }
	first := stream.Process(s, newIdle, stream.Stores(kv))
	toText(stream.Process(first, newIdle, stream.Named("n-process"), stream.Stores(kv)), "out")
	toText(stream.ProcessValues(s, func() idleValues { return idleValues{} }), "out2")
}

func namesStateless(b *stream.Builder) {
	s := from(b, "in")
	pair := func(k, v string) (string, string) { return k, v }
	s2 := stream.Map(s.Filter(always).FilterNot(never), pair)
	s3 := stream.FlatMap(stream.MapValues(s2, strings.Clone), func(k, v string, emit func(string, string)) { emit(k, v) })
	s4 := stream.FlatMapValues(s3, func(v string, emit func(string)) { emit(v) })
	toText(stream.SelectKey(s4, value).Peek(func(string, string) {}), "out")
	s.Foreach(func(string, string) {})
	toText(s.Merge(from(b, "in2")), "out2")
	split := s.Split()
	toText(split.Branch(always), "b1")
	toText(split.Branch(always), "b2")
	toText(split.Default(), "b3")
	s.Foreach(func(string, string) {}, stream.Named("KSTREAM-PRINTER-0000000021")) // print, which Millrace does not have
}

func namesStatelessNamed(b *stream.Builder) {
	s := from(b, "in", stream.SourceNamed[string, string]("src"))
	pair := func(k, v string) (string, string) { return k, v }
	s2 := stream.Map(s.Filter(always, stream.Named("n-filter")).FilterNot(never, stream.Named("n-filter-not")), pair, stream.Named("n-map"))
	s3 := stream.FlatMap(stream.MapValues(s2, strings.Clone, stream.Named("n-map-values")),
		func(k, v string, emit func(string, string)) { emit(k, v) }, stream.Named("n-flat-map"))
	s4 := stream.FlatMapValues(s3, func(v string, emit func(string)) { emit(v) }, stream.Named("n-flat-map-values"))
	s5 := stream.SelectKey(s4, value, stream.Named("n-select-key")).Peek(func(string, string) {}, stream.Named("n-peek"))
	s5.To("out", serde.String, serde.String, stream.Named("n-sink"))
	s.Foreach(func(string, string) {}, stream.Named("n-foreach"))
	toText(s.Merge(from(b, "in2"), stream.Named("n-merge")), "out2")
	split := s.Split(stream.Named("n-split-"))
	toText(split.Branch(always, stream.Named("one")), "b1")
	toText(split.Branch(always), "b2")
	toText(split.Default(stream.Named("rest")), "b3")
	toText(stream.MapValues(s, strings.Clone), "out3")
}
