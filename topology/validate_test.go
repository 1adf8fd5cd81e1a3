package topology_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// unlined returns a message without the lines of the program, which is this package's test.
func unlined(err error) string { return sourceLine.ReplaceAllString(err.Error(), "") }

var sourceLine = regexp.MustCompile(`topology/\w+_test\.go:\d+: `)

// Every fault is reported, each naming what it is about.
func TestValidate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, script string
		spoil        func(*topology.Topology)
		want         string
	}{
		{"empty", "", nil, "the topology has no source: it would do nothing"},
		{"two nodes of one name", "source s a\nnode n < s\nnode n < s", nil,
			"node n: the name is taken; give one of the two another"},
		{"a global table's node of another's name", "source s a\nglobal g s b st\nglobal h g c other", nil,
			lines("node s of the global table over topic b: the name is taken; give one of the two another",
				"node g of the global table over topic c: the name is taken; give one of the two another")},
		{"a source below, a sink above", "source s a\nsink k out < s", func(top *topology.Topology) {
			s, k := top.Nodes[0], top.Nodes[1]
			s.Kind, k.Kind, s.Topic, k.Topics = topology.KindSink, topology.KindSource, "out", []string{"a"}
			s.Topics = nil
		}, lines("sink s has children", "node s takes no input and is no source", "source k has parents")},
		{"no name", "source s a", func(top *topology.Topology) { top.Nodes[0].Name = "" }, "node 0 has no name"},
		{"nil node", "source s a", func(top *topology.Topology) { top.Nodes[0] = nil }, "node 0 is nil"},
		{"wrong id", "source s a", func(top *topology.Topology) { top.Nodes[0].ID = 3 }, "node s has id 3, but is number 0"},
		{"no such parent", "source s a\nnode n < s", func(top *topology.Topology) { top.Nodes[1].Parents[0] = 9 },
			"node n: no node has the id 9"},
		{"ports", "source s a\nnode n < s", func(top *topology.Topology) { top.Nodes[1].Ports = nil },
			"node n has 1 parents, but says the ports of 0"},
		{"no such port", "source s a\nnode n < s", func(top *topology.Topology) { top.Nodes[1].Ports[0] = 1 },
			lines("node n: no parent feeds its input 0", "node n: parent s feeds its input 1, it has 1")},
		{"one-sided edges", "source s a\nnode n < s", func(top *topology.Topology) { top.Nodes[0].Children = []topology.NodeID{0} },
			lines("node s has the child s, which does not have it as a parent",
				"node n has the parent s, which does not have it as a child")},
		{"edges of two types", "source s a\nnode n < s", func(top *topology.Topology) { top.Nodes[0].Out = topology.EdgeOf[string, []byte]() },
			"node n takes Record[string, string], but its parent s emits Record[string, []uint8]"},
		{"nothing built", "source s a", func(top *topology.Topology) { top.Nodes[0].Build, top.Nodes[0].Fan = nil, nil },
			lines("node s: Build is nil", "node s emits Record[string, string], but Fan is nil")},
		{"a cycle", "source s a\nnode m < s\nnode n < m", func(top *topology.Topology) {
			m, n := top.Nodes[1], top.Nodes[2]
			n.Children = append(n.Children, m.ID)
			m.Parents, m.Ports = append(m.Parents, n.ID), append(m.Ports, 0)
		}, lines("node m is on a cycle, or below one; send records back through a topic",
			"node n is on a cycle, or below one; send records back through a topic")},
		{"no topics", "source s a\nsink k out < s", func(top *topology.Topology) { top.Nodes[0].Topics, top.Nodes[1].Topic = nil, "" },
			lines("source s reads no topic", "sink k writes no topic")},
		{"a topic without a name", "source s a", func(top *topology.Topology) { top.Nodes[0].Topics[0] = "" },
			"source s reads a topic without a name"},
		{"no parents", "source s a\nnode n", nil, "node n: no parent feeds its input 0"},
		{"no input", "source s a\nnode n", func(top *topology.Topology) { top.Nodes[1].In = nil },
			"node n takes no input and is no source"},
		{"a topic read twice", "source s1 a\nsource s2 b,a\nglobal g gs a st", nil,
			lines("topic a is read by s1 and by s2; read it once and give both the same source",
				"topic a is read by s1 and by g; read it once and give both the same source")},
		{"stores", "source s a\nnode n unknown < s\nstore unused\nstore unused\nstore bad/name", nil,
			lines("store unused is declared twice",
				`store "bad/name": the name may only hold letters, digits, '.', '_' and '-', since it becomes part of a topic's`,
				"node n uses the store unknown, which is not declared",
				"store unused: no node uses it", "store unused: no node uses it", "store bad/name: no node uses it")},
		{"offset resets", "source s a\nrepartition q\nsink k q-repartition < s\nsource s1 q-repartition\nsource s2 b\nnode n st < s2\nstore st", func(top *topology.Topology) {
			top.Nodes[0].Reset = topology.Ago(-time.Hour)
			top.Nodes[2].Reset, top.Nodes[3].Reset = topology.Latest(), topology.Ago(time.Hour)
			top.Stores[0].SourceTopic = "b"
		}, lines("source s begins at records of -1h0m0s ago, which is in the future",
			"source s1 reads a repartition topic, of which nothing is to be left out: its offset reset is latest, want earliest",
			"source s2: store st is restored from all of topic b, so that it must be read from its start: its offset reset is by_duration:1h0m0s, want earliest",
			"store st cannot have the topic b for a changelog: it must be a logged key-value store that says what its records make of its rows")},
		{"a store of a topic that nobody reads", "source s a\nnode n st < s\nstore st", func(top *topology.Topology) {
			top.Stores[0].SourceTopic = "b"
			top.Stores[0].Row = func(key, value []byte, _ int64) (k, v []byte, ok bool) { return key, value, true }
		}, "store st has the topic b for a changelog, which no source reads"},
		{"stores that keep no headers", "source s a\nnode n st < s\nstore st", func(top *topology.Topology) {
			top.Stores[0].KeepsHeaders, top.Stores[0].Kind = true, state.KindVersioned
		}, "store st: a versioned store keeps no headers; leave state.KeepHeaders out"},
		{"broken stores", "source s a\nnode n st < s\nstore st", func(top *topology.Topology) {
			top.Stores[0].Open = nil
			top.Stores = append(top.Stores, nil)
		}, lines("store st: Open is nil", "a store is nil")},
		{"long and empty names", "source s a\nnode n st < s\nstore st", func(top *topology.Topology) {
			top.Stores[0].Name = strings.Repeat("x", 201)
			top.Nodes[1].Stores[0] = top.Stores[0].Name
			top.Stores = append(top.Stores, &state.Spec{Open: top.Stores[0].Open})
		}, lines("store "+strings.Repeat("x", 201)+": the name is longer than 200 bytes", "a store has no name", "store : no node uses it")},
		{"global tables", "source s a\nglobal g1 x t1 st\nglobal g2 y t2 other", func(top *topology.Topology) {
			top.Globals[1].Store = "st"
			top.Globals = append(top.Globals, topology.GlobalTable{Name: "g3", Topic: "t3", Store: "none"})
			top.Stores[0].Kind = state.KindKeyValue
		}, lines("store st of a global table has another kind",
			"store other is a global table's, but no global table fills it",
			"store st: no node uses it",
			"store st is filled by the global tables g1 and g2",
			"global table g3: its store none is not declared")},
		{"repartition topics", "source s a\nrepartition r\nrepartition r\nrepartition q\nsink k q-repartition < s", func(top *topology.Topology) {
			top.Repartition[2].Partitions = -1
		}, lines("repartition topic r: no sink writes r-repartition", "repartition topic r: no source reads r-repartition",
			"repartition topic r is declared twice",
			"repartition topic r: no sink writes r-repartition", "repartition topic r: no source reads r-repartition",
			"repartition topic q: -1 partitions", "repartition topic q: no source reads q-repartition")},
		{"co-partitioned", `
			repartition q 2
			repartition r 3
			source s a
			sink k1 q-repartition < s
			sink k2 r-repartition < s
			source s1 q-repartition
			source s2 r-repartition
			together q-repartition r-repartition
			together a nobody`, nil,
			lines("topics q-repartition and r-repartition are joined, so they need one number of partitions, not 2 and 3",
				"co-partitioned topic nobody: no source reads it")},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			top, err := tryPlan(t, c.script)
			if c.spoil != nil {
				c.spoil(top)
				err = top.Validate()
			}
			if err == nil || unlined(err) != c.want {
				t.Errorf("got\n%v\nwant\n%s", err, c.want)
			}
		})
	}
}
