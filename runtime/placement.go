package runtime

import (
	"slices"

	"github.com/millrace-io/millrace/topology"
)

// placement says which of an instance's workers runs which task. It is pure: no protocol is needed to move a task between
// the workers of one instance (DESIGN D7).
type placement [][]topology.TaskID // by worker, sorted

// relocation is a task that has to change its worker.
type relocation struct {
	task     topology.TaskID
	from, to int
}

// place gives new tasks to the workers with the fewest, in order of task ids, so that the tasks of one sub-topology, which
// tend to cost alike, are spread evenly. It returns what each worker gets.
func (p placement) place(tasks []topology.TaskID) placement {
	given := make(placement, len(p))
	tasks = slices.Clone(tasks)
	slices.SortFunc(tasks, topology.TaskID.Compare)
	for _, t := range tasks {
		w := p.extreme(func(n, best int) bool { return n < best })
		p[w] = append(p[w], t)
		slices.SortFunc(p[w], topology.TaskID.Compare)
		given[w] = append(given[w], t)
	}
	return given
}

// level moves tasks until no worker has two more than another, and returns the moves.
func (p placement) level() []relocation {
	var moves []relocation
	for {
		from := p.extreme(func(n, best int) bool { return n > best })
		to := p.extreme(func(n, best int) bool { return n < best })
		if len(p[from]) < len(p[to])+2 {
			return moves
		}
		last := len(p[from]) - 1
		t := p[from][last]
		p[from] = p[from][:last]
		p[to] = append(p[to], t)
		slices.SortFunc(p[to], topology.TaskID.Compare)
		moves = append(moves, relocation{task: t, from: from, to: to})
	}
}

// remove takes a task out and reports which worker had it.
func (p placement) remove(t topology.TaskID) (int, bool) {
	for w, tasks := range p {
		if i := slices.Index(tasks, t); i >= 0 {
			p[w] = slices.Delete(tasks, i, i+1)
			return w, true
		}
	}
	return 0, false
}

// all returns every task, sorted.
func (p placement) all() []topology.TaskID {
	var all []topology.TaskID
	for _, tasks := range p {
		all = append(all, tasks...)
	}
	slices.SortFunc(all, topology.TaskID.Compare)
	return all
}

func (p placement) extreme(better func(n, best int) bool) int {
	best := 0
	for w := range p {
		if better(len(p[w]), len(p[best])) {
			best = w
		}
	}
	return best
}
