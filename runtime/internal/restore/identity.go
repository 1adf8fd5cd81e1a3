package restore

import (
	"fmt"

	"github.com/millrace-io/millrace/runtime/internal/commit"
	"github.com/millrace-io/millrace/state"
)

// bounds of a changelog partition: where it starts, and the high watermark up to which it is restored.
type bounds struct{ start, end int64 }

// verdict says what a store's position is worth.
type verdict uint8

const (
	trust   verdict = iota // go on from the position
	begin                  // a new store: start at the changelog's start
	rebuild                // empty it, then as begin, loudly
	refuse                 // touch nothing
)

// judge compares a store's position with the changelog that it is to be restored from (T2). why explains all but trust
// and begin.
func judge(have state.Position, known bool, want state.Position, log bounds) (v verdict, why string) {
	switch {
	case !known:
		return begin, ""
	case have.ClusterID != want.ClusterID:
		why = fmt.Sprintf("the store belongs to cluster %q, the log is cluster %q", have.ClusterID, want.ClusterID)
	case have.TopicID != want.TopicID:
		why = fmt.Sprintf("the topic was deleted and created again: the store knows topic id %x, the log has %x", have.TopicID, want.TopicID)
	case have.Partition != want.Partition:
		why = fmt.Sprintf("the store belongs to partition %d", have.Partition)
	case have.Next > log.end:
		why = fmt.Sprintf("offset %d past log end %d", have.Next, log.end)
	case have.Next < log.start:
		why = fmt.Sprintf("offset %d below log start %d", have.Next, log.start)
	default:
		return trust, ""
	}
	if log.start == log.end && have.Next > 0 {
		return refuse, why
	}
	return rebuild, why
}

// begin decides where restoring a store starts, after emptying it if it cannot be trusted.
func (r *Restorer) begin(t *Task, s *Store, log bounds, committed bool) (int64, error) {
	have, known := s.State.Position()
	want := state.Position{ClusterID: r.cfg.ClusterID, TopicID: s.TopicID, Partition: s.Changelog.Partition, Next: log.start}
	v, why := judge(have, known, want, log)
	if v == refuse && s.Row != nil {
		v = rebuild // the input was set back to its start: all of it will be processed again
	}
	switch {
	case v == refuse:
		return 0, commit.Fatal(fmt.Errorf("%s, and the changelog is empty while the store is not; nothing was touched. "+
			"Use the log that this state belongs to, or remove %s to begin anew", why, r.cfg.StateDir))
	case v == trust && r.cfg.ExactlyOnce && !committed && have.Next > log.start:
		// No offset at all, but a store that may hold something: only the whole changelog tells whether it does (T3).
	case v == trust:
		return have.Next, nil
	case v == rebuild:
		r.cfg.Logger.Warn("store does not fit its changelog; wiping and rebuilding it",
			"task", t.ID.String(), "store", s.Name, "topic", s.Changelog.Topic, "partition", s.Changelog.Partition, "why", why)
	}
	return log.start, s.State.Reset(want)
}
