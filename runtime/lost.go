package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/commit"
	"github.com/millrace-io/millrace/topology"
)

// lostChangelogs keeps the leader from creating a changelog anew that was there before: the group's offsets would stand for what is not in
// the store. A store that an upgrade adds has never had one; what was written down of the topology tells the two apart (DESIGN D10). Where
// nothing was written down, the changelog is created, loudly.
func (p *plan) lostChangelogs(ctx context.Context, now layout) error {
	internal := now.InternalTopics(p.cfg.ApplicationID, now.Partitions)
	written := topologyTopic(p.cfg.ApplicationID)
	names := []string{written}
	for _, t := range internal {
		names = append(names, t.Name)
	}
	found, err := p.client.ExistingTopics(ctx, names...)
	if err != nil {
		return fmt.Errorf("look up internal topics: %w", err)
	}
	missing := slices.DeleteFunc(internal, func(t topology.InternalTopic) bool {
		_, ok := found[t.Name]
		return ok || t.Store == ""
	})
	if len(missing) == 0 {
		return nil
	}
	var had []string
	known := false
	if _, ok := found[written]; ok {
		form, err := p.lastRecorded(ctx)
		if err != nil {
			p.cfg.Logger.Warn("what the topology was cannot be read", "topic", written, "err", err)
		}
		had, known = topology.LoggedStores(form)
	}
	var errs []error
	for _, t := range missing {
		if known && !slices.Contains(had, t.Store) {
			continue // it is new
		}
		at, err := p.begun(ctx, t.Store, now, found)
		switch {
		case err != nil:
			return err
		case at == "":
		case known:
			errs = append(errs, fmt.Errorf("store %q: its changelog topic %s is gone, though group %s has committed %s: it was deleted, and with it "+
				"what the store held; an empty one would give wrong results. Reset the application, so that it processes all of its input "+
				"again: stop all instances, delete the group's offsets, the topics named %s-… that it has made, and the state directories. Or, to go "+
				"on without what is lost, create topic %s (partitions: %d, %s)", t.Store, t.Name, p.cfg.ApplicationID, at,
				p.cfg.ApplicationID, t.Name, t.Partitions, "cleanup.policy="+t.Settings["cleanup.policy"]))
		default:
			p.cfg.Logger.Warn("a changelog is created for input that was processed before. If the store is not new, its changelog was deleted, and what "+
				"the store held is lost: then reset the application, so that it processes all of its input again",
				"store", t.Store, "topic", t.Name, "committed", at)
		}
	}
	if len(errs) > 0 {
		return commit.Fatal(errors.Join(errs...))
	}
	return nil
}

// begun returns the first input of a store's tasks that the group has processed something of, with the offset; empty if there is none. An
// offset at the start of a user topic may have been set, and says nothing; repartition topics are purged up to it.
func (p *plan) begun(ctx context.Context, store string, now layout, found map[string]client.Topic) (string, error) {
	user := make(map[string]bool)
	for _, name := range now.UserTopics() {
		user[name] = true
	}
	var inputs, read []client.TopicPartition
	for _, sub := range now.Subtopologies() {
		for n := range now.Tasks[sub.Number] {
			if slices.Contains(sub.Stores, store) {
				inputs = append(inputs, p.inputs(sub, n, now.Partitions)...)
			}
		}
	}
	inputs = slices.DeleteFunc(inputs, func(tp client.TopicPartition) bool { return !user[tp.Topic] && len(found[tp.Topic].Partitions) == 0 })
	committed, err := p.client.CommittedOffsets(ctx, p.cfg.ApplicationID, inputs) // no member is committing: they join
	if err != nil {
		return "", err
	}
	for _, tp := range inputs {
		if user[tp.Topic] {
			read = append(read, tp)
		}
	}
	starts, err := p.client.ListOffsets(ctx, client.LogStart, read)
	if err != nil {
		return "", err
	}
	for _, tp := range inputs {
		at := committed[tp].Offset
		if at > 0 && (!user[tp.Topic] || at != starts[tp]) {
			return fmt.Sprintf("offset %d of %s-%d", at, tp.Topic, tp.Partition), nil
		}
	}
	return "", nil
}

// grown explains why an internal topic has not as many partitions as are needed.
func (p *plan) grown(ctx context.Context, mismatch *client.PartitionCountError, now layout) error {
	form, err := p.lastRecorded(ctx)
	if err != nil {
		p.cfg.Logger.Warn("what the topology was cannot be read", "topic", topologyTopic(p.cfg.ApplicationID), "err", err)
	}
	had := topology.SourcePartitions(form)
	var changed, all []string
	for _, name := range now.UserTopics() {
		has, ok := now.Topics[name]
		if !ok {
			continue // a global table's: no task reads it
		}
		all = append(all, fmt.Sprintf("%s has %d", name, has))
		if was := had[name]; was > 0 && was != has {
			changed = append(changed, fmt.Sprintf("topic %s has %d partitions, and had %d", name, has, was))
		}
	}
	why := strings.Join(changed, "; ")
	if why == "" {
		why = "partitions of a topic that the application reads were added, or the topology has changed (of the topics " + strings.Join(all, ", ") + ")"
	}
	return commit.Fatal(fmt.Errorf("internal %w: %s. Keys would move away from their state. "+
		"Reset the application, or run it under another ApplicationID", mismatch, why))
}
