package assign

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Target is who is to have what in the end, by instance.
type Target map[string]Place

// Place is what one instance is to have: the tasks that it runs, and those whose state it keeps a copy of.
type Place struct{ Active, Standby []Task }

// Decide returns what Assign leads to. The copies of a Target include what is made ready. probe says that tasks are not yet where they belong, for
// their state is not.
func Decide(instances []Instance, tasks []Task, cfg Config) (target Target, probe bool) {
	p := decide(instances, tasks, cfg)
	target = make(Target, len(p.nodes))
	for _, n := range p.nodes {
		target[n.ID] = Place{Active: slices.SortedFunc(slices.Values(n.target), Compare), Standby: slices.SortedFunc(slices.Values(slices.Concat(n.standby, n.warmup)), Compare)}
	}
	return target, p.probe
}

// Apply takes the steps to a target: a task that another instance runs is taken from it first (A1). Of cfg only State counts.
//
// A target must name every instance, no other one, and every task once as active. Copies are of tasks with state, and not where the task runs or
// another copy is (KIP-924; it lets tasks be left out). The error names all faults.
func Apply(instances []Instance, tasks []Task, target Target, cfg Config) (Result, error) {
	p := newPlan(instances, tasks, cfg)
	if err := p.check(target); err != nil {
		return Result{}, err
	}
	for _, n := range p.nodes {
		place := target[n.ID]
		n.target, n.standby = place.Active, place.Standby
	}
	return p.result(), nil
}

// check returns what is wrong with a target.
func (p *plan) check(target Target) error {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	known := make(map[string]bool, len(p.nodes))
	for _, n := range p.nodes {
		known[n.ID] = true
		if _, ok := target[n.ID]; !ok {
			fault("instance %s is missing", n.ID)
		}
	}
	runs := make(map[Task]string, len(p.tasks))
	for _, id := range slices.Sorted(maps.Keys(target)) {
		if !known[id] {
			fault("there is no instance %s", id)
		}
		for _, t := range target[id].Active {
			switch other, twice := runs[t]; {
			case !p.has(t):
				fault("there is no task %v, which instance %s is to run", t, id)
			case twice:
				fault("task %v is to run on instance %s and on instance %s", t, other, id)
			}
			runs[t] = id
		}
		for i, t := range target[id].Standby {
			switch {
			case !p.has(t):
				fault("there is no task %v, of which instance %s is to keep a copy", t, id)
			case !p.stateful(t):
				fault("task %v, of which instance %s is to keep a copy, has no state", t, id)
			case slices.Contains(target[id].Active, t), slices.Contains(target[id].Standby[:i], t):
				fault("instance %s is to have task %v twice", id, t)
			}
		}
	}
	for _, t := range p.tasks {
		if _, ok := runs[t]; !ok {
			fault("task %v is to run nowhere", t)
		}
	}
	return errors.Join(errs...)
}

func (p *plan) has(t Task) bool {
	_, ok := slices.BinarySearchFunc(p.tasks, t, Compare)
	return ok
}

// String is the task's id, as Kafka Streams writes it: 0_3.
func (t Task) String() string { return fmt.Sprintf("%d_%d", t.Subtopology, t.Partition) }
