package assign

import (
	"cmp"
	"slices"
)

// Task is one partition of one sub-topology: the unit that is moved.
type Task struct {
	Subtopology int32
	Partition   int32
}

// Compare orders tasks by sub-topology, then partition.
func Compare(a, b Task) int {
	return cmp.Or(cmp.Compare(a.Subtopology, b.Subtopology), cmp.Compare(a.Partition, b.Partition))
}

// Instance is one member of the group, as it described itself.
type Instance struct {
	ID       string // member id; unique
	Capacity int    // number of workers; less than 1 counts as 1
	// Owned is what it runs: what it was given and has not yet released, be it told to or not.
	Owned []Task
	// Generation is the group's generation in which it was given what it owns. Of two that claim a task the later one
	// has it; of equal ones, neither.
	Generation int32
	Previous   []Task // what it ran or kept before: state that may still be on its disk
	// Lags says how many records of the changelogs are missing in the state of Previous. Of a task without an entry the state counts as
	// caught up.
	Lags map[Task]int64
	// Tags say where the instance is: zone, machine (client.tag).
	Tags map[string]string
	// Rack is where it is, among the racks of the brokers (client.rack). Empty: not known.
	Rack string
}

// Config says what else is wanted. The zero value of a field is its documented default.
type Config struct {
	// State has an entry for each task with state: how many records its changelogs hold, which is what an instance lacks that
	// has nothing of it.
	State map[Task]int64
	// Standbys is how many copies of each state other instances keep (num.standby.replicas). Default 0.
	Standbys int
	// AcceptableLag is up to how many missing records an instance counts as caught up (acceptable.recovery.lag). Default 10,000.
	AcceptableLag int64
	// MaxWarmups is how many tasks at once are made ready elsewhere before they move (max.warmup.replicas). Default 2.
	MaxWarmups int
	// Spread are the tags whose values copies of one state should not share, most important first
	// (rack.aware.assignment.tags).
	Spread []string
	// Sticky has tasks move at once, without warm-ups: what ran somewhere stays there, as far as the balance allows (StickyTaskAssignor).
	Sticky bool
	// Racks says how far traffic between racks is avoided (KIP-925). Default: not at all.
	Racks Racks
}

func (c Config) withDefaults() Config {
	if c.AcceptableLag <= 0 {
		c.AcceptableLag = 10_000
	}
	if c.MaxWarmups <= 0 {
		c.MaxWarmups = 2
	}
	return c
}

// Result is what each instance is to run.
type Result struct {
	// Active has one entry for each instance: what it may run now, sorted.
	Active map[string][]Task
	// Standby are the tasks, sorted, whose state an instance has to keep a copy of.
	Standby map[string][]Task
	// Warmup are the tasks, sorted, whose state an instance has to get ready, since they are to move to it; those that are about to are
	// among them.
	Warmup map[string][]Task
	// Moving are tasks, sorted, that their owner must give up first. While there are any, the members rejoin.
	Moving []Task
	// Probe: tasks are not yet where they should be, since their state is not. The members rejoin after a while, to see how far
	// the warm-ups have come (probing.rebalance.interval.ms).
	Probe bool
}

// Assign distributes tasks over instances. No argument is changed; the order of the slices does not matter.
func Assign(instances []Instance, tasks []Task, cfg Config) Result {
	return decide(instances, tasks, cfg).result()
}

// decide finds out what each instance is to have in the end.
func decide(instances []Instance, tasks []Task, cfg Config) *plan {
	p := newPlan(instances, tasks, cfg.withDefaults())
	if len(p.nodes) == 0 {
		return p
	}
	p.near = CheckRacks(instances, p.tasks, cfg) == nil
	with, without := p.byState()
	for _, class := range []class{{with, len(with), true}, {without, len(p.tasks), false}} {
		p.share(class)
		p.keepOwned(class.tasks)
		p.grantRest()
		p.returnPrevious()
		p.spreadRest()
		if p.near {
			p.moveNear(class)
		}
	}
	if !p.cfg.Sticky {
		p.warmUp()
	}
	p.standBy()
	return p
}

// class are tasks that are balanced by themselves: first those with state, then the others, which fill up.
type class struct {
	tasks    []Task
	placed   int // how many tasks have a place once these have
	stateful bool
}

// plan is the work of one call. All of it is in sorted order, so that the result depends on nothing else.
type plan struct {
	cfg   Config
	tasks []Task
	nodes []*node
	owner map[Task]*node // nil: claimed by two at once, so nobody may have it yet
	free  []Task         // of the class, not in any target yet, sorted
	extra int            // how many nodes may still be granted one task above their lower share
	spare int            // how many of these may be nodes whose lower share of all tasks is no larger than that of the class
	near  bool           // racks are looked at
	probe bool
}

// node is one instance and its target.
type node struct {
	Instance
	capacity int
	lower    int // its share of what is placed, rounded down
	lowerAll int // its share of all tasks, rounded down
	exact    bool
	quota    int // lower, or one more if granted
	target   []Task
	bySub    map[int32]int // tasks of each sub-topology in the target
	had      map[Task]bool // Previous
	standby  []Task
	warmup   []Task
}

func newPlan(instances []Instance, tasks []Task, cfg Config) *plan {
	p := &plan{cfg: cfg, owner: make(map[Task]*node)}
	p.tasks = slices.Compact(slices.SortedFunc(slices.Values(tasks), Compare))
	for _, in := range slices.SortedFunc(slices.Values(instances), func(a, b Instance) int { return cmp.Compare(a.ID, b.ID) }) {
		n := &node{Instance: in, capacity: max(1, in.Capacity), bySub: make(map[int32]int), had: make(map[Task]bool, len(in.Previous))}
		for _, t := range in.Previous {
			n.had[t] = true
		}
		p.nodes = append(p.nodes, n)
	}
	p.findOwners()
	return p
}

// byState splits the tasks.
func (p *plan) byState() (with, without []Task) {
	for _, t := range p.tasks {
		if p.stateful(t) {
			with = append(with, t)
		} else {
			without = append(without, t)
		}
	}
	return with, without
}

func (p *plan) stateful(t Task) bool {
	_, ok := p.cfg.State[t]
	return ok
}

// share sets what each node may have once the class is placed.
//
// A node that is granted a task with state above its lower share must not thereby be above its share of all tasks. That is so if its lower
// share of all is larger; and for as many others as will be granted one task above that.
func (p *plan) share(c class) {
	sum := 0
	for _, n := range p.nodes {
		sum += n.capacity
	}
	p.extra, p.spare = c.placed, len(p.tasks)
	for _, n := range p.nodes {
		n.lower, n.exact = c.placed*n.capacity/sum, c.placed*n.capacity%sum == 0
		n.lowerAll = len(p.tasks) * n.capacity / sum
		n.quota = n.lower
		p.extra -= n.lower
		p.spare -= n.lowerAll
	}
}

// findOwners settles who owns what.
func (p *plan) findOwners() {
	claimed := make(map[Task]int32)
	for _, n := range p.nodes {
		for _, t := range n.Owned {
			g, ok := claimed[t]
			switch {
			case !ok || n.Generation > g:
				p.owner[t], claimed[t] = n, n.Generation
			case n.Generation == g && p.owner[t] != n:
				p.owner[t] = nil
			}
		}
	}
}

// keepOwned leaves tasks where they run, up to the share of each node (A3). The shares that are rounded up go to the
// nodes that have the tasks for it.
func (p *plan) keepOwned(tasks []Task) {
	owned := make(map[*node][]Task)
	p.free = nil
	for _, t := range tasks {
		if n := p.owner[t]; n != nil {
			owned[n] = append(owned[n], t)
		} else {
			p.free = append(p.free, t)
		}
	}
	for _, n := range p.nodes {
		if len(n.target) > n.lower {
			p.grant(n) // it has that many already
		}
	}
	for _, n := range p.nodes {
		if n.quota == n.lower && len(n.target)+len(owned[n]) > n.lower {
			p.grant(n)
		}
	}
	for _, n := range p.nodes {
		kept, dropped := keep(owned[n], n.quota-len(n.target), func(t Task) bool { return p.caughtUpElsewhere(t, n) })
		p.free = append(p.free, dropped...)
		for _, t := range kept {
			n.add(t)
		}
	}
	slices.SortFunc(p.free, Compare)
}

// grant lets a node have one task above its lower share, if it may and there is one left.
func (p *plan) grant(n *node) {
	if p.extra == 0 || n.exact || n.quota != n.lower {
		return
	}
	if n.lowerAll == n.lower {
		if p.spare == 0 {
			return
		}
		p.spare--
	}
	n.quota++
	p.extra--
}

// keep splits sorted tasks into quota that stay and the rest, which is taken from the sub-topologies that have the most; of those,
// tasks that others are ready to run.
func keep(tasks []Task, quota int, ready func(Task) bool) (kept, dropped []Task) {
	count := make(map[int32]int)
	for _, t := range tasks {
		count[t.Subtopology]++
	}
	kept = slices.Clone(tasks)
	for len(kept) > quota {
		drop := len(kept) - 1
		for i := len(kept) - 1; i >= 0; i-- {
			if c, d := count[kept[i].Subtopology], count[kept[drop].Subtopology]; c > d || c == d && ready(kept[i]) && !ready(kept[drop]) {
				drop = i
			}
		}
		count[kept[drop].Subtopology]--
		dropped = append(dropped, kept[drop])
		kept = slices.Delete(kept, drop, drop+1)
	}
	return kept, dropped
}

// grantRest gives the remaining rounded-up shares to the nodes with the least, and of those to which free tasks are near.
func (p *plan) grantRest() {
	far := make(map[*node]int64, len(p.nodes))
	for _, n := range p.nodes {
		for _, t := range p.free {
			if p.near {
				far[n] += crossing(p.cfg.Racks.Sources[t], n.Rack)
			}
		}
	}
	order := slices.SortedStableFunc(slices.Values(p.nodes), func(a, b *node) int {
		return cmp.Or(cmp.Compare(len(a.target)*b.capacity, len(b.target)*a.capacity), cmp.Compare(far[a], far[b]))
	})
	for _, n := range order {
		p.grant(n)
	}
}

// returnPrevious puts free tasks where their state is: first where it is caught up, then where it lacks the least (A3).
func (p *plan) returnPrevious() {
	p.place(func(t Task) []*node { return p.where(func(n *node) bool { return n.had[t] && p.caughtUp(n, t) }) })
	p.place(func(t Task) []*node {
		least := int64(-1)
		for _, n := range p.nodes {
			if n.had[t] && len(n.target) < n.quota && (least < 0 || p.lag(n, t) < least) {
				least = p.lag(n, t)
			}
		}
		return p.where(func(n *node) bool { return n.had[t] && p.lag(n, t) == least })
	})
}

// where returns the nodes for which f is true.
func (p *plan) where(f func(*node) bool) (nodes []*node) {
	for _, n := range p.nodes {
		if f(n) {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// spreadRest puts free tasks where there is room.
func (p *plan) spreadRest() { p.place(func(Task) []*node { return p.nodes }) }

// place gives each free task to the best candidate with room: the one with the fewest tasks of its sub-topology for its
// capacity, then with the fewest tasks, then the nearest. Tasks without one stay free.
func (p *plan) place(candidates func(Task) []*node) {
	var left []Task
	for _, t := range p.free {
		var best *node
		for _, n := range candidates(t) {
			if len(n.target) < n.quota && (best == nil || p.better(n, best, t)) {
				best = n
			}
		}
		if best == nil {
			left = append(left, t)
			continue
		}
		best.add(t)
	}
	p.free = left
}

// better reports whether a task is better on n than on o.
func (p *plan) better(n, o *node, t Task) bool {
	c := cmp.Or(
		cmp.Compare(n.bySub[t.Subtopology]*o.capacity, o.bySub[t.Subtopology]*n.capacity),
		cmp.Compare(len(n.target)*o.capacity, len(o.target)*n.capacity),
	)
	if c == 0 && p.near {
		c = cmp.Compare(crossing(p.cfg.Racks.Sources[t], n.Rack), crossing(p.cfg.Racks.Sources[t], o.Rack))
	}
	return cmp.Or(c, cmp.Compare(n.ID, o.ID)) < 0
}

func (n *node) add(t Task) {
	n.target = append(n.target, t)
	n.bySub[t.Subtopology]++
}

// result leaves out what another still owns (A1).
func (p *plan) result() Result {
	r := Result{Active: make(map[string][]Task, len(p.nodes)), Standby: make(map[string][]Task), Warmup: make(map[string][]Task), Probe: p.probe}
	for _, n := range p.nodes {
		var active []Task
		for _, t := range n.target {
			if owner, owned := p.owner[t]; owned && owner != n {
				r.Moving = append(r.Moving, t)
				if p.stateful(t) {
					n.warmup = append(n.warmup, t) // what it has of the state is kept up to date until it has the task
				}
			} else {
				active = append(active, t)
			}
		}
		slices.SortFunc(active, Compare)
		r.Active[n.ID] = active
		if len(n.standby) > 0 {
			r.Standby[n.ID] = slices.SortedFunc(slices.Values(n.standby), Compare)
		}
		if len(n.warmup) > 0 {
			r.Warmup[n.ID] = slices.SortedFunc(slices.Values(n.warmup), Compare)
		}
	}
	slices.SortFunc(r.Moving, Compare)
	return r
}
