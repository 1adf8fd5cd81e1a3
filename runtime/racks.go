package runtime

import (
	"context"

	"github.com/millrace-io/millrace/runtime/internal/assign"
	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/member"
)

// RackStrategy says what the assignment of tasks does about traffic between racks (KIP-925).
type RackStrategy uint8

// The strategies.
const (
	// AnyRack does not look at racks (none).
	AnyRack RackStrategy = iota
	// MinTraffic exchanges tasks, and copies of states, between instances so that what they read has a replica in their rack as far as
	// possible (min_traffic). How many an instance has stays. Tasks of one sub-topology may gather on few instances.
	MinTraffic
	// BalanceSubtopology does so too, but spreads the tasks of each sub-topology over the instances (balance_subtopology).
	BalanceSubtopology
)

// Costs where Config does not say: of a partition that is read from another rack, and of a task that moves.
const (
	availableTraffic, availableNonOverlap = 10, 1
	stickyTraffic, stickyNonOverlap       = 1, 10
)

// assignConfig says what is wanted of package assign.
func (c *Config) assignConfig(sticky bool) assign.Config {
	racks := assign.Racks{Strategy: assign.AnyRack, Traffic: availableTraffic, NonOverlap: availableNonOverlap}
	switch c.RackAwareStrategy {
	case AnyRack:
	case MinTraffic:
		racks.Strategy = assign.MinTraffic
	case BalanceSubtopology:
		racks.Strategy = assign.BalanceSubtopology
	}
	if sticky {
		racks.Traffic, racks.NonOverlap = stickyTraffic, stickyNonOverlap
	}
	if c.RackAwareTrafficCost != 0 {
		racks.Traffic = max(0, int64(c.RackAwareTrafficCost))
	}
	if c.RackAwareNonOverlapCost != 0 {
		racks.NonOverlap = max(0, int64(c.RackAwareNonOverlapCost))
	}
	return assign.Config{
		Standbys:      c.NumStandbyReplicas,
		AcceptableLag: c.AcceptableRecoveryLag,
		MaxWarmups:    c.MaxWarmupReplicas,
		Spread:        c.RackAwareTags,
		Sticky:        sticky,
		Racks:         racks,
	}
}

// locate finds out where the data of the tasks is, if anybody wants to know.
func (p *plan) locate(ctx context.Context, tasks []member.TaskInputs) error {
	if p.cfg.RackAwareStrategy == AnyRack && p.cfg.Assignor == nil {
		return nil
	}
	seen := make(map[string]bool)
	var topics []string
	for i := range tasks {
		for _, of := range [][]client.TopicPartition{tasks[i].Inputs, tasks[i].Changelogs} {
			for _, tp := range of {
				if !seen[tp.Topic] {
					seen[tp.Topic] = true
					topics = append(topics, tp.Topic)
				}
			}
		}
	}
	racks, err := p.client.Racks(ctx, topics...)
	if err != nil {
		return err
	}
	of := func(partitions []client.TopicPartition) [][]string {
		found := make([][]string, len(partitions))
		for i, tp := range partitions {
			found[i] = racks[tp]
		}
		return found
	}
	for i := range tasks {
		tasks[i].InputRacks, tasks[i].ChangelogRacks = of(tasks[i].Inputs), of(tasks[i].Changelogs)
	}
	return nil
}
