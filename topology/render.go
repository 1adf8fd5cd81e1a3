package topology

import (
	"fmt"
	"strconv"
	"strings"
)

// DOT returns the topology as a graph for Graphviz: one cluster for each sub-topology, stores as cylinders, topics as notes. It holds
// what Describe says, and is as stable.
func (t *Topology) DOT() string {
	var b strings.Builder
	b.WriteString("digraph topology {\n  rankdir=LR;\n  node [shape=box];\n")
	t.render(drawing{
		begin: func(number int32) {
			fmt.Fprintf(&b, "  subgraph cluster_%d {\n    label=\"Sub-topology: %d\";\n", number, number)
		},
		end:  func() { b.WriteString("  }\n") },
		node: func(name string) { fmt.Fprintf(&b, "    %s;\n", strconv.Quote(name)) },
		store: func(name string) {
			fmt.Fprintf(&b, "    %s [label=%s, shape=cylinder];\n", strconv.Quote("store:"+name), strconv.Quote(name))
		},
		topic: func(name string) {
			fmt.Fprintf(&b, "  %s [label=%s, shape=note];\n", strconv.Quote("topic:"+name), strconv.Quote(name))
		},
		edge: func(from, to string, uses bool) {
			style := ""
			if uses {
				style = " [style=dashed, dir=none]"
			}
			fmt.Fprintf(&b, "  %s -> %s%s;\n", strconv.Quote(from), strconv.Quote(to), style)
		},
	})
	b.WriteString("}\n")
	return b.String()
}

// Mermaid returns the topology as a flow chart in Mermaid's language, which many documents render. It holds what Describe says, and is as
// stable.
func (t *Topology) Mermaid() string {
	var b strings.Builder
	ids := map[string]string{}
	id := func(name string) string {
		if ids[name] == "" {
			ids[name] = "n" + strconv.Itoa(len(ids))
		}
		return ids[name]
	}
	quote := func(name string) string { return `"` + strings.ReplaceAll(name, `"`, "#quot;") + `"` }
	b.WriteString("flowchart LR\n")
	t.render(drawing{
		begin: func(number int32) { fmt.Fprintf(&b, "  subgraph s%d [\"Sub-topology: %d\"]\n", number, number) },
		end:   func() { b.WriteString("  end\n") },
		node:  func(name string) { fmt.Fprintf(&b, "    %s[%s]\n", id(name), quote(name)) },
		store: func(name string) { fmt.Fprintf(&b, "    %s[(%s)]\n", id("store:"+name), quote(name)) },
		topic: func(name string) { fmt.Fprintf(&b, "  %s>%s]\n", id("topic:"+name), quote(name)) },
		edge: func(from, to string, uses bool) {
			arrow := "-->"
			if uses {
				arrow = "-.-"
			}
			fmt.Fprintf(&b, "  %s %s %s\n", id(from), arrow, id(to))
		},
	})
	return b.String()
}

// drawing is how the parts of a topology are written.
type drawing struct {
	begin              func(number int32)
	end                func()
	node, store, topic func(name string)
	edge               func(from, to string, uses bool)
}

// render draws sub-topologies with their nodes and stores, then topics, then edges.
func (t *Topology) render(d drawing) {
	subs, globals := t.number()
	topics, edges := set{}, [][3]string{}
	link := func(from, to, uses string) { edges = append(edges, [3]string{from, to, uses}) }
	for _, s := range subs {
		d.begin(s.Number)
		for _, id := range s.Nodes {
			d.node(t.Nodes[id].Name)
		}
		for _, name := range s.Stores {
			d.store(name)
		}
		d.end()
		for _, id := range s.Nodes {
			n := t.Nodes[id]
			for _, topic := range n.Topics {
				topics.add(topic)
				link("topic:"+topic, n.Name, "")
			}
			for _, child := range distinct(n.Children) {
				link(n.Name, t.Nodes[child].Name, "")
			}
			for _, store := range n.Stores {
				link(n.Name, "store:"+store, "uses")
			}
			if n.Kind == KindSink && !n.Dynamic {
				topics.add(n.Topic)
				link(n.Name, "topic:"+n.Topic, "")
			}
		}
	}
	for i := range t.Globals {
		g := &t.Globals[i]
		d.begin(globals[i])
		d.node(g.source())
		d.node(g.Name)
		d.store(g.Store)
		d.end()
		topics.add(g.Topic)
		link("topic:"+g.Topic, g.source(), "")
		link(g.source(), g.Name, "")
		link(g.Name, "store:"+g.Store, "uses")
	}
	for _, topic := range topics.sorted() {
		d.topic(topic)
	}
	for _, e := range edges {
		d.edge(e[0], e[1], e[2] != "")
	}
}
