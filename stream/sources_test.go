package stream_test

import (
	"bytes"
	"fmt"
	"regexp"
	goruntime "runtime"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/runtime/topologytest"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/topology"
)

// TestSharedSource: a topic that is read twice has one source, which feeds both streams; so have several topics, in any order.
func TestSharedSource(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	toText(from(b, "in"), "one")
	toText(from(b, "in"), "two")
	both := stream.FromTopics(b, []string{"a", "b"}, serde.String, serde.String)
	toText(both, "three")
	toText(stream.FromTopics(b, []string{"b", "a"}, serde.String, serde.String), "four")
	top, err := b.Topology()
	if err != nil {
		t.Fatal(err)
	}
	sources := 0
	for _, n := range top.Nodes {
		if n.Kind == topology.KindSource {
			sources++
		}
	}
	if sources != 2 || !strings.Contains(top.Describe(), "(topics: [a, b])") {
		t.Errorf("%d sources:\n%s", sources, top.Describe())
	}
	d := topologytest.New(t, top)
	for i, topic := range []string{"in", "a", "b"} {
		topologytest.NewInput(d, topic, serde.String, serde.String).PipeAt(topic, "v", int64(i))
	}
	for topic, want := range map[string]string{"one": "in=v @0\n", "two": "in=v @0\n", "three": "a=v @1\nb=v @2\n", "four": "a=v @1\nb=v @2\n"} {
		if got := topologytest.Render(topologytest.NewOutput(d, topic, serde.String, serde.String)); got != want {
			t.Errorf("%s has %q, want %q", topic, got, want)
		}
	}
}

// TestTopicsInOrderOfTime: several topics of one source are taken in the order of event time, and are joined as one (D-01, R-13).
func TestTopicsInOrderOfTime(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	all := stream.FromTopics(b, []string{"a", "b", "c"}, serde.String, serde.String)
	toCounts(stream.GroupByKey(all).Count(stream.Materialized("n", serde.Int64)), "out")
	top, err := b.Topology()
	if err != nil {
		t.Fatal(err)
	}
	d := topologytest.New(t, top, topologytest.Partitions(2), topologytest.Partitions(5, "b"))
	for i := range 30 {
		topic := string(rune('a' + i%3))
		topologytest.NewInput(d, topic, serde.String, serde.String).PipeAt(fmt.Sprint("k", i%2), "v", int64(i))
	}
	total := int64(0)
	for p := range int32(5) { // as many tasks as the largest topic has partitions
		for row, err := range topologytest.StoreAt[*state.KeyValue[string, int64]](d, "n", p).Range(serde.None[string](), serde.None[string]()) {
			if err != nil {
				t.Fatal(err)
			}
			total += row.Value
		}
	}
	if total != 30 {
		t.Errorf("%d records were counted, want 30", total)
	}
}

// TestFromPattern: all topics that match are one source, which is shared by streams of the same pattern (D-01, X-23), and can be joined.
func TestFromPattern(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	ins := stream.FromPattern(b, regexp.MustCompile("in-.*"), serde.String, serde.String)
	again := stream.FromPattern(b, regexp.MustCompile("in-.*"), serde.String, serde.String)
	toText(stream.JoinTable(ins, tableFrom(b, "t"), both), "joined")
	toText(again.Merge(from(b, "other")), "out")
	top, err := b.Topology()
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(top.Describe(), "(topics: in-.*)"); n != 1 {
		t.Errorf("%d sources:\n%s", n, top.Describe())
	}
	d := topologytest.New(t, top, topologytest.Topics("in-a", "in-b", "unrelated"), topologytest.Partitions(2))
	topologytest.NewInput(d, "t", serde.String, serde.String).PipeAt("k", "row", 0)
	for i, topic := range []string{"in-b", "in-a", "other"} {
		topologytest.NewInput(d, topic, serde.String, serde.String).PipeAt("k", topic, int64(i))
	}
	for topic, want := range map[string]string{
		"joined": "k=" + both("in-b", "row") + " @0\nk=" + both("in-a", "row") + " @1\n", "out": "k=in-b @0\nk=in-a @1\nk=other @2\n",
	} {
		if got := topologytest.Render(topologytest.NewOutput(d, topic, serde.String, serde.String)); got != want {
			t.Errorf("%s has %q, want %q", topic, got, want)
		}
	}
	b = stream.NewBuilder()
	stream.FromPattern(b, nil, serde.String, serde.String)
	if _, err := b.Topology(); err == nil || !strings.Contains(err.Error(), "the expression is nil") {
		t.Errorf("error %v", err)
	}
}

// TestPartitioners: a repartition topic and a foreign-key join's are partitioned as the program says (D-139).
func TestPartitioners(t *testing.T) {
	t.Parallel()
	const n = 4
	byLength := func(key string, partitions int32) int32 { return int32(len(key)) % partitions }
	b := stream.NewBuilder()
	partition := func(_ string, r *topology.Record[string, string], _ []byte, partitions int32) int32 {
		if r.Value == "drop" {
			return -2
		}
		return byLength(r.Key, partitions)
	}
	with := stream.RepartitionedWith(serde.String, serde.String).Named("r").PartitionBy(partition)
	toText(from(b, "in").Repartition(with), "out")
	joined := stream.JoinForeign(tableFrom(b, "l"), tableFrom(b, "r"), value, both, stream.Named("j"), stream.PartitionForeign(byLength))
	tableToText(joined, "joined")
	top, err := b.Topology()
	if err != nil {
		t.Fatal(err)
	}
	d := topologytest.New(t, top, topologytest.Partitions(n))
	in := topologytest.NewInput(d, "in", serde.String, serde.String)
	left := topologytest.NewInput(d, "l", serde.String, serde.String)
	for i := range 9 {
		key := strings.Repeat("k", i)
		in.PipeAt(key, "v", 1)
		raw := topology.Raw{Key: []byte(key), Value: []byte("row"), Timestamp: 1}
		if err := d.TryPipeRawTo("r", byLength(key, n), raw); err != nil { // as its owner partitions it
			t.Fatal(err)
		}
		left.PipeAt(fmt.Sprint("left", i), key, 1)
	}
	in.PipeAt("k", "drop", 1)
	for p := range int32(n) {
		for topic, records := range map[string][]topology.Raw{
			"repartition": d.RecordsOf("app-r-repartition", p), "subscriptions": d.RecordsOf("app-j-subscription-registration-topic", p),
		} {
			for _, r := range records {
				if want := byLength(string(r.Key), n); want != p {
					t.Errorf("%s: %q is in partition %d, want %d", topic, r.Key, p, want)
				}
			}
		}
	}
	if got := len(topologytest.NewOutput(d, "out", serde.String, serde.String).ReadAll()); got != 9 || d.Dropped() != 1 {
		t.Errorf("%d records came through, %d were dropped", got, d.Dropped())
	}
	results := topologytest.Latest(topologytest.NewOutput(d, "joined", serde.String, serde.String))
	if len(results) != 9 || results["left3"] != "kkkrow" {
		t.Errorf("joined %v", results)
	}
}

// TestMergedKeepsNullKeys: what hangs below a filter that comes to lie behind a merged repartition topic gets records without a key as
// before.
func TestMergedKeepsNullKeys(t *testing.T) {
	t.Parallel()
	for _, options := range [][]stream.BuilderOption{nil, {stream.Optimized()}} {
		b := stream.NewBuilder(options...)
		rekeyed := stream.SelectKey(from(b, "in"), func(k, v string) []byte {
			if v == "none" {
				return nil
			}
			return []byte(k)
		})
		kept := rekeyed.Filter(func([]byte, string) bool { return true })
		kept.To("all", serde.Bytes, serde.String)
		counts := stream.GroupByKey(kept, stream.GroupedWith(serde.Bytes, serde.String)).Count(stream.Materialized("n", serde.Int64))
		counts.ToStream().To("counts", serde.Bytes, serde.Int64)
		top, err := b.Topology()
		if err != nil {
			t.Fatal(err)
		}
		d := topologytest.New(t, top)
		in := topologytest.NewInput(d, "in", serde.String, serde.String)
		in.PipeAt("k", "v", 1)
		in.PipeAt("k", "none", 2)
		all := topologytest.NewOutput(d, "all", serde.Bytes, serde.String).ReadAll()
		rows := topologytest.NewOutput(d, "counts", serde.Bytes, serde.Int64).ReadAll()
		if len(all) != 2 || len(rows) != 1 {
			t.Errorf("%d options: %d records, %d counts, want 2 and 1", len(options), len(all), len(rows))
		}
	}
}

// TestUnmerged: a topic that ToTable is told how to partition is not merged with others, whose records lie elsewhere.
func TestUnmerged(t *testing.T) {
	t.Parallel()
	with := stream.RepartitionedWith(serde.String, serde.String)
	last := func(_ string, _ *topology.Record[string, string], _ []byte, n int32) int32 { return n - 1 }
	for what, told := range map[string]stream.Repartitioned[string, string]{"partitions": with.Partitions(7), "partitioner": with.PartitionBy(last)} {
		b := stream.NewBuilder(stream.Optimized())
		rekeyed := stream.SelectKey(from(b, "in"), value)
		toCounts(stream.GroupByKey(rekeyed, grouped).Count(stream.Materialized("n", serde.Int64)), "counts")
		tableToText(stream.ToTable(rekeyed, told.Named("told"), stream.Materialized("rows", serde.String)), "rows")
		top, err := b.Topology()
		if err != nil {
			t.Fatal(err)
		}
		if len(top.Repartition) != 2 {
			t.Errorf("%s: repartition topics %v, want two", what, top.Repartition)
		}
	}
}

// TestOffsetResetOfSources: a stream that is read again begins where it was said first; a table that does not begin at the start of its
// topic has a changelog of its own (D-09).
func TestOffsetResetOfSources(t *testing.T) {
	t.Parallel()
	latest := stream.OffsetReset[string, string](topology.Latest())
	b := stream.NewBuilder(stream.Optimized())
	from(b, "in", latest).To("out", serde.String, serde.String)
	from(b, "in").To("too", serde.String, serde.String)
	stream.Table(b, "whole", serde.String, serde.String, stream.Materialized("whole", serde.String))
	stream.Table(b, "news", serde.String, serde.String, stream.Materialized("news", serde.String), latest)
	top, err := b.Topology()
	if err != nil {
		t.Fatal(err)
	}
	for topic, want := range map[string]topology.OffsetReset{"in": topology.Latest(), "whole": topology.Earliest(), "news": topology.Latest()} {
		if got := top.OffsetReset(topic); got != want {
			t.Errorf("%s begins at %v, want %v", topic, got, want)
		}
	}
	for _, s := range top.Stores {
		if want := map[string]string{"whole": "whole", "news": ""}[s.Name]; s.SourceTopic != want {
			t.Errorf("store %s is restored from topic %q, want %q", s.Name, s.SourceTopic, want)
		}
	}

	b = stream.NewBuilder()
	from(b, "in").To("out", serde.String, serde.String)
	from(b, "in", latest).To("too", serde.String, serde.String)
	if _, err := b.Topology(); err == nil || !strings.Contains(err.Error(), "its topics are read already") {
		t.Errorf("one source that begins in two places: %v", err)
	}
}

// TestRowsOfSourceTopic: of a topic that stands for a changelog, what processing would leave out is no row.
func TestRowsOfSourceTopic(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder(stream.Optimized())
	stream.Table(b, "in", serde.Int64, serde.Int64, stream.Materialized("rows", serde.Int64))
	top, err := b.Topology()
	if err != nil {
		t.Fatal(err)
	}
	number, text := make([]byte, 8), []byte("text")
	spec := top.Stores[0]
	if spec.SourceTopic != "in" {
		t.Fatalf("restored from %q", spec.SourceTopic)
	}
	for _, c := range []struct {
		key, value []byte
		time       int64
		valid      bool
	}{
		{number, number, 0, true},
		{number, nil, 0, true},
		{nil, number, 0, false},
		{text, number, 0, false},
		{number, text, 0, false},
		{number, number, -1, false},
	} {
		key, value, ok := spec.Row(c.key, c.value, c.time)
		if ok != c.valid || ok && (!bytes.Equal(key, c.key) || !bytes.Equal(value, c.value) || (value == nil) != (c.value == nil)) {
			t.Errorf("%x = %x @%d: %x = %x, %v, want %v", c.key, c.value, c.time, key, value, ok, c.valid)
		}
	}
}

// TestNullRowsOfSourceTopic: what is nil when it is decoded is restored as it is processed: a value as a delete, a key not at all; and a row
// is found again whose key others have written in another way.
func TestNullRowsOfSourceTopic(t *testing.T) {
	t.Parallel()
	type name struct{ Name string }
	b := stream.NewBuilder(stream.Optimized())
	stream.Table(b, "in", serde.JSON[*name](), serde.JSON[*name](), stream.Materialized("rows", serde.JSON[*name]()))
	top, err := b.Topology()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ key, value, row, becomes string }{
		{`{"Name":"k"}`, `{"Name":"v"}`, `{"Name":"k"}`, `{"Name":"v"}`},
		{` {"name": "k"}`, `{"Name":"v"}`, `{"Name":"k"}`, `{"Name":"v"}`},
		{`{"Name":"k"}`, `null`, `{"Name":"k"}`, ""},
		{`null`, `{"Name":"v"}`, "", ""},
	} {
		key, value, ok := top.Stores[0].Row([]byte(c.key), []byte(c.value), 0)
		if ok != (c.row != "") || string(key) != c.row || string(value) != c.becomes || ok && (value == nil) != (c.becomes == "") {
			t.Errorf("%s = %s makes %s = %s, %v", c.key, c.value, key, value, ok)
		}
	}
}

// TestStoredRowsOfSourceTopic: a store whose values have another serde than the topic's is restored with values of its own; what is empty is
// there.
func TestStoredRowsOfSourceTopic(t *testing.T) {
	t.Parallel()
	quoted := serde.JSON[string]()
	b := stream.NewBuilder(stream.Optimized())
	stream.Table(b, "plain", serde.String, serde.String, stream.Materialized("quoted", quoted))
	stream.Table(b, "quoted", serde.String, quoted, stream.Materialized("plain", serde.String))
	top, err := b.Topology()
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct{ value, becomes string }{{"v", `"v"`}, {`""`, ""}} {
		key, value, ok := top.Stores[i].Row([]byte{}, []byte(c.value), 0)
		if !ok || key == nil || value == nil || len(key) > 0 || string(value) != c.becomes {
			t.Errorf("store %s: %s makes %q = %q (%v, %v), %v", top.Stores[i].Name, c.value, key, value, key == nil, value == nil, ok)
		}
	}
}

// TestFaultsOfSources: sources that overlap, or that read one topic in two ways, are refused.
func TestFaultsOfSources(t *testing.T) {
	t.Parallel()
	clock := stream.Timestamps(func(topology.Record[string, string], topology.Coordinates, int64) (int64, error) { return 0, nil })
	for want, program := range map[string]func(b *stream.Builder){
		`topic "b" is read by source KSTREAM-SOURCE-0000000000 already, as one of ["a" "b"]`: func(b *stream.Builder) {
			stream.FromTopics(b, []string{"a", "b"}, serde.String, serde.String)
			from(b, "b")
		},
		"topics [\"a\"] are read by source KSTREAM-SOURCE-0000000000 already, as Record[string, string] by": func(b *stream.Builder) {
			from(b, "a")
			stream.From(b, "a", serde.String, serde.Int64)
		},
		`topic "t" is read by source`:                  func(b *stream.Builder) { tableFrom(b, "t"); from(b, "t") },
		"give Timestamps and OffsetReset to the first": func(b *stream.Builder) { from(b, "a"); from(b, "a", clock) },
		"it is given no topics":                        func(b *stream.Builder) { stream.FromTopics(b, nil, serde.String, serde.String) },
		"PartitionForeign is given as": func(b *stream.Builder) {
			stream.JoinForeign(tableFrom(b, "l"), tableFrom(b, "r"), value, both, stream.PartitionForeign(func(int64, int32) int32 { return 0 }))
		},
	} {
		b := stream.NewBuilder()
		program(b)
		if _, err := b.Topology(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
}

// here returns the line that calls it, moved by some lines, as errors name it.
func here(by int) string {
	_, _, line, _ := goruntime.Caller(1)
	return fmt.Sprintf("stream/sources_test.go:%d: ", line+by)
}

// TestFaultsNameTheLine: all faults come at once, each with the line of the program that it is about.
func TestFaultsNameTheLine(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	first := here(1)
	s := stream.From(b, "in", serde.String, serde.String).Filter(nil)
	second := here(1)
	stream.GroupByKey(s).Count(stream.Materialized("c", serde.Int64).Retention(ten))
	third := here(2)
	s.Filter(always, stream.Named("f"))
	s.Filter(always, stream.Named("f"))
	fourth := here(2)
	stream.GroupByKey(s).Reduce(later, stream.Materialized("twice", serde.String))
	stream.GroupByKey(s).Reduce(later, stream.Materialized("twice", serde.String))
	_, err := b.Topology()
	for _, want := range []string{
		first + "node KSTREAM-FILTER-0000000001: the predicate is nil", second + "node KSTREAM-AGGREGATE-0000000002: Retention is for windows",
		third + "node f: the name is used twice", fourth + "store twice: the name is used twice",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
	byHand := topology.NewBuilder()
	in := topology.AddSource(byHand, "s", "in", serde.String, serde.String)
	fifth := here(1)
	topology.AddSink(byHand, "s", "out", serde.String, serde.String, in)
	if _, err := byHand.Build(); err == nil || !strings.Contains(err.Error(), fifth+"node s: the name is taken") {
		t.Errorf("%v\nwant %snode s: the name is taken", err, fifth)
	}
}
