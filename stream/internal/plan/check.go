package plan

import (
	"fmt"

	"github.com/millrace-io/millrace/topology"
)

// check returns what violates the package's invariants N1 to N3, and stores of one name.
func (g *Graph) check(nodes []*Node) []error {
	var errs []error
	errs = append(errs, checkNames(nodes)...)
	errs = append(errs, g.checkStores()...)
	errs = append(errs, g.checkExplicit()...)
	return append(errs, checkEdges(nodes)...)
}

func checkNames(nodes []*Node) []error {
	var errs []error
	seen := map[string]bool{}
	for _, n := range nodes {
		if seen[n.Name] {
			errs = append(errs, at(n.Line, "node %s: the name is used twice; give one of the two another one", n.Name))
		}
		seen[n.Name] = true
	}
	return errs
}

func checkEdges(nodes []*Node) []error {
	var errs []error
	before := map[*Node]bool{}
	for _, n := range nodes {
		for _, in := range n.inputs {
			switch {
			case in.parent == nil || !before[in.parent]:
				errs = append(errs, at(n.Line, "node %s: its parent belongs to another builder", n.Name))
			case in.port >= len(n.In):
				errs = append(errs, at(n.Line, "node %s: %s feeds port %d, it has %d", n.Name, in.parent.Name, in.port, len(n.In)))
			case in.parent.Out != n.In[in.port]:
				errs = append(errs, at(n.Line, "node %s: it takes %s, its parent %s gives %s",
					n.Name, show(n.In[in.port]), in.parent.Name, show(in.parent.Out)))
			}
		}
		before[n] = true
	}
	return errs
}

func show(e topology.Edge) string { return fmt.Sprintf("Record[%v, %v]", e.Key, e.Value) }
