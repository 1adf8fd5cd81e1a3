package restore

import (
	"fmt"
	"log/slog"

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

// truncated says what is missing in a store that is made of a changelog whose beginning was deleted, and what to do; nothing if it is all there.
// Compaction keeps the last record of each key and leaves the start where it is, so somebody has deleted records, or had the log delete them.
func (s *Store) truncated(log bounds) (missing, advice string) {
	if s.Row != nil || s.Expires || log.start == 0 {
		return "", ""
	}
	missing = fmt.Sprintf("the records of %s below offset %d were deleted (by DeleteRecords, or by a cleanup.policy with delete): "+
		"what only they held is not in the store, and counts may be too low", partitionName(s.Changelog), log.start)
	return missing, "to have it exact, reset the application, so that it processes all of its input again: stop all instances, delete the group's " +
		"offsets, the application's internal topics and the state directories"
}

// warnTruncated says so of a store that is about to be made anew.
func warnTruncated(l *slog.Logger, s *Store, log bounds) {
	if missing, advice := s.truncated(log); missing != "" {
		l.Warn("the changelog was truncated", "missing", missing, "advice", advice)
	}
}

// begin decides where restoring a store starts, after emptying it if it cannot be trusted.
func (r *Restorer) begin(t *Task, s *Store, log bounds, committed bool, ages map[string]age) (int64, error) {
	have, known := s.State.Position()
	now := r.cfg.Now()
	want := state.Position{
		ClusterID: r.cfg.ClusterID, TopicID: s.TopicID, Partition: s.Changelog.Partition, Next: log.start, AsOf: now.UnixMilli(),
	}
	v, why := judge(have, known, want, log)
	switch {
	case v != trust || s.Row != nil:
	case misses(have, log, r.cfg.ExactlyOnce):
		v, why = ages[s.Changelog.Topic].judge(have, now)
	default:
		s.State.CompleteAsOf(now.UnixMilli())
	}
	if v == refuse && s.Row != nil {
		v = rebuild // the input was set back to its start: all of it will be processed again
	}
	said := r.cfg.Logger.With("task", t.ID.String(), "store", s.Name, "topic", s.Changelog.Topic, "partition", s.Changelog.Partition)
	switch {
	case v == refuse:
		return 0, commit.Fatal(fmt.Errorf("%s, and the changelog is empty while the store is not; nothing was touched. "+
			"Use the log that this state belongs to, or remove %s to begin anew", why, r.cfg.StateDir))
	case v == trust && r.cfg.ExactlyOnce && !committed && have.Next > log.start:
		// No offset at all, but a store that may hold something: only the whole changelog tells whether it does (T3).
	case v == trust:
		return have.Next, nil
	case v == rebuild:
		said.Warn("store does not fit its changelog; wiping and rebuilding it", "why", why)
	}
	warnTruncated(said, s, log)
	return log.start, s.State.Reset(want)
}
