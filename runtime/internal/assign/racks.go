package assign

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
)

// Strategy says what is done about traffic between racks (rack.aware.assignment.strategy).
type Strategy uint8

// The strategies.
const (
	// AnyRack does not look at racks.
	AnyRack Strategy = iota
	// MinTraffic has the least cost, whatever the tasks of one sub-topology gather on.
	MinTraffic
	// BalanceSubtopology spreads the tasks of each sub-topology over the instances first, and has the least cost among such targets.
	BalanceSubtopology
)

// Racks says where data lies, and what it costs to fetch it from elsewhere (KIP-925).
type Racks struct {
	Strategy Strategy
	// Traffic is what one partition costs that is read by an instance in whose rack it has no replica; NonOverlap what it costs to move a
	// task with state. Tasks without state are moved for any traffic that it saves.
	Traffic, NonOverlap int64
	// Sources and Changelogs are, for each partition that a task reads or has its state in, the racks of its replicas.
	Sources, Changelogs map[Task][][]string
}

// What tasks without state cost, whatever is configured.
const (
	statelessTraffic    = 1
	statelessNonOverlap = 0
)

var errNoRacks = errors.New("the strategy does not look at racks")

// CheckRacks says why racks cannot be looked at: only if all instances and all partitions have one is it known what an assignment costs. nil:
// they can.
func CheckRacks(instances []Instance, tasks []Task, cfg Config) error {
	if cfg.Racks.Strategy == AnyRack {
		return errNoRacks
	}
	for _, in := range instances {
		if in.Rack == "" {
			return fmt.Errorf("instance %s has no rack", in.ID)
		}
	}
	known := func(racks [][]string) bool {
		return !slices.ContainsFunc(racks, func(of []string) bool { return len(of) == 0 })
	}
	for _, t := range tasks {
		if !known(cfg.Racks.Sources[t]) {
			return fmt.Errorf("task %v reads a partition none of whose brokers has a rack", t)
		}
		if _, stateful := cfg.State[t]; stateful && cfg.Standbys > 0 && !known(cfg.Racks.Changelogs[t]) {
			return fmt.Errorf("task %v has a changelog none of whose brokers has a rack", t)
		}
	}
	return nil
}

// crossing is how many of the partitions have no replica in the rack.
func crossing(partitions [][]string, rack string) (n int64) {
	for _, racks := range partitions {
		if !slices.Contains(racks, rack) {
			n++
		}
	}
	return n
}

// moveNear exchanges the tasks of a class, which all have a place, until no exchange lowers the cost. How many a node has stays. Where
// nothing is gained nothing moves: what was reached is reached again (A4).
func (p *plan) moveNear(c class) {
	traffic, nonOverlap := int64(statelessTraffic), int64(statelessNonOverlap)
	if c.stateful {
		traffic, nonOverlap = p.cfg.Racks.Traffic, p.cfg.Racks.NonOverlap
	}
	at := make(map[Task]int, len(p.tasks))
	for i, n := range p.nodes {
		for _, t := range n.target {
			at[t] = i
		}
	}
	e := newExchange(len(p.nodes))
	for _, t := range c.tasks {
		costs := make([]int64, len(p.nodes))
		for i, n := range p.nodes {
			cost := traffic * crossing(p.cfg.Racks.Sources[t], n.Rack)
			if !p.atHome(n, t) {
				cost += nonOverlap
			}
			costs[i] = p.ranked(cost, n, t)
		}
		e.add(at[t], t.Subtopology, costs)
	}
	if p.cfg.Racks.Strategy == BalanceSubtopology {
		e.spread()
	}
	for k, to := range e.run() {
		if t := c.tasks[k]; to != at[t] {
			p.nodes[at[t]].remove(t)
			p.nodes[to].add(t)
		}
	}
}

// atHome reports whether a task stays where it is if the node has it: where it runs, or if it runs nowhere, where its state is.
func (p *plan) atHome(n *node, t Task) bool {
	if owner := p.owner[t]; owner != nil {
		return owner == n
	}
	return n.had[t] && p.caughtUp(n, t)
}

// ranked has the cost decide, and among targets of one cost what lacks the least of the states: the number of digits, in base two, of
// the thousands of records that are missing.
func (p *plan) ranked(cost int64, n *node, t Task) int64 {
	const ranks = 32
	rank := 0
	switch {
	case p.owner[t] == n:
	case n.had[t]:
		rank = 1 + min(bits.Len64(uint64(p.lag(n, t)/1000)), ranks-3)
	default:
		rank = ranks - 1
	}
	return cost*int64(ranks*len(p.tasks)) + int64(rank)
}

// placedAt is a copy of a task's state and where it lies.
type placedAt struct {
	Task
	at *node
}

// moveCopiesNear exchanges copies, at most one of each task, until no exchange lowers the cost: not to where the task or another copy is, nor
// to where more is lost with one place. How many a node has stays.
func (p *plan) moveCopiesNear(copies []placedAt, holders map[Task][]*node) {
	index := make(map[*node]int, len(p.nodes))
	for i, n := range p.nodes {
		index[n] = i
	}
	e := newExchange(len(p.nodes))
	for _, c := range copies {
		others := slices.DeleteFunc(slices.Clone(holders[c.Task]), func(n *node) bool { return n == c.at })
		costs := make([]int64, len(p.nodes))
		for i, n := range p.nodes {
			if slices.Contains(others, n) || p.compareSpread(n, c.at, others) > 0 {
				costs[i] = forbidden
				continue
			}
			cost := p.cfg.Racks.Traffic * crossing(p.cfg.Racks.Changelogs[c.Task], n.Rack)
			if p.missing(n, c.Task) == 2 {
				cost += p.cfg.Racks.NonOverlap
			}
			costs[i] = p.ranked(cost, n, c.Task)
		}
		e.add(index[c.at], 0, costs)
	}
	for k, to := range e.run() {
		c, n := copies[k], p.nodes[to]
		if n == c.at {
			continue
		}
		c.at.standby = slices.DeleteFunc(c.at.standby, func(t Task) bool { return t == c.Task })
		n.standby = append(n.standby, c.Task)
		holders[c.Task][slices.Index(holders[c.Task], c.at)] = n
	}
}
