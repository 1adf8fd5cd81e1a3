package assign

import (
	"maps"
	"math"
	"slices"
)

// forbidden is the cost of an item at a node where it must not be.
const forbidden = math.MaxInt64

// exchange moves items between nodes until their cost is the least that is possible with as many items at each node as before. It is a
// min-cost flow, by cancelling negative cycles (Klein): items are units, and the residual network is kept over nodes and groups only, since of
// all items of one group at one node the one that is cheapest to move stands for the rest. It begins with what there is, and changes
// only what lowers the cost.
//
// A vertex is a group at a node: an edge to the same group at another node moves an item. If groups are to be spread, there is a vertex for
// each node besides: an edge to it, and one from it to another group at the node, let the node have one item more of the first group and one
// less of the second. Else all items are of one group.
type exchange struct {
	nodes  int
	groups int
	at     []int     // by item: its node
	sub    []int32   // by item: its sub-topology
	group  []int     // by item
	costs  [][]int64 // by item and node
	items  [][]int   // by vertex of a group at a node
	limit  []int     // by the same: how many are not too many; nil: any number
	above  int64     // cost of each item above a limit: more than all other costs
	moves  [][]move  // by the same, and node
}

// move is the cheapest way to have one item less at a vertex and one more at a node.
type move struct {
	item int
	cost int64 // forbidden if there is none
}

func newExchange(nodes int) *exchange { return &exchange{nodes: nodes, groups: 1} }

// add has an item at a node; costs are what it costs at each. At its own it must not be forbidden.
func (e *exchange) add(node int, sub int32, costs []int64) {
	e.at, e.sub, e.group, e.costs = append(e.at, node), append(e.sub, sub), append(e.group, 0), append(e.costs, costs)
}

// spread bounds how many items of a sub-topology a node has to what it has of all items, rounded up. Bounds that are not kept cost more than
// anything else; they can always be kept.
func (e *exchange) spread() {
	groups := make(map[int32]int)
	for _, s := range e.sub {
		groups[s] = 0
	}
	e.groups = len(groups)
	for i, s := range slices.Sorted(maps.Keys(groups)) {
		groups[s] = i
	}
	all, of := make([]int, e.nodes), make([]int, e.groups)
	dearest := int64(1)
	for k, n := range e.at {
		e.group[k] = groups[e.sub[k]]
		all[n]++
		of[e.group[k]]++
		for _, c := range e.costs[k] {
			dearest = max(dearest, c)
		}
	}
	e.above = dearest * int64(len(e.at)+1)
	e.limit = make([]int, e.groups*e.nodes)
	for g := range e.groups {
		for n := range e.nodes {
			e.limit[g*e.nodes+n] = (all[n]*of[g] + len(e.at) - 1) / max(len(e.at), 1)
		}
	}
}

// run returns where each item is in the end. It ends since each cycle lowers the cost.
func (e *exchange) run() []int {
	e.items = make([][]int, e.groups*e.nodes)
	for k, n := range e.at {
		v := e.group[k]*e.nodes + n
		e.items[v] = append(e.items[v], k)
	}
	e.moves = make([][]move, len(e.items))
	for v := range e.moves {
		e.moves[v] = make([]move, e.nodes)
		e.findMoves(v)
	}
	for {
		cycles := e.negativeCycles()
		if len(cycles) == 0 {
			return e.at
		}
		e.cancel(cycles)
	}
}

// findMoves finds the cheapest item of a vertex for each node.
func (e *exchange) findMoves(v int) {
	from := v % e.nodes
	for n := range e.nodes {
		best := move{-1, forbidden}
		for _, k := range e.items[v] {
			if to := e.costs[k][n]; to != forbidden && n != from && to-e.costs[k][from] < best.cost {
				best = move{k, to - e.costs[k][from]}
			}
		}
		e.moves[v][n] = best
	}
}

// edges calls f with what leads away from a vertex.
func (e *exchange) edges(v int, f func(to int, cost int64)) {
	n := v % e.nodes
	if v >= len(e.items) { // a node: one item less of each of its groups
		for u := n; u < len(e.items); u += e.nodes {
			switch have := len(e.items[u]); {
			case have > e.limit[u]:
				f(u, -e.above)
			case have > 0:
				f(u, 0)
			}
		}
		return
	}
	for to, m := range e.moves[v] {
		if m.item >= 0 {
			f(v-n+to, m.cost)
		}
	}
	switch {
	case e.limit == nil:
	case len(e.items[v]) < e.limit[v]:
		f(len(e.items)+n, 0)
	default:
		f(len(e.items)+n, e.above)
	}
}

// negativeCycles returns cycles of vertices that share none, each against the direction of its edges, and none only if there is none
// (Bellman and Ford, from all vertices at once).
func (e *exchange) negativeCycles() [][]int {
	vertices := len(e.items)
	if e.limit != nil {
		vertices += e.nodes
	}
	distance, before := make([]int64, vertices), make([]int, vertices)
	for v := range before {
		before[v] = -1
	}
	for relaxed := true; relaxed; {
		relaxed = false
		for v := range vertices {
			e.edges(v, func(to int, cost int64) {
				if d := distance[v] + cost; d < distance[to] {
					distance[to], before[to], relaxed = d, v, true
				}
			})
		}
		if cycles := cyclesOf(before); len(cycles) > 0 {
			return cycles
		}
	}
	return nil
}

// cyclesOf returns the cycles of a graph in which each vertex has at most one predecessor.
func cyclesOf(before []int) (cycles [][]int) {
	seen := make([]int, len(before)) // by which walk, from 1 on
	for start := range before {
		v := start
		for v >= 0 && seen[v] == 0 {
			seen[v] = start + 1
			v = before[v]
		}
		if v < 0 || seen[v] != start+1 {
			continue
		}
		cycle := []int{v}
		for u := before[v]; u != v; u = before[u] {
			cycle = append(cycle, u)
		}
		cycles = append(cycles, cycle)
	}
	return cycles
}

// cancel moves one item along each edge of the cycles. As the cycles share no vertex, no two of them move the same item.
func (e *exchange) cancel(cycles [][]int) {
	type step struct{ item, from, to int }
	var steps []step
	for _, cycle := range cycles {
		for i, to := range cycle {
			from := cycle[(i+1)%len(cycle)]
			if from < len(e.items) && to < len(e.items) {
				steps = append(steps, step{e.moves[from][to%e.nodes].item, from, to})
			}
		}
	}
	for _, s := range steps {
		e.at[s.item] = s.to % e.nodes
		e.items[s.from] = slices.DeleteFunc(e.items[s.from], func(k int) bool { return k == s.item })
		e.items[s.to] = append(e.items[s.to], s.item)
	}
	for _, s := range steps {
		e.findMoves(s.from)
		e.findMoves(s.to)
	}
}
