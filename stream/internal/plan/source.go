package plan

import "slices"

// ReadsSource says that n asks where records came from: stores above it, whose changes it gets with the commit, remember that of each
// key's last write.
func (n *Node) ReadsSource() { n.sourced = true }

// keepSources tells the stores of all nodes above one that asks for it, as far up as the sub-topology's sources.
func (g *Graph) keepSources() {
	var stores []string
	seen := map[*Node]bool{}
	var visit func(*Node)
	visit = func(n *Node) {
		for _, in := range n.inputs {
			if p := in.parent; !seen[p] && p.via == nil {
				seen[p] = true
				stores = append(stores, p.Stores...)
				visit(p)
			}
		}
	}
	for _, n := range g.nodes {
		if n.sourced {
			visit(n)
		}
	}
	for _, s := range g.stores {
		s.Sources = s.Sources || slices.Contains(stores, s.Name)
	}
}
