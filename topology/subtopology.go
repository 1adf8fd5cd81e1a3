package topology

import (
	"maps"
	"slices"
)

// Subtopology is a part of a topology that runs in one task per partition: nodes connected by edges or by a shared store
// . A repartition topic cuts.
type Subtopology struct {
	// Number is the first half of its task ids. Numbers are Kafka Streams': groups of nodes in the order in which their first
	// sources were made, global tables counted. They may have gaps, so find a sub-topology by its number, not by its index.
	Number  int32
	Nodes   []NodeID // in topological order: parents before children, else by id
	Sources []string // topics it reads, sorted, as the nodes hold them (see Topology.Internal)
	Sinks   []string // topics it writes, sorted, likewise
	Stores  []string // its stores, sorted, without those of global tables
	Globals []string // stores of global tables that its nodes read, sorted
}

// Subtopologies returns the sub-topologies of t, by number. t must be valid.
func (t *Topology) Subtopologies() []Subtopology {
	subs, _ := t.number()
	return subs
}

// Subtopology returns the sub-topology of that number.
func (t *Topology) Subtopology(number int32) (Subtopology, bool) {
	for _, s := range t.Subtopologies() {
		if s.Number == number {
			return s, true
		}
	}
	return Subtopology{}, false
}

// number groups the nodes and gives groups and global tables their numbers, in one sequence, as Kafka Streams does: in the order in
// which their sources were made. globals[i] is the number of t.Globals[i].
func (t *Topology) number() (subs []Subtopology, globals []int32) {
	type entry struct {
		made  int // the id of its first source; of a global table, that of the node made after it
		group int // -1: a global table
		index int
	}
	groups := t.groups()
	var entries []entry
	for i, g := range t.Globals {
		entries = append(entries, entry{made: g.After, group: -1, index: i})
	}
	for i, nodes := range groups {
		entries = append(entries, entry{made: t.firstSource(nodes), group: i})
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return a.made - b.made })
	globals = make([]int32, len(t.Globals))
	for i, e := range entries {
		if e.group < 0 {
			globals[e.index] = int32(i)
			continue
		}
		subs = append(subs, t.subtopology(int32(i), groups[e.group]))
	}
	return subs, globals
}

// source returns the name of the table's source node.
func (g *GlobalTable) source() string {
	if g.Source != "" {
		return g.Source
	}
	return g.Name + "-source"
}

// groups returns the connected nodes, each group in topological order.
func (t *Topology) groups() [][]NodeID {
	sets := newUnion(len(t.Nodes))
	byStore := map[string]NodeID{}
	for _, n := range t.Nodes {
		for _, p := range n.Parents {
			sets.join(n.ID, p)
		}
		for _, s := range n.Stores {
			if t.isGlobal(s) {
				continue
			}
			if first, ok := byStore[s]; ok {
				sets.join(n.ID, first)
			} else {
				byStore[s] = n.ID
			}
		}
	}
	var groups [][]NodeID
	index := map[NodeID]int{}
	for _, id := range t.sorted() {
		root := sets.find(id)
		i, ok := index[root]
		if !ok {
			i = len(groups)
			index[root] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], id)
	}
	return groups
}

// firstSource returns the lowest id of a source among nodes; they have one unless the topology is not valid.
func (t *Topology) firstSource(nodes []NodeID) int {
	first := len(t.Nodes)
	for _, id := range nodes {
		if t.Nodes[id].Kind == KindSource {
			first = min(first, int(id))
		}
	}
	return first
}

func (t *Topology) subtopology(number int32, nodes []NodeID) Subtopology {
	sources, sinks, stores, globals := set{}, set{}, set{}, set{}
	for _, id := range nodes {
		n := t.Nodes[id]
		sources.add(n.Topics...)
		if n.Kind == KindSink && !n.Dynamic {
			sinks.add(n.Topic)
		}
		for _, s := range n.Stores {
			if t.isGlobal(s) {
				globals.add(s)
			} else {
				stores.add(s)
			}
		}
	}
	return Subtopology{
		Number: number, Nodes: nodes,
		Sources: sources.sorted(), Sinks: sinks.sorted(), Stores: stores.sorted(), Globals: globals.sorted(),
	}
}

func (t *Topology) isGlobal(store string) bool {
	return slices.ContainsFunc(t.Globals, func(g GlobalTable) bool { return g.Store == store })
}

// sorted returns all nodes in topological order: parents first, else by id. Nodes on a cycle, which Validate refuses, are
// left out.
func (t *Topology) sorted() []NodeID {
	waiting := make([]int, len(t.Nodes))
	var ready []NodeID // kept sorted
	for _, n := range t.Nodes {
		if waiting[n.ID] = len(n.Parents); waiting[n.ID] == 0 {
			ready = append(ready, n.ID)
		}
	}
	order := make([]NodeID, 0, len(t.Nodes))
	for len(ready) > 0 {
		id := ready[0]
		ready = ready[1:]
		order = append(order, id)
		for _, child := range distinct(t.Nodes[id].Children) {
			edges := 0
			for _, p := range t.Nodes[child].Parents {
				if p == id {
					edges++
				}
			}
			waiting[child] -= edges
			if edges > 0 && waiting[child] == 0 {
				at, _ := slices.BinarySearch(ready, child)
				ready = slices.Insert(ready, at, child)
			}
		}
	}
	return order
}

// distinct returns ids without repetitions, in the order of first appearance.
func distinct(ids []NodeID) []NodeID {
	var out []NodeID
	for _, id := range ids {
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// set is a set of strings.
type set map[string]struct{}

func (s set) add(names ...string) {
	for _, n := range names {
		s[n] = struct{}{}
	}
}

func (s set) sorted() []string { return slices.Sorted(maps.Keys(s)) }

// union is a union-find over nodes; the root of a set is its lowest id.
type union []NodeID

func newUnion(n int) union {
	u := make(union, n)
	for i := range u {
		u[i] = NodeID(i)
	}
	return u
}

func (u union) find(id NodeID) NodeID {
	for u[id] != id {
		u[id] = u[u[id]]
		id = u[id]
	}
	return id
}

func (u union) join(a, b NodeID) {
	a, b = u.find(a), u.find(b)
	u[max(a, b)] = min(a, b)
}
