package topology

// Build makes the running node for one task, see [Node].Build.
type Build = func(s Scope, down any) (Instance, error)

// Wrap returns a copy of t in which every node, those of the DSL included, is built by what wrap returns for it: for tracing, measuring, or
// tests. The Build that wrap returns calls the one it is given, with a Scope of its own if it is to see what the node writes and drops, and
// may replace the ports, Flush and Close of what comes back; ports keep their types (D-155). t stays as it is. It stands for Kafka Streams'
// processor.wrapper.class (KIP-1112).
func (t *Topology) Wrap(wrap func(n *Node, build Build) Build) *Topology {
	wrapped := *t
	wrapped.Nodes = make([]*Node, len(t.Nodes))
	for i, n := range t.Nodes {
		c := *n
		c.Build = wrap(n, n.Build)
		wrapped.Nodes[i] = &c
	}
	return &wrapped
}
