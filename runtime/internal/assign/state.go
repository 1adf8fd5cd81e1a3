package assign

import (
	"cmp"
	"slices"
)

// lag returns how many records of the task's state are missing on the node. A task without state has no lag anywhere.
func (p *plan) lag(n *node, t Task) int64 {
	size, stateful := p.cfg.State[t]
	switch lag, known := n.Lags[t]; {
	case !stateful || p.owner[t] == n:
		return 0
	case n.had[t] && known && lag >= 0:
		return lag
	case n.had[t] && !known:
		return 0
	}
	return max(size, 0)
}

// caughtUp reports whether the node may run the task without a long restore.
func (p *plan) caughtUp(n *node, t Task) bool { return p.lag(n, t) <= p.cfg.AcceptableLag }

// missing is how much of the task's state is missing on the node, in coarse steps, so that a copy that is on its way stays where it is.
func (p *plan) missing(n *node, t Task) int {
	switch {
	case p.owner[t] != n && !n.had[t]:
		return 2
	case !p.caughtUp(n, t):
		return 1
	}
	return 0
}

// caughtUpElsewhere reports whether another node than its owner has the task's state.
func (p *plan) caughtUpElsewhere(t Task, owner *node) bool {
	return slices.ContainsFunc(p.nodes, func(n *node) bool { return n != owner && n.had[t] && p.caughtUp(n, t) })
}

// warmUp leaves tasks whose state is not yet where they belong with the node that lacks the least, above its share if need be, and
// has some of the states made ready (A5).
func (p *plan) warmUp() {
	type move struct {
		t        Task
		from, to *node
	}
	var moves []move
	for _, to := range p.nodes {
		for _, t := range to.target {
			if p.caughtUp(to, t) {
				continue
			}
			best := to
			for _, n := range p.nodes {
				if p.lag(n, t) < p.lag(best, t) || p.lag(n, t) == p.lag(best, t) && p.owner[t] == n {
					best = n
				}
			}
			if best != to {
				moves = append(moves, move{t, best, to})
			}
		}
	}
	// Those that have come furthest go on, so that they end.
	slices.SortFunc(moves, func(a, b move) int {
		return cmp.Or(cmp.Compare(p.lag(a.to, a.t), p.lag(b.to, b.t)), Compare(a.t, b.t))
	})
	for i, m := range moves {
		m.to.remove(m.t)
		m.from.add(m.t)
		if i < p.cfg.MaxWarmups {
			m.to.warmup = append(m.to.warmup, m.t)
		}
	}
	p.probe = len(moves) > 0
}

func (n *node) remove(t Task) {
	n.target = slices.DeleteFunc(n.target, func(o Task) bool { return o == t })
	n.bySub[t.Subtopology]--
}

// standBy gives each state its copies, on instances that do not run the task or warm it up (A6).
func (p *plan) standBy() {
	if p.cfg.Standbys <= 0 {
		return
	}
	holders := make(map[Task][]*node)
	for _, n := range p.nodes {
		for _, t := range slices.Concat(n.target, n.warmup) {
			holders[t] = append(holders[t], n)
		}
	}
	sum, copies := 0, 0
	for _, n := range p.nodes {
		sum += n.capacity
	}
	for _, t := range p.tasks {
		if p.stateful(t) {
			copies += min(p.cfg.Standbys, len(p.nodes)-1)
		}
	}
	layers := make([][]placedAt, p.cfg.Standbys)
	for i := range layers { // the first copy of all before the second of any
		for _, t := range p.tasks {
			if !p.stateful(t) {
				continue
			}
			if n := p.bestStandby(t, holders[t], copies, sum); n != nil {
				layers[i] = append(layers[i], placedAt{t, n})
				n.standby = append(n.standby, t)
				holders[t] = append(holders[t], n)
			}
		}
	}
	if p.near {
		for _, layer := range layers {
			p.moveCopiesNear(layer, holders)
		}
	}
}

// bestStandby returns the node for one more copy of the task's state, nil if every node holds it.
func (p *plan) bestStandby(t Task, holders []*node, copies, sum int) *node {
	var best *node
	for _, n := range p.nodes {
		if !slices.Contains(holders, n) && (best == nil || p.betterStandby(n, best, t, holders, copies, sum) < 0) {
			best = n
		}
	}
	return best
}

// betterStandby is negative if a copy is better on n than on o: first, where less is lost with one place; then, where there is room;
// then, where the state is; then, where there are the fewest. If copies are exchanged afterwards, that is where states count: what
// is exchanged is then the same however far the states have come, and so is what comes of it (A4).
func (p *plan) betterStandby(n, o *node, t Task, holders []*node, copies, sum int) int {
	full := func(x *node) int {
		if len(x.standby)*sum >= copies*x.capacity { // at its share, or above
			return 1
		}
		return 0
	}
	missing := 0
	if !p.near {
		missing = cmp.Compare(p.missing(n, t), p.missing(o, t))
	}
	return cmp.Or(
		p.compareSpread(n, o, holders),
		cmp.Compare(full(n), full(o)),
		missing,
		cmp.Compare(len(n.standby)*o.capacity, len(o.standby)*n.capacity),
		cmp.Compare(n.ID, o.ID),
	)
}

// compareSpread is negative if n shares fewer places with the holders than o.
func (p *plan) compareSpread(n, o *node, holders []*node) int {
	for _, tag := range p.cfg.Spread {
		shared := func(x *node) (count int) {
			for _, h := range holders {
				if h.Tags[tag] == x.Tags[tag] {
					count++
				}
			}
			return count
		}
		if c := cmp.Compare(shared(n), shared(o)); c != 0 {
			return c
		}
	}
	return 0
}
