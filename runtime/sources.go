package runtime

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/restore"
	"github.com/millrace-io/millrace/topology"
)

// layout is the topology, with the topics that patterns match, and what it runs with.
type layout struct {
	*topology.Topology
	topology.Partitions
}

// match finds out which topics the sources read (Topology.Match).
func (p *plan) match(ctx context.Context) (*topology.Topology, error) {
	if !p.topology.HasPatterns() {
		return p.topology, nil
	}
	names, err := p.client.TopicNames(ctx)
	if err != nil {
		return nil, err
	}
	t, err := p.topology.Match(p.cfg.ApplicationID, names)
	if err == nil {
		p.matched.Store(t)
	}
	return t, err
}

// count returns what the application runs with, from the partition counts of its user topics in the log.
func (p *plan) count(ctx context.Context) (layout, error) {
	t, err := p.match(ctx)
	if err != nil {
		return layout{}, err
	}
	found, err := p.client.RefreshTopics(ctx, t.UserTopics()...)
	if err != nil {
		return layout{}, err
	}
	return countOf(t, found)
}

// remembered is as count, of what is remembered of the topics.
func (p *plan) remembered(ctx context.Context) (layout, error) {
	t := p.matched.Load()
	found, err := p.client.Topics(ctx, t.UserTopics()...)
	if err != nil {
		return layout{}, err
	}
	return countOf(t, found)
}

func countOf(t *topology.Topology, found map[string]client.Topic) (layout, error) {
	counts := make(map[string]int32, len(found))
	for name, topic := range found {
		counts[name] = int32(len(topic.Partitions))
	}
	partitions, err := t.Partition(counts)
	return layout{t, partitions}, err
}

// inputs returns the partitions that a task reads: partition n of each source that has so many.
func (p *plan) inputs(sub topology.Subtopology, n int32, counts topology.Partitions) []client.TopicPartition {
	var inputs []client.TopicPartition
	for _, source := range sub.Sources {
		if n < counts.Topics[source] {
			inputs = append(inputs, client.TopicPartition{Topic: p.topology.Internal(p.cfg.ApplicationID, source), Partition: n})
		}
	}
	return inputs
}

// stale returns those of the tasks that read other partitions now than when they were described.
func (p *plan) stale(ctx context.Context, tasks map[topology.TaskID]restore.Task) ([]topology.TaskID, error) {
	now, err := p.count(ctx)
	if err != nil {
		return nil, err
	}
	var ids []topology.TaskID
	for id, t := range tasks {
		if sub, ok := now.Subtopology(id.Subtopology); ok && !slices.Equal(t.Inputs, p.inputs(sub, id.Partition, now.Partitions)) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, topology.TaskID.Compare)
	return ids, nil
}

// sources returns the topics that the tasks read, by full name.
func (p *plan) sources() []string {
	var names []string
	for _, sub := range p.matched.Load().Subtopologies() {
		for _, source := range sub.Sources {
			names = append(names, p.topology.Internal(p.cfg.ApplicationID, source))
		}
	}
	slices.SortFunc(names, strings.Compare)
	return slices.Compact(names)
}

// watchTopics asks for a rebalance when a topic that the application reads has grown, or is gone, or a pattern matches another one: the
// leader then makes new tasks, or says why the application cannot go on. Tasks that run here and read what has come are started anew.
// It ends with ctx.
func (in *instance) watchTopics(ctx context.Context) {
	var known map[string]int
	ticker := time.NewTicker(in.cfg.watchEvery)
	defer ticker.Stop()
	for {
		limited, cancel := context.WithTimeout(ctx, lookupTimeout)
		found, err := in.sourceTopics(limited)
		cancel()
		var changes []string
		if err == nil {
			changes, known = topicChanges(known, found), found
		}
		switch {
		case err != nil && ctx.Err() == nil:
			in.log.Warn("source topics cannot be looked up; they are looked up again", "in", in.cfg.watchEvery, "err", err)
		case len(changes) > 0:
			in.log.Warn("source topics have changed", "changes", strings.Join(changes, "; "))
			in.regrown.Store(true)
			in.signals.changed()
			in.member.Rejoin("source topics have changed")
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// sourceTopics looks up how many partitions the topics have that the application reads: none if a topic does not exist.
func (in *instance) sourceTopics(ctx context.Context) (map[string]int, error) {
	t, err := in.plan.match(ctx)
	if err != nil {
		return nil, err
	}
	names := t.UserTopics()
	found, err := in.client.RefreshTopics(ctx, names...)
	if err != nil {
		return nil, err
	}
	counts := make(map[string]int, len(names))
	for _, name := range names {
		counts[name] = len(found[name].Partitions)
	}
	return counts, nil
}

// topicChanges says what is another number of partitions than it was, sorted. A topic that is not there has none; before anything is known
// there are no changes.
func topicChanges(before, now map[string]int) (changes []string) {
	if before == nil {
		return nil
	}
	all := maps.Clone(before)
	maps.Copy(all, now)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if before[name] != now[name] {
			changes = append(changes, fmt.Sprintf("topic %s has %d partitions, and had %d", name, now[name], before[name]))
		}
	}
	return changes
}
