package runtime

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// unusedStores are the stores on this disk whose tasks neither run here nor are kept as standbys. They are removed after a while:
// their changelogs have them. A store that is not logged stays, and so does one that the topology does not know, which another version of
// the program may.
type unusedStores struct {
	since map[state.StorePartition]time.Time
	next  time.Time // of the next look
}

// lookEvery is how often unused stores are looked for at the latest.
const lookEvery = time.Minute

// removeUnused removes one store that has been unused for StateCleanupDelay, if there is one: removing takes a while, and may have to wait.
func (s *supervisor) removeUnused(now time.Time) error {
	delay := s.cfg.StateCleanupDelay
	if delay < 0 || now.Before(s.unused.next) {
		return nil
	}
	s.unused.next = now.Add(min(delay/2, lookEvery))
	held, err := s.db.Positions()
	if err != nil {
		return err
	}
	since := make(map[state.StorePartition]time.Time)
	var oldest state.StorePartition
	found := false
	for sp := range held {
		if !s.mayRemove(sp) {
			continue
		}
		at, ok := s.unused.since[sp]
		if !ok {
			at = now
		}
		since[sp] = at
		if now.Sub(at) >= delay && (!found || since[sp].Before(since[oldest])) {
			oldest, found = sp, true
		}
	}
	s.unused.since = since
	if !found {
		return nil
	}
	s.log.Info("removing a store that was not used here", "store", oldest.Store, "partition", oldest.Partition,
		"for", now.Sub(since[oldest]).Round(time.Second))
	delete(since, oldest)
	s.unused.next = now // there may be more
	return s.db.Remove(oldest)
}

// mayRemove reports whether a logged store of the topology is used by nobody here.
func (s *supervisor) mayRemove(sp state.StorePartition) bool {
	for _, sub := range s.topology.Subtopologies() {
		if slices.ContainsFunc(s.logged(sub), func(spec *state.Spec) bool { return spec.Name == sp.Store }) {
			id := topology.TaskID{Subtopology: sub.Number, Partition: sp.Partition}
			_, runs := s.specs[id]
			return !runs && !slices.Contains(s.copies, id)
		}
	}
	return false
}

// watchTopics asks for a rebalance when a topic that the application reads has grown, or is gone: the leader then makes new tasks,
// or says why the application cannot go on. It ends with ctx.
func (in *instance) watchTopics(ctx context.Context) {
	known := make(map[string]int)
	topics := in.topology.UserTopics()
	ticker := time.NewTicker(in.cfg.watchEvery)
	defer ticker.Stop()
	for first := true; ; first = false {
		limited, cancel := context.WithTimeout(ctx, lookupTimeout)
		found, err := in.client.RefreshTopics(limited, topics...)
		cancel()
		var changes []string
		for _, name := range topics {
			if err != nil {
				break
			}
			n := len(found[name].Partitions)
			if had := known[name]; !first && n != had {
				changes = append(changes, fmt.Sprintf("topic %s has %d partitions, and had %d", name, n, had))
			}
			known[name] = n
		}
		switch {
		case err != nil && ctx.Err() == nil:
			in.log.Warn("source topics cannot be looked up; they are looked up again", "in", in.cfg.watchEvery, "err", err)
		case len(changes) > 0:
			in.log.Warn("source topics have changed", "changes", strings.Join(changes, "; "))
			in.member.Rejoin("source topics have changed")
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
