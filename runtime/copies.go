package runtime

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/assign"
	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/member"
	"github.com/millrace-io/millrace/runtime/internal/planted"
	"github.com/millrace-io/millrace/runtime/internal/restore"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// RestoreEvent is one step of bringing a store to where its changelog ends: of a task that is to run here, or of a copy that is kept.
type RestoreEvent = restore.Event

// RestoreEventKind says what a RestoreEvent tells.
type RestoreEventKind = restore.EventKind

// The kinds of RestoreEvent.
const (
	// RestoreStarted: records are going to be read, from Next to End (onRestoreStart, onUpdateStart).
	RestoreStarted = restore.Started
	// RestoreProgressed: a batch is in the store (onBatchRestored, onBatchLoaded).
	RestoreProgressed = restore.Progressed
	// RestoreEnded: the store is at End (onRestoreEnd). A standby's never ends.
	RestoreEnded = restore.Ended
	// RestoreSuspended: it goes no further here, for now (onRestoreSuspended, onUpdateSuspended).
	RestoreSuspended = restore.Suspended
)

// openKeeper makes what keeps standbys and warm-ups up to date.
func (in *instance) openKeeper(context.Context) error {
	f, err := client.NewFetcher(in.client, client.FetcherConfig{BufferBytes: keeperBytes, ReadUncommitted: planted.Is(planted.CopyUncommitted)})
	if err != nil {
		return err
	}
	in.closeLater(func() error { f.Close(); return nil })
	in.keeper = restore.NewKeeper(restore.KeeperConfig{
		ClusterID:   in.client.ClusterID(),
		Log:         in.client,
		Fetcher:     f,
		Near:        in.cfg.AcceptableRecoveryLag,
		Changed:     in.signals.changed,
		ExactlyOnce: in.cfg.Guarantee == ExactlyOnce,
		Listen:      in.cfg.RestoreListener,
		Logger:      in.log,
		Now:         in.cfg.Now,
	})
	return nil
}

// runKeeper ends without an error when ctx does.
func (in *instance) runKeeper(ctx context.Context) error {
	if err := in.keeper.Run(ctx); err != nil {
		return fmt.Errorf("standby tasks: %w", err)
	}
	<-ctx.Done() // a part that ends ends the instance
	return context.Canceled
}

// keeperBytes bounds what is fetched for standbys and not yet in their stores.
const keeperBytes = 16 << 20

// keepCopies has the copies kept that the group wants here. After it the tasks that are to run here belong to nobody.
func (s *supervisor) keepCopies(ctx context.Context, a *member.Assignment) error {
	var wanted []topology.TaskID
	for _, t := range slices.Concat(a.Standby, a.Warmup) {
		if id := taskID(t); !slices.Contains(a.Tasks, t) && !slices.Contains(wanted, id) {
			wanted = append(wanted, id)
		}
	}
	slices.SortFunc(wanted, topology.TaskID.Compare)
	if slices.Equal(wanted, s.copies) {
		return nil
	}
	specs, err := s.plan.tasks(ctx, s.db, wanted)
	if err != nil {
		return err
	}
	promoted := func(id topology.TaskID) bool { return slices.Contains(a.Tasks, assignTask(id)) }
	if err := s.keeper.Keep(ctx, specs, promoted); err != nil {
		if errors.Is(err, restore.ErrEnded) {
			return nil // its failure is on its way
		}
		return err
	}
	s.log.Info("standby tasks", "standby", len(a.Standby), "warmup", len(a.Warmup))
	s.copies = wanted
	return nil
}

// holdCopies lets standbys wait as long as tasks are made ready, which come first (S-39), and while the App is paused.
func (s *supervisor) holdCopies(ctx context.Context) error {
	if len(s.copies) == 0 {
		return nil
	}
	busy := s.paused.Load()
	for _, w := range s.workers {
		busy = busy || len(w.Snapshot().Preparing) > 0
	}
	if busy == s.held {
		return nil
	}
	s.held = busy
	if err := s.keeper.Hold(ctx, busy); err != nil && !errors.Is(err, restore.ErrEnded) {
		return err
	}
	return nil
}

// offerWarmups asks for a rebalance once all tasks that are made ready here have caught up, so that they move now and not at the next
// probe. It asks once for each assignment.
func (s *supervisor) offerWarmups(a *member.Assignment) {
	if !slices.Equal(a.Warmup, s.warmups) {
		s.warmups, s.offered = a.Warmup, false
	}
	if s.offered || len(a.Warmup) == 0 {
		return
	}
	lags := make(map[topology.TaskID]int64)
	for _, c := range s.keeper.Copies() {
		lags[c.ID] = c.Lag
	}
	for _, t := range a.Warmup {
		if lag, ok := lags[taskID(t)]; !ok || lag < 0 || lag > s.cfg.AcceptableRecoveryLag {
			return
		}
	}
	s.offered = true
	s.member.Rejoin("warm-ups have caught up")
}

func taskID(t assign.Task) topology.TaskID {
	return topology.TaskID{Subtopology: t.Subtopology, Partition: t.Partition}
}

func assignTask(id topology.TaskID) assign.Task {
	return assign.Task{Subtopology: id.Subtopology, Partition: id.Partition}
}

// lagTimeout bounds the question how far changelogs are: the group waits for the answer.
const lagTimeout = 5 * time.Second

// lags tells the group's leader how many changelog records are missing in the states on this disk. Of a task without state there is
// nothing to tell.
func (in *instance) lags(ctx context.Context, previous []assign.Task) map[assign.Task]int64 {
	lags := make(map[assign.Task]int64)
	for _, t := range previous {
		if sub, ok := in.topology.Subtopology(t.Subtopology); ok && len(in.copied(sub)) > 0 {
			lags[t] = -1
		}
	}
	held, err := in.db.Positions()
	if err != nil {
		in.log.Warn("the stores on this disk cannot be listed; the group is told of none", "err", err)
		return lags
	}
	stored := in.tasksOf(held)
	if len(stored) == 0 {
		return lags
	}
	bounded, cancel := context.WithTimeout(ctx, lagTimeout)
	defer cancel()
	ends, err := in.changelogEnds(bounded, stored)
	if err != nil && ctx.Err() == nil { // else the instance stops, and nobody reads what it tells
		in.log.Warn("changelogs cannot be looked up; the group is told that the states on this disk are far behind", "err", err)
	}
	for t, stores := range stored {
		lags[t] = math.MaxInt32
		if err == nil {
			lags[t] = in.lag(t, stores, held, ends)
		}
	}
	return lags
}

// logged returns the logged stores of a sub-topology.
func (in *instance) logged(sub topology.Subtopology) (stores []*state.Spec) {
	for _, spec := range in.topology.Stores {
		if spec.Logging && slices.Contains(sub.Stores, spec.Name) {
			stores = append(stores, spec)
		}
	}
	return stores
}

// copied returns the logged stores of a sub-topology of which copies are kept. A source topic that stands for a changelog runs ahead of
// what its task has committed, so a copy could not follow it: such a store is read when its task starts.
func (in *instance) copied(sub topology.Subtopology) []*state.Spec {
	return slices.DeleteFunc(in.logged(sub), func(s *state.Spec) bool { return s.SourceTopic != "" })
}

// tasksOf returns the tasks that the stores belong to, each with all its stores of which copies are kept.
func (in *instance) tasksOf(held map[state.StorePartition]state.Position) map[assign.Task][]*state.Spec {
	tasks := make(map[assign.Task][]*state.Spec)
	for _, sub := range in.topology.Subtopologies() {
		stores := in.copied(sub)
		for sp := range held {
			if slices.ContainsFunc(stores, func(s *state.Spec) bool { return s.Name == sp.Store }) {
				tasks[assign.Task{Subtopology: sub.Number, Partition: sp.Partition}] = stores
			}
		}
	}
	return tasks
}

// changelogEnd is where a changelog partition begins and ends, and which topic it is of.
type changelogEnd struct {
	start, end int64
	topic      [16]byte
}

func (in *instance) changelogEnds(ctx context.Context, tasks map[assign.Task][]*state.Spec) (map[client.TopicPartition]changelogEnd, error) {
	wanted := make(map[string]bool)
	for _, stores := range tasks {
		for _, s := range stores {
			wanted[topology.ChangelogTopic(in.cfg.ApplicationID, s.Name)] = true
		}
	}
	topics, err := in.client.RefreshTopics(ctx, slices.Sorted(maps.Keys(wanted))...)
	if err != nil {
		return nil, err
	}
	var tps []client.TopicPartition
	for t, stores := range tasks {
		for _, s := range stores {
			name := topology.ChangelogTopic(in.cfg.ApplicationID, s.Name)
			if int(t.Partition) < len(topics[name].Partitions) {
				tps = append(tps, client.TopicPartition{Topic: name, Partition: t.Partition})
			}
		}
	}
	ends, starts, err := in.bounds(ctx, tps)
	if err != nil {
		return nil, err
	}
	found := make(map[client.TopicPartition]changelogEnd, len(tps))
	for _, tp := range tps {
		found[tp] = changelogEnd{start: starts[tp], end: ends[tp], topic: topics[tp.Topic].ID}
	}
	return found, nil
}

// bounds returns where partitions end and begin.
func (in *instance) bounds(ctx context.Context, tps []client.TopicPartition) (ends, starts map[client.TopicPartition]int64, err error) {
	if len(tps) == 0 {
		return nil, nil, nil
	}
	if ends, err = in.client.ListOffsets(ctx, client.HighWatermark, tps); err != nil {
		return nil, nil, err
	}
	starts, err = in.client.ListOffsets(ctx, client.LogStart, tps)
	return ends, starts, err
}

// lag counts what is missing in the stores of a task: all of those that are not there, or of another log.
func (in *instance) lag(t assign.Task, stores []*state.Spec, held map[state.StorePartition]state.Position, ends map[client.TopicPartition]changelogEnd) int64 {
	var lag int64
	for _, s := range stores {
		tp := client.TopicPartition{Topic: topology.ChangelogTopic(in.cfg.ApplicationID, s.Name), Partition: t.Partition}
		log := ends[tp]
		have, ok := held[state.StorePartition{Store: s.Name, Partition: t.Partition}]
		if !ok || have.ClusterID != in.client.ClusterID() || have.TopicID != log.topic || have.Next < log.start || have.Next > log.end {
			have.Next = log.start
		}
		lag += log.end - have.Next
	}
	return lag
}
