package plan

import (
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/topology"
)

// step is a node that does nothing, from and to Record[string, V].
func step[V any](name string) *topology.Node {
	n := &topology.Node{Name: name, Out: topology.EdgeOf[string, V](), Fan: topology.Fan[string, V]}
	n.In = []topology.Edge{n.Out}
	n.Build = func(topology.Scope, any) (topology.Instance, error) { return topology.Instance{}, nil }
	return n
}

func source[V any](name, topic string) *topology.Node {
	n := step[V](name)
	n.Kind, n.In, n.Topics = topology.KindSource, nil, []string{topic}
	return n
}

func sink[V any](name, topic string) *topology.Node {
	n := step[V](name)
	n.Kind, n.Out, n.Topic = topology.KindSink, topology.Edge{}, topic
	return n
}

func via(name string) Via {
	r := topology.RepartitionTopic{Name: name}
	return Via{
		Topic: r, Filter: step[string](name + "-filter"),
		Sink: sink[string](name+"-sink", r.Topic()), Source: source[string](name+"-source", r.Topic()),
	}
}

// TestLower: a repartition becomes filter, sink and source in its place; the order of all other nodes and children stays.
func TestLower(t *testing.T) {
	t.Parallel()
	g := New()
	in := g.AddSource(source[string]("in", "t"))
	first := g.Add(step[string]("first"), in)
	re := g.AddRepartition(via("re"), in)
	last := g.Add(step[string]("last"), in)
	below := g.Add(step[string]("below"), re)
	g.Add(step[string]("both"), below, re)
	g.Add(sink[string]("out", "o"), first)
	g.Add(sink[string]("out2", "o2"), last)
	top, err := g.Topology()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range top.Nodes {
		var children []string
		for _, c := range n.Children {
			children = append(children, top.Nodes[c].Name)
		}
		got = append(got, n.Name+" > "+strings.Join(children, " "))
	}
	want := []string{
		"in > first re-filter last", "first > out", "re-filter > re-sink", "re-sink > ", "re-source > below both",
		"last > out2", "below > both", "both > ", "out > ", "out2 > ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("nodes\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(top.Repartition) != 1 || top.Repartition[0].Topic() != "re-repartition" {
		t.Errorf("repartition topics %v", top.Repartition)
	}
}

// TestEdges: an edge between different types is found before and after rewrites (N3).
func TestEdges(t *testing.T) {
	t.Parallel()
	g := New()
	in := g.AddSource(source[string]("in", "t"))
	g.Add(step[int64]("numbers"), in)
	_, err := g.Topology()
	if want := "node numbers: it takes Record[string, int64], its parent in gives Record[string, string]"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
}

// TestOrder: a parent that comes after its child, or from elsewhere, is found (N2).
func TestOrder(t *testing.T) {
	t.Parallel()
	g := New()
	in := g.AddSource(source[string]("in", "t"))
	g.Add(step[string]("n"), New().AddSource(source[string]("other", "t")))
	g.Add(step[string]("m"), in)
	if _, err := g.Topology(); err == nil || !strings.Contains(err.Error(), "node n: its parent belongs to another builder") {
		t.Errorf("error %v", err)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	g := New()
	got := []string{
		g.Name("", Source), g.Name("mine", Filter), g.StoreName("", Aggregate), g.StoreName("store", Aggregate),
		g.NameUnburned("process", Process), g.Name("", Sink),
	}
	want := []string{
		"KSTREAM-SOURCE-0000000000", "mine", "KSTREAM-AGGREGATE-STATE-STORE-0000000002", "store", "process", "KSTREAM-SINK-0000000003",
	}
	if !slices.Equal(got, want) {
		t.Errorf("names %q, want %q", got, want)
	}
}

// TestLegal: names are what topics may be called (D-150).
func TestLegal(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a", "A-1_b.c", "...", strings.Repeat("x", 249)} {
		if err := Legal(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", ".", "..", "a b", "a/b", "é", "\xff", strings.Repeat("x", 250)} {
		if Legal(name) == nil {
			t.Errorf("%q is legal", name)
		}
	}
}
