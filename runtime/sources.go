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
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// layout is the topology, with the topics that patterns match, and what it runs with.
type layout struct {
	*topology.Topology
	topology.Partitions
}

// look finds out which topics the sources read (Topology.Match), and returns what the log says of the user topics, and maybe of others. What
// patterns match and how many partitions it has are of one answer: another broker may not know yet, or any more, what one has named.
func (p *plan) look(ctx context.Context) (*topology.Topology, map[string]client.Topic, error) {
	if !p.topology.HasPatterns() {
		found, err := p.client.ExistingTopics(ctx, p.topology.UserTopics()...)
		return p.topology, found, err
	}
	all, err := p.client.AllTopics(ctx)
	if err != nil {
		return nil, nil, err
	}
	var names []string
	for name, topic := range all {
		if !topic.Internal {
			names = append(names, name)
		}
	}
	t, err := p.topology.Match(p.cfg.ApplicationID, names)
	if err != nil {
		return nil, nil, err
	}
	p.matched.Store(t)
	unseen := slices.DeleteFunc(t.UserTopics(), func(name string) bool { _, ok := all[name]; return ok })
	found, err := p.client.ExistingTopics(ctx, unseen...) // why it is not seen: it may be forbidden
	maps.Copy(all, found)
	return t, all, err
}

// count returns what the application runs with, from the partition counts of its user topics in the log.
func (p *plan) count(ctx context.Context) (layout, error) {
	t, found, err := p.look(ctx)
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
	partitions, err := t.Partition(userCounts(t, found))
	return layout{t, partitions}, err
}

// userCounts returns how many partitions the user topics have: none if a topic does not exist.
func userCounts(t *topology.Topology, found map[string]client.Topic) map[string]int32 {
	counts := make(map[string]int32)
	for _, name := range t.UserTopics() {
		counts[name] = int32(len(found[name].Partitions))
	}
	return counts
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

// stale returns those of the tasks that read other partitions now than when they were described. A task that reads nothing any more is not
// among them: the group is about to take it away.
func (p *plan) stale(ctx context.Context, tasks map[topology.TaskID]restore.Task) ([]topology.TaskID, error) {
	now, err := p.count(ctx)
	if err != nil {
		return nil, err
	}
	var ids []topology.TaskID
	for id, t := range tasks {
		sub, ok := now.Subtopology(id.Subtopology)
		if ok && id.Partition < now.Tasks[sub.Number] && !slices.Equal(t.Inputs, p.inputs(sub, id.Partition, now.Partitions)) {
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
// Topics that the application writes are looked up as often: the next transaction writes to what has come.
// It ends with ctx.
func (in *instance) watchTopics(ctx context.Context) {
	w := watch{known: in.plan.checked}
	ticker := time.NewTicker(in.cfg.watchEvery)
	defer ticker.Stop()
	for {
		limited, cancel := context.WithTimeout(ctx, lookupTimeout)
		t, found, err := in.plan.look(limited)
		if err == nil {
			in.renew(limited)
		}
		cancel()
		var changes []string
		var tell bool
		if err == nil {
			changes, tell = w.see(userCounts(t, found))
		}
		if len(changes) > 0 {
			in.log.Warn("source topics have changed", "changes", strings.Join(changes, "; "))
		}
		switch {
		case err != nil && ctx.Err() == nil:
			in.log.Warn("source topics cannot be looked up; they are looked up again", "in", in.cfg.watchEvery, "err", err)
		case tell:
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

// renew looks up what the tasks write, and whatever else is remembered of topics that are not the application's own: those have the partitions that
// it gave them, and a task for each.
func (in *instance) renew(ctx context.Context) {
	err := in.client.Renew(ctx, in.plan.owns)
	if err != nil && ctx.Err() == nil {
		in.log.Warn("topics cannot be looked up; they are looked up again", "in", in.cfg.watchEvery, "err", err)
	}
}

// owns reports whether a topic, by its full name, is internal to the application.
func (p *plan) owns(topic string) bool {
	for _, r := range p.topology.Repartition {
		if topic == p.topology.Internal(p.cfg.ApplicationID, r.Topic()) {
			return true
		}
	}
	return slices.ContainsFunc(p.topology.Stores, func(s *state.Spec) bool {
		return s.SourceTopic == "" && topic == topology.ChangelogTopic(p.cfg.ApplicationID, s.Name)
	})
}

// watch is what is known of the partition counts of user topics.
type watch struct {
	known map[string]int32
	again bool
}

// see takes what a look-up has found. It returns what has changed, and whether those are to be told who ask the log what to make of it:
// after the next look-up once more, for brokers learn of a change one after the other, and the one they asked may not have known of it.
func (w *watch) see(found map[string]int32) (changes []string, tell bool) {
	changes = topicChanges(w.known, found)
	tell = w.again || len(changes) > 0
	w.known, w.again = found, len(changes) > 0
	return changes, tell
}

// topicChanges says what is another number of partitions than it was, sorted. A topic that is not there has none.
func topicChanges(before, now map[string]int32) (changes []string) {
	all := maps.Clone(before)
	maps.Copy(all, now)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if before[name] != now[name] {
			changes = append(changes, fmt.Sprintf("topic %s has %d partitions, and had %d", name, now[name], before[name]))
		}
	}
	return changes
}
