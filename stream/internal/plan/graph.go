package plan

import (
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// Graph is a logical plan under construction. Faults are collected, so that a user sees all of them at once.
type Graph struct {
	nodes   []*Node
	globals []topology.GlobalTable
	stores  []*state.Spec
	// storeLines are the lines of the program that declared the stores.
	storeLines []string
	sources    map[string]*Node // by user topic
	names      names
	errs       []error

	explicit bool      // generated names of topics are refused
	merging  bool      // see MergeRepartitions
	reusing  bool      // see ReuseSources
	together [][]*Node // whose topics are co-partitioned
}

// New returns an empty plan.
func New() *Graph { return &Graph{sources: map[string]*Node{}} }

// Node is one step of the plan.
type Node struct {
	*topology.Node // its code, name and edges; id, parents and children are set when the plan is lowered

	inputs  []input
	via     *Via   // not nil: a repartition, lowered last
	relaxed bool   // see TakesNullKeys
	sourced bool   // see ReadsSource
	rekeys  bool   // see Rekeys
	keeps   bool   // see Keeps
	rows    rows   // see HoldsTopic
	form    string // of a stream's source: in what form records are read; see ShareSource
}

// input says which parent feeds which port.
type input struct {
	parent *Node
	port   int
}

// Via is a logical repartition: what it is lowered to. The typed function that asked for it made the three nodes.
type Via struct {
	Topic   topology.RepartitionTopic
	Filter  *topology.Node // leaves out null keys; nil: they cannot come
	Relaxed *topology.Node // stands for Filter where a join below takes null keys
	Sink    *topology.Node
	Source  *topology.Node
	// Automatic says that the program did not ask for it: it may be merged with others.
	Automatic bool
}

// Fail records a fault of what the program is calling right now: its line is put in front. The format is fmt.Errorf's.
func (g *Graph) Fail(format string, args ...any) {
	g.errs = append(g.errs, at(topology.Where(), format, args...))
}

// at is fmt.Errorf with a line of the program in front.
func at(line, format string, args ...any) error {
	if line == "" {
		return fmt.Errorf(format, args...)
	}
	return fmt.Errorf("%s: %w", line, fmt.Errorf(format, args...))
}

// Add adds a node with its parents, which feed ports 0, 1, … in order if the node has several and port 0 if it has one.
func (g *Graph) Add(n *topology.Node, parents ...*Node) *Node {
	p := &Node{Node: n}
	if n.Line == "" {
		n.Line = topology.Where()
	}
	for i, parent := range parents {
		port := i
		if len(n.In) == 1 {
			port = 0
		}
		p.inputs = append(p.inputs, input{parent: parent, port: port})
	}
	g.nodes = append(g.nodes, p)
	return p
}

// ShareSource is AddSource for a stream: if its topics are read as a stream already, all of them and no others, it returns that source
// . form says in what form records are read; two sources of one must agree in it.
func (g *Graph) ShareSource(n *topology.Node, form string) (p *Node, shared bool) {
	for _, t := range n.Topics {
		first := g.sources[t]
		if first == nil || first.form == "" || !sameTopics(first.Topics, n.Topics) {
			continue
		}
		if first.Out != n.Out || first.form != form {
			g.Fail("source %s: topics %q are read by source %s already, as %s by %s; this is %s by %s",
				n.Name, n.Topics, first.Name, show(first.Out), first.form, show(n.Out), form)
			break
		}
		return first, true
	}
	p = g.AddSource(n)
	p.form = form
	return p, false
}

func sameTopics(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// AddSource adds a source. A topic is read by one: two would have to agree on serdes and times, which the plan cannot see.
func (g *Graph) AddSource(n *topology.Node) *Node {
	p := g.Add(n)
	for _, t := range n.Topics {
		if err := Legal(t); err != nil && n.Pattern == nil {
			g.Fail("source %s: topic %q: %w", n.Name, t, err)
		}
		if first, ok := g.sources[t]; ok { // it may be n itself, if its topics are not distinct
			g.Fail("source %s: topic %q is read by source %s already, as one of %q: read it once, and use what it gives twice", n.Name, t, first.Name, first.Topics)
			continue
		}
		g.sources[t] = p
	}
	return p
}

// AddRepartition adds a logical repartition below its parents.
func (g *Graph) AddRepartition(v Via, parents ...*Node) *Node {
	if v.Topic.Partitions < 0 {
		g.Fail("repartition %s: %d partitions: want a positive number, or 0 for as many as the input has", v.Topic.Name, v.Topic.Partitions)
	}
	// In and Out of the logical node are those of what it becomes.
	p := g.Add(&topology.Node{Name: v.Topic.Topic(), In: v.first().In, Out: v.Source.Out}, parents...)
	p.via = &v
	for _, n := range []*topology.Node{v.Filter, v.Relaxed, v.Sink, v.Source} {
		if n != nil {
			n.Line = p.Line
		}
	}
	return p
}

// first returns the node that records reach first.
func (v *Via) first() *topology.Node {
	if v.Filter == nil {
		return v.Sink
	}
	return v.Filter
}

// TakesNullKeys says that n is a join which has a result for records without a key too: they pass the repartition above it.
func (n *Node) TakesNullKeys() { n.relaxed = true }

// Copartition says that the topics above nodes must have equal partition counts, since their records meet by key.
func (g *Graph) Copartition(nodes ...*Node) { g.together = append(g.together, nodes) }

// AddStore declares a store.
func (g *Graph) AddStore(s *state.Spec) {
	g.stores = append(g.stores, s)
	g.storeLines = append(g.storeLines, topology.Where())
}

// AddGlobal declares a global table and its store.
func (g *Graph) AddGlobal(t topology.GlobalTable, s *state.Spec) {
	if err := Legal(t.Topic); err != nil {
		g.Fail("global table %s: topic %q: %w", t.Name, t.Topic, err)
	}
	t.After = len(g.nodes)
	g.globals = append(g.globals, t)
	g.AddStore(s)
}

// Topology checks the plan, applies the rewrites and lowers it.
func (g *Graph) Topology() (*topology.Topology, error) {
	if err := errors.Join(append(g.errs, g.check(g.nodes)...)...); err != nil {
		return nil, err
	}
	if g.merging {
		g.mergeRepartitions()
		if err := errors.Join(g.check(g.nodes)...); err != nil {
			return nil, fmt.Errorf("after merging repartitions: %w", err)
		}
	}
	relax(g.nodes)
	if g.reusing {
		g.reuseSources()
	}
	g.keepSources()
	nodes, topics, err := lower(g.nodes)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(g.check(nodes)...); err != nil {
		return nil, fmt.Errorf("after lowering repartitions: %w", err)
	}
	t := connect(nodes)
	t.Repartition, t.Globals, t.Stores = topics, slices.Clone(g.globals), g.stores
	for i := range t.Globals {
		t.Globals[i].After = lowered(g.nodes[:t.Globals[i].After])
	}
	t.Copartitioned = g.copartitioned()
	if err := t.Validate(); err != nil {
		return nil, err
	}
	return t, nil
}

// connect numbers the nodes and joins them. Children stand in the order in which they were made (P-06).
func connect(nodes []*Node) *topology.Topology {
	t := &topology.Topology{}
	for i, n := range nodes {
		n.ID = topology.NodeID(i)
		t.Nodes = append(t.Nodes, n.Node)
	}
	for _, n := range nodes {
		for _, in := range n.inputs {
			n.Parents = append(n.Parents, in.parent.ID)
			n.Ports = append(n.Ports, in.port)
			in.parent.Children = append(in.parent.Children, n.ID)
		}
	}
	return t
}
