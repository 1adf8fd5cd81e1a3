package topology_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/topology"
)

// edges and shared stores connect, a repartition topic cuts; numbers follow the sources' names, global tables counted (P-26).
func TestSubtopologies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, script, want string }{
		{"one chain", `
			source s in
			node n < s
			sink k out < n`,
			"0: s n k | in -> out | stores [] globals []"},
		{"two chains, in the order of their sources", `
			source s2 a
			sink k2 out < s2
			source s1 b
			sink k1 out < s1`,
			"0: s2 k2 | a -> out | stores [] globals []\n1: s1 k1 | b -> out | stores [] globals []"},
		{"a shared store connects", `
			store st
			source s1 a
			source s2 b
			node n1 st < s1
			node n2 st < s2`,
			"0: s1 s2 n1 n2 | a,b -> | stores [st] globals []"},
		{"a global table connects nothing, and takes a number", `
			source s1 a
			global g s2-global table gs
			source s3 b
			node n1 gs < s1
			node n3 gs < s3`,
			"0: s1 n1 | a -> | stores [] globals [gs]\n2: s3 n3 | b -> | stores [] globals [gs]"},
		{"a repartition topic cuts", `
			repartition r
			store st
			source s1 in
			sink k1 r-repartition < s1
			source s2 r-repartition
			node n2 st < s2`,
			"0: s1 k1 | in -> r-repartition | stores [] globals []\n1: s2 n2 | r-repartition -> | stores [st] globals []"},
		{"a repartition topic inside one", `
			repartition r
			store st
			source s1 in
			sink k1 r-repartition < s1
			source s2 r-repartition
			node n2 st < s2
			node n1 st < s1`,
			"0: s1 k1 s2 n2 n1 | in,r-repartition -> r-repartition | stores [st] globals []"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			top := plan(t, c.script)
			var got []string
			for _, s := range top.Subtopologies() {
				var names []string
				for _, id := range s.Nodes {
					names = append(names, top.Nodes[id].Name)
				}
				got = append(got, strings.TrimSpace(fmt.Sprintf("%d: %s | %s -> %s", s.Number, strings.Join(names, " "),
					strings.Join(s.Sources, ","), strings.Join(s.Sinks, ",")))+fmt.Sprintf(" | stores %v globals %v", s.Stores, s.Globals))
				if again, ok := top.Subtopology(s.Number); !ok || len(again.Nodes) != len(s.Nodes) {
					t.Errorf("Subtopology(%d) = %v, %v", s.Number, again, ok)
				}
			}
			if strings.Join(got, "\n") != c.want {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), c.want)
			}
			if _, ok := top.Subtopology(99); ok {
				t.Error("Subtopology(99) was found")
			}
		})
	}
}

func TestTopologicalOrder(t *testing.T) {
	t.Parallel()
	// A child that was added before its other parent, and one with the same parent on two ports.
	b := topology.NewBuilder()
	src := b.Add(topology.NewSource("s", []string{"in"}, text{}, text{}))
	late := b.Add(strand("late"))
	first := b.Add(strand("first"))
	join := strand("join")
	join.In = append(join.In, join.In[0])
	both := b.Add(join)
	b.Connect(src, first, 0)
	b.Connect(first, late, 0)
	b.Connect(late, both, 0)
	b.Connect(late, both, 1)
	top, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(top.Subtopologies()[0].Nodes); got != "[0 2 1 3]" {
		t.Errorf("order %s", got)
	}
}

func TestTaskID(t *testing.T) {
	t.Parallel()
	id := topology.TaskID{Subtopology: 10, Partition: 3}
	back, err := topology.ParseTaskID(id.String())
	if id.String() != "10_3" || back != id || err != nil {
		t.Errorf("%s, %v, %v", id, back, err)
	}
	for _, bad := range []string{"", "1", "1_", "_1", "1_2_3", "-1_2", "1_-2", "a_b", "1_99999999999"} {
		if _, err := topology.ParseTaskID(bad); err == nil {
			t.Errorf("ParseTaskID(%q) succeeded", bad)
		}
	}
	if id.Compare(topology.TaskID{Subtopology: 9, Partition: 9}) <= 0 || id.Compare(topology.TaskID{Subtopology: 10, Partition: 4}) >= 0 || id.Compare(id) != 0 {
		t.Error("Compare does not order by sub-topology, then partition")
	}
}
