package stream_test

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/topology"
)

// naming is a recorded topology that is only described.
type naming struct {
	build   func(*stream.Builder)
	options []stream.BuilderOption
}

// namings are the programs of all naming- cases.
var namings = map[string]naming{
	"naming-cogroup":             {build: namesCogroup},
	"naming-count-default":       {build: namesCountDefault},
	"naming-count-grouped-named": {build: namesCountGrouped},
	"naming-count-store-named":   {build: namesCountStore},
	"naming-explicit-forced": {
		build:   func(b *stream.Builder) { toCounts(stream.GroupBy(from(b, "in"), value, grouped).Count(counts), "out") },
		options: []stream.BuilderOption{stream.ExplicitNames()},
	},
	"naming-fk-join":                     {build: namesForeignJoin},
	"naming-global-table":                {build: namesGlobalTable},
	"naming-merge-repartition":           {build: namesMergeRepartition},
	"naming-merge-repartition-optimized": {build: namesMergeRepartition, options: []stream.BuilderOption{stream.Optimized()}},
	"naming-process":                     {build: namesProcess},
	"naming-repartition":                 {build: namesRepartition},
	"naming-self-join-optimized":         {build: namesSelfJoin, options: []stream.BuilderOption{stream.Optimized()}},
	"naming-stateless-default":           {build: namesStateless},
	"naming-stateless-named":             {build: namesStatelessNamed},
	"naming-stream-join-default":         {build: namesStreamJoins},
	"naming-stream-join-named":           {build: namesStreamJoinsNamed},
	"naming-stream-table-join":           {build: namesStreamTableJoin},
	"naming-table-default":               {build: namesTable},
	"naming-table-source-optimized":      {build: namesTableSource, options: []stream.BuilderOption{stream.Optimized()}},
	"naming-table-join":                  {build: namesTableJoin},
	"naming-table-named":                 {build: namesTableNamed},
	"naming-windows-default":             {build: namesWindows},
	"naming-windows-named":               {build: namesWindowsNamed},
}

// compareNaming builds the program of a naming- case and compares its names, or the error that refuses them.
func compareNaming(t testing.TB, v vector) {
	t.Helper()
	program, ok := namings[v.Case]
	if !ok {
		t.Errorf("no program stands for case %s", v.Case)
		return
	}
	b := stream.NewBuilder(program.options...)
	program.build(b)
	top, err := b.Topology()
	if v.Error != nil {
		compareRefusal(t, err, v.Message)
		return
	}
	if err != nil {
		t.Errorf("case %s: %v", v.Case, err)
		return
	}
	compareDescription(t, top, v)
}

// compareRefusal checks that a program is refused for each of the names that Kafka Streams lists in its message.
func compareRefusal(t testing.TB, err error, message string) {
	t.Helper()
	if err == nil {
		t.Errorf("the program is built; Kafka Streams says: %s", message)
		return
	}
	for line := range strings.Lines(strings.TrimSpace(message)) {
		_, names, _ := strings.Cut(strings.TrimPrefix(line, "Invalid topology: "), ": ")
		for name := range strings.SplitSeq(strings.TrimSpace(names), ", ") {
			if name = strings.TrimSuffix(name, "-changelog"); name == "" || !strings.Contains(err.Error(), name) {
				t.Errorf("%v\ndoes not name %q of Kafka Streams' message: %s", err, name, message)
			}
		}
	}
}

func compareDescription(t testing.TB, top *topology.Topology, v vector) {
	t.Helper()
	if got, want := sortedNames(top.Describe()), sortedNames(v.Describe); got != want {
		t.Errorf("description:\n%s\nKafka Streams has:\n%s", got, want)
	}
	var want []string
	for _, topic := range v.Internal {
		if topic.Kind == "source topic used as changelog" {
			topic.Config = nil // it is its owner's: nothing is asked of it
		}
		want = append(want, showTopic(topic.Topic, topic.Partitions, topic.Config))
	}
	slices.Sort(want)
	if got := internalTopics(t, top); !slices.Equal(got, want) {
		t.Errorf("internal topics:\n%s\nKafka Streams has:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// showTopic returns an internal topic with its settings as text.
func showTopic(name string, partitions int32, settings map[string]string) string {
	s := name
	if partitions > 0 {
		s += fmt.Sprintf(" partitions=%d", partitions)
	}
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		if key != "message.timestamp.after.max.ms" { // ours alone: event times may lie in the future
			s += fmt.Sprintf(" %s=%s", key, settings[key])
		}
	}
	return s
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

// internalTopics returns a topology's internal topics with their settings, and with partition counts that the program gives, sorted.
func internalTopics(t testing.TB, top *topology.Topology) []string {
	t.Helper()
	users := map[string]int32{}
	for _, topic := range top.UserTopics() {
		users[topic] = 1
	}
	p, err := top.Partition(users)
	if err != nil {
		p = topology.Partitions{} // a fixed count does not fit what it is joined with: the names do not depend on it
	}
	given := map[string]int32{}
	for _, r := range top.Repartition {
		given[top.Internal("app", r.Topic())] = r.Partitions
	}
	var list []string
	for _, topic := range top.InternalTopics("app", p) {
		list = append(list, showTopic(topic.Name, given[topic.Name], topic.Settings))
	}
	for _, s := range top.Stores {
		if s.SourceTopic != "" {
			list = append(list, top.LogOf("app", s))
		}
	}
	slices.Sort(list)
	return list
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
	toCounts(stream.GroupByKey(s).Count(counts), "out1")
	toCounts(stream.GroupBy(s, value, grouped).Count(counts), "out2")
	toText(stream.GroupByKey(stream.SelectKey(s, value), grouped).Reduce(later, stream.Materialized("", serde.String)).ToStream(), "out3")
}

func namesCountGrouped(b *stream.Builder) {
	s := from(b, "in")
	toCounts(stream.GroupBy(s, value, grouped.Named("g1")).Count(counts), "out1")
	toCounts(stream.GroupBy(s, value, grouped.Named("g2")).Count(stream.Materialized("c2", serde.Int64)), "out2")
	stream.GroupBy(s, value, grouped.Named("g3")).Count(counts, stream.Named("n3")).
		ToStream(stream.Named("n-to-stream")).To("out3", serde.String, serde.Int64)
	keep := func(_, _, a string) string { return a }
	toText(stream.Aggregate(stream.GroupByKey(s), func() string { return "" }, keep,
		stream.Materialized("c4", serde.String), stream.Named("n4")).ToStream(), "out4")
}

func namesCountStore(b *stream.Builder) {
	s := from(b, "in")
	toCounts(stream.GroupByKey(s).Count(stream.Materialized("c1", serde.Int64)), "out1")
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
	s.Print(io.Discard)
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
