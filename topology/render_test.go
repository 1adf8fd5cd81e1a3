package topology_test

import (
	"testing"

	"github.com/millrace-io/millrace/topology"
)

// TestRender compares the drawings of one small topology with what tools take.
func TestRender(t *testing.T) {
	t.Parallel()
	b := topology.NewBuilder()
	in := topology.AddSource(b, "read", "in", text{}, text{})
	topology.AddSink(b, "write", "out", text{}, text{}, in)
	topology.AddDynamicSink(b, "choose", func(*topology.Record[string, string], topology.Coordinates) string { return "x" }, text{}, text{}, in)
	top, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	dot := `digraph topology {
  rankdir=LR;
  node [shape=box];
  subgraph cluster_0 {
    label="Sub-topology: 0";
    "read";
    "write";
    "choose";
  }
  "topic:in" [label="in", shape=note];
  "topic:out" [label="out", shape=note];
  "topic:in" -> "read";
  "read" -> "write";
  "read" -> "choose";
  "write" -> "topic:out";
}
`
	if got := top.DOT(); got != dot {
		t.Errorf("DOT:\n%s\nwant:\n%s", got, dot)
	}
	mermaid := `flowchart LR
  subgraph s0 ["Sub-topology: 0"]
    n0["read"]
    n1["write"]
    n2["choose"]
  end
  n3>"in"]
  n4>"out"]
  n3 --> n0
  n0 --> n1
  n0 --> n2
  n1 --> n4
`
	if got := top.Mermaid(); got != mermaid {
		t.Errorf("Mermaid:\n%s\nwant:\n%s", got, mermaid)
	}
}

// TestChosenTopicsAndPartitions: a sink chooses the topic of each record, any number of partitions, and leaves the choice (D-11, D-12).
func TestChosenTopicsAndPartitions(t *testing.T) {
	t.Parallel()
	s := &stage{partitions: 4}
	choose := func(r *topology.Record[string, string], from topology.Coordinates) string {
		return from.Topic + "-" + r.Value
	}
	many := topology.WithMulticast(func(topic string, r *topology.Record[string, string], _ []byte, n int32, dst []int32) []int32 {
		if r.Value == "none" {
			return dst
		}
		return append(dst, n-1, 0)
	})
	write := sinkOf[string, string](t, s, topology.NewDynamicSink("k", choose, text{}, text{}, many))
	write(topology.NewRecord("a", "v", 1))
	write(topology.NewRecord("a", "none", 2))
	want := lines(`in-v-3 "a"="v"@1 []`, `in-v-0 "a"="v"@1 []`, `drop 0: no partition: <nil>`)
	if got := s.take(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	byKey := topology.WithPartitioner(func(string, *topology.Record[string, string], []byte, int32) int32 { return topology.ByKey })
	write = sinkOf[string, string](t, s, topology.NewSink("k", "out", text{}, text{}, byKey))
	write(topology.NewRecord("abc", "v", 9))
	s.partitions = 0
	write(topology.NewRecord("abc", "v", 9))
	if got, want := s.take(), lines(`out-3 "abc"="v"@9 []`, `fail 0: write to topic out: topic does not exist; create it before it is written`); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
