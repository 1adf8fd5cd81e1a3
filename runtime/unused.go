package runtime

import (
	"slices"
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
