package topology

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Describe returns the topology in the text form of Kafka Streams' TopologyDescription: sub-topologies, their nodes by
// the size of what hangs below them, then name. It is stable: a golden file of it fixes all names (DESIGN D10).
func (t *Topology) Describe() string {
	d := &description{t: t, size: t.sizes()}
	subs, globals := t.number()
	d.text.WriteString("Topologies:\n ")
	for number := int32(0); ; number++ {
		if i := slices.IndexFunc(subs, func(s Subtopology) bool { return s.Number == number }); i >= 0 {
			d.subtopology(subs[i])
		} else if i := slices.Index(globals, number); i >= 0 {
			d.global(number, &t.Globals[i])
		} else {
			break
		}
	}
	return d.text.String()
}

type description struct {
	t    *Topology
	text strings.Builder
	size []int
}

// sizes returns for each node the number of paths that begin at it, which is what Kafka Streams sorts by.
func (t *Topology) sizes() []int {
	sizes := make([]int, len(t.Nodes))
	for _, id := range slices.Backward(t.sorted()) {
		sizes[id] = 1
		for _, child := range distinct(t.Nodes[id].Children) {
			sizes[id] += sizes[child]
		}
	}
	return sizes
}

func (d *description) compare(a, b NodeID) int {
	return cmp.Or(d.size[b]-d.size[a], strings.Compare(d.t.Nodes[a].Name, d.t.Nodes[b].Name))
}

func (d *description) write(parts ...string) {
	for _, p := range parts {
		d.text.WriteString(p)
	}
}

func (d *description) subtopology(s Subtopology) {
	d.write("  Sub-topology: ", strconv.Itoa(int(s.Number)), "\n")
	nodes := slices.Clone(s.Nodes)
	slices.SortFunc(nodes, d.compare)
	for _, id := range nodes {
		d.node(d.t.Nodes[id])
	}
	d.write("\n")
}

func (d *description) node(n *Node) {
	switch n.Kind {
	case KindSource:
		topics := "[" + strings.Join(n.Topics, ", ") + "]"
		if n.Pattern != nil {
			topics = n.Pattern.String()
		}
		d.write("    Source: ", n.Name, " (topics: ", topics, ")\n")
	case KindProcessor:
		stores := slices.DeleteFunc(slices.Sorted(slices.Values(n.Stores)), d.t.isGlobal)
		d.write("    Processor: ", n.Name, " (stores: [", strings.Join(stores, ", "), "])\n")
	case KindSink:
		if n.Dynamic {
			d.write("    Sink: ", n.Name, " (extractor class: <topic chooser>)\n")
			break
		}
		d.write("    Sink: ", n.Name, " (topic: ", n.Topic, ")\n")
	}
	if n.Kind != KindSink {
		d.write("      --> ", d.names(n.Children), "\n")
	}
	if n.Kind != KindSource {
		d.write("      <-- ", d.names(n.Parents), "\n")
	}
}

func (d *description) names(ids []NodeID) string {
	if len(ids) == 0 {
		return "none"
	}
	ids = distinct(ids)
	slices.SortFunc(ids, d.compare)
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = d.t.Nodes[id].Name
	}
	return strings.Join(names, ", ")
}

func (d *description) global(number int32, g *GlobalTable) {
	d.write("  Sub-topology: ", strconv.Itoa(int(number)), " for global store (will not generate tasks)\n")
	d.write("    Source: ", g.source(), " (topics: [", g.Topic, "])\n      --> ", g.Name, "\n")
	d.write("    Processor: ", g.Name, " (stores: [", g.Store, "])\n      --> none\n      <-- ", g.source(), "\n")
}
