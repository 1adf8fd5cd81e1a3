package plan

import "slices"

// relax lets null keys pass the repartitions directly above the joins that take them.
func relax(nodes []*Node) {
	for _, n := range nodes {
		if !n.relaxed {
			continue
		}
		for _, above := range sources(n) {
			if above.via != nil && above.via.Relaxed != nil {
				above.via.Filter = above.via.Relaxed
			}
		}
	}
}

// sources returns the nodes above n, itself included, that read a topic: sources and repartitions. What lies above them is another
// sub-topology's.
func sources(n *Node) []*Node {
	var found []*Node
	seen := map[*Node]bool{}
	var visit func(*Node)
	visit = func(n *Node) {
		if seen[n] {
			return
		}
		seen[n] = true
		if n.via != nil || len(n.Topics) > 0 {
			found = append(found, n)
			return
		}
		for _, in := range n.inputs {
			visit(in.parent)
		}
	}
	visit(n)
	return found
}

// copartitioned returns the groups of topics that Copartition asked for.
func (g *Graph) copartitioned() [][]string {
	var groups [][]string
	for _, nodes := range g.together {
		var topics []string
		for _, n := range nodes {
			for _, s := range sources(n) {
				if s.via != nil {
					topics = append(topics, s.via.Topic.Topic())
				} else {
					topics = append(topics, s.Topics...)
				}
			}
		}
		slices.Sort(topics)
		groups = append(groups, slices.Compact(topics))
	}
	return groups
}
