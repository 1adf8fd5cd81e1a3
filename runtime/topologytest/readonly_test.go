package topologytest_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/millrace-io/millrace/runtime/topologytest"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// greeter greets whoever it finds in a read-only store.
type greeter struct {
	names topology.ReadOnlyStore[string, *string]
	rows  state.ReadOnly[string, *string]
	ctx   *topology.Context[string, string]
}

func (g *greeter) Init(ctx *topology.Context[string, string]) (err error) {
	g.ctx = ctx
	g.rows, err = g.names.In(ctx)
	return err
}

func (g *greeter) Process(r topology.Record[string, string]) error {
	name, t, ok, err := g.rows.Get(r.Key)
	if err != nil {
		return err
	}
	n := 0
	for _, err := range g.rows.Range(serde.None[string](), serde.None[string]()) {
		if err != nil {
			return err
		}
		n++
	}
	for row, err := range g.rows.RangeBackward(serde.None[string](), serde.None[string]()) {
		if err != nil || row.Value == nil {
			return fmt.Errorf("row %v: %w", row, err)
		}
		n++
	}
	greeting := fmt.Sprintf("%s nobody of %d", r.Value, n/2)
	if ok {
		greeting = fmt.Sprintf("%s %s of %d, since %d", r.Value, *name, n/2, t)
	}
	g.ctx.Forward(topology.NewRecord(r.Key, greeting, r.Timestamp))
	return nil
}

func (g *greeter) Close() error { return nil }

func greeterTopology(t *testing.T) *topology.Topology {
	t.Helper()
	b := topology.NewBuilder()
	names := topology.AddReadOnlyStore(b, "names", "people", serde.String, serde.Nullable(serde.String))
	visits := topology.AddSource(b, "visits", "visits", serde.String, serde.String)
	greetings := topology.AddProcessor(b, "greet", func() *greeter { return &greeter{names: names} }, visits, names)
	topology.AddSink(b, "greetings", "greetings", serde.String, serde.String, greetings)
	return build(t, b)
}

// TestReadOnlyStore: a topic fills a store that processors of the same task read, partition by partition; nothing is written to a changelog (D-05).
func TestReadOnlyStore(t *testing.T) {
	t.Parallel()
	top := greeterTopology(t)
	if subs := top.Subtopologies(); len(subs) != 1 || !slices.Equal(subs[0].Sources, []string{"people", "visits"}) {
		t.Fatalf("sub-topologies %v", subs)
	}
	d := topologytest.New(t, top, topologytest.Partitions(2))
	people := topologytest.NewInput(d, "people", serde.String, serde.Nullable(serde.String))
	visits := topologytest.NewInput(d, "visits", serde.String, serde.String)
	out := topologytest.NewOutput(d, "greetings", serde.String, serde.String)
	ann, bob, other := "Ann", "Bob", "b"
	for topology.PartitionOf([]byte(other), 2) == topology.PartitionOf([]byte("a"), 2) {
		other += "b"
	}
	visits.PipeAt("a", "hello", 1)
	people.PipeAt("a", &ann, 2)
	people.PipeAt(other, &bob, 3)
	visits.PipeAt("a", "hello", 4)
	visits.PipeAt(other, "hi", 4)
	people.PipeRecord(topology.Tombstone[string, *string]("a", 5))
	visits.PipeAt("a", "bye", 6)
	if err := d.TryPipeRaw("people", topology.Raw{Value: []byte("nameless")}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range out.ReadAll() {
		got = append(got, r.Value)
	}
	want := []string{"hello nobody of 0", "hello Ann of 1, since 2", "hi Bob of 1, since 3", "bye nobody of 0"}
	if !slices.Equal(got, want) {
		t.Errorf("greetings %q, want %q", got, want)
	}
	if got := d.Drops(); len(got) != 1 || got[0] != (topologytest.Drop{Node: "names", Reason: topology.ReasonNullKey, Count: 1}) {
		t.Errorf("drops %v", got)
	}
	if topics := d.Topics(); !slices.Equal(topics, []string{"greetings", "people", "visits"}) {
		t.Errorf("topics %q", topics)
	}
}

// TestRowsOfReadOnlyStore: what a restore makes of a record of the topic is what processing makes of it (D-05).
func TestRowsOfReadOnlyStore(t *testing.T) {
	t.Parallel()
	top := greeterTopology(t)
	row := top.Stores[0].Row
	for _, c := range []struct {
		key, value []byte
		time       int64
		want       string
	}{
		{[]byte("a"), []byte("Ann"), 1, "a=Ann true"},
		{[]byte("a"), nil, 1, "a=null true"},
		{nil, []byte("Ann"), 1, "null=null false"},
		{[]byte("a"), []byte("Ann"), -1, "null=null false"},
	} {
		k, v, ok := row(c.key, c.value, c.time)
		if got := fmt.Sprintf("%s=%s %v", orNull(k), orNull(v), ok); got != c.want {
			t.Errorf("%q=%q@%d is the row %s, want %s", c.key, c.value, c.time, got, c.want)
		}
	}
	if s := top.Stores[0]; s.SourceTopic != "people" || !s.Logging {
		t.Errorf("store %+v", s)
	}
}

func orNull(b []byte) string {
	if b == nil {
		return "null"
	}
	return string(b)
}
