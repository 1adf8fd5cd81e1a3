package plan

import (
	"slices"

	"github.com/millrace-io/millrace/topology"
)

// Rekeys says that n changes keys, so that what needs them below goes through a repartition topic.
func (n *Node) Rekeys() *Node {
	n.rekeys = true
	return n
}

// Keeps says that n passes records on as they are, or leaves them out: it gives the same on either side of a repartition topic.
func (n *Node) Keeps() *Node {
	n.keeps = true
	return n
}

// MergeRepartitions lets Topology put one repartition topic in place of several below a node that changes keys.
func (g *Graph) MergeRepartitions() { g.merging = true }

// mergeRepartitions replaces the automatic repartitions below a node that changes keys by one directly below it, which is called as the
// first of them was. What lies between, nodes that keep records as they are, comes to lie behind it; a node that changes values blocks, and
// so does everything else that is not known to keep records. Where streams are merged, the merge stands for what changed the keys
// above it. The order of nodes stays.
func (g *Graph) mergeRepartitions() {
	below := map[*Node][]*Node{} // by what changes the keys
	replaced := map[*Node]bool{}
	for _, n := range g.nodes {
		if n.via == nil || !n.via.Automatic {
			continue
		}
		if a := anchor(n); a != nil {
			below[a] = append(below[a], n)
			replaced[n] = true
		}
	}
	nodes := make([]*Node, 0, len(g.nodes))
	moved := make([]int, len(g.nodes)+1) // where the first of nodes lands that stood at an index or behind it
	for i, n := range g.nodes {
		moved[i] = len(nodes)
		if replaced[n] {
			continue
		}
		nodes = append(nodes, n)
		if r := below[n]; len(r) > 0 {
			nodes = append(nodes, g.mergeBelow(n, r))
		}
	}
	moved[len(g.nodes)] = len(nodes)
	g.nodes = nodes
	for i := range g.globals {
		g.globals[i].After = moved[g.globals[i].After]
	}
}

// anchor returns the node that a repartition could stand directly below: the nearest above that changes keys or merges streams, with
// nothing between that changes records. nil: there is none.
func anchor(repartition *Node) *Node {
	for n := repartition.inputs[0].parent; ; n = n.inputs[0].parent {
		switch {
		case n.rekeys || n.keeps && len(n.inputs) > 1:
			return n
		case !n.keeps || len(n.inputs) != 1:
			return nil
		}
	}
}

// mergeBelow makes the repartition that stands for others below anchor, and joins to it what was below them and between.
func (g *Graph) mergeBelow(anchor *Node, repartitions []*Node) *Node {
	first := repartitions[0]
	via := *first.via
	for suffix, n := range map[string]*topology.Node{"-filter": via.Filter, "-sink": via.Sink, "-source": via.Source} {
		if n != nil {
			n.Name = via.Topic.Topic() + suffix
		}
	}
	if via.Relaxed != nil {
		via.Relaxed.Name = via.Topic.Topic() + "-filter"
	}
	merged := &Node{Node: first.Node, via: &via, inputs: []input{{parent: anchor}}}
	if via.Relaxed != nil && g.othersBetween(anchor, repartitions) {
		via.Filter = via.Relaxed
	}
	for _, r := range repartitions {
		for n := r; ; n = n.inputs[0].parent {
			if n.inputs[0].parent == merged { // another repartition's way up has been here
				break
			}
			if n.inputs[0].parent == anchor {
				n.inputs[0].parent = merged
				break
			}
		}
	}
	for _, r := range repartitions {
		up := r.inputs[0].parent
		for _, n := range g.nodes {
			for i := range n.inputs {
				if n.inputs[i].parent == r {
					n.inputs[i].parent = up
				}
			}
		}
		r.via = nil // whoever still has it, as Copartition does, finds the merged one above it
	}
	return merged
}

// othersBetween reports whether something else than repartitions hangs below a node between anchor and them. It takes records without
// a key too.
func (g *Graph) othersBetween(anchor *Node, repartitions []*Node) bool {
	behind := map[*Node]bool{}
	moved := map[*Node]bool{}
	for _, r := range repartitions {
		behind[r] = true
		for n := r.inputs[0].parent; n != anchor; n = n.inputs[0].parent {
			behind[n], moved[n] = true, true
		}
	}
	return slices.ContainsFunc(g.nodes, func(n *Node) bool {
		return !behind[n] && slices.ContainsFunc(n.inputs, func(in input) bool { return moved[in.parent] })
	})
}
