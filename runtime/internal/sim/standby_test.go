package sim

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

// copies are the standbys and warm-ups of one life: the real keeper, led as the runtime's supervisor leads it.
type copies struct {
	keeper  *restore.Keeper
	wanted  []topology.TaskID // that are kept here, sorted
	held    bool              // they wait
	warmups []assign.Task     // of the present assignment
	offered bool              // the group was told that they have caught up

	// Guarded by the world's mutex.
	kinds    map[topology.TaskID]string
	followed map[client.TopicPartition]bool // by what the keeper tells
	promoted map[topology.TaskID]bool       // was a copy, and has not become ready yet
}

// The kinds of copies.
const (
	asStandby = "standby"
	asWarmup  = "warm-up"
)

// What a simulation counts of copies.
const (
	ready             = "a task ready whose stores were recomputed"
	promotedAfterKill = "promoted after a kill"
	movedToCopy       = "a task moved to its copy"
)

func goesOn(kind string) string { return kind + " goes on" }

func (s *supervisor) newKeeper() {
	in := s.instance
	f := newFetcher(in, false)
	f.uncommitted = planted.Is(planted.CopyUncommitted)
	s.copies = copies{
		kinds: make(map[topology.TaskID]string), followed: make(map[client.TopicPartition]bool), promoted: make(map[topology.TaskID]bool),
		keeper: restore.NewKeeper(restore.KeeperConfig{
			ClusterID: "cluster", Log: restoreLog{in, in.name + "/copies"}, Fetcher: f, Near: in.world.lag, Changed: s.changed, Listen: s.copyEvent,
			Logger: discard, Now: time.Now,
		}),
	}
}

// keepCopies has the copies kept that the group wants here. After it the tasks that are to run here belong to nobody (T4).
func (s *supervisor) keepCopies(ctx context.Context, a *member.Assignment) error {
	kinds := make(map[topology.TaskID]string)
	for _, t := range a.Standby {
		kinds[taskID(t)] = asStandby
	}
	for _, t := range a.Warmup {
		kinds[taskID(t)] = asWarmup
	}
	for _, t := range a.Tasks {
		delete(kinds, taskID(t))
	}
	wanted := slices.SortedFunc(maps.Keys(kinds), topology.TaskID.Compare)
	if slices.Equal(wanted, s.wanted) {
		return nil
	}
	var specs []restore.Task
	for _, id := range wanted {
		spec, err := s.spec(id, true)
		if err != nil {
			return err
		}
		specs = append(specs, spec)
	}
	promoted := func(id topology.TaskID) bool { return slices.Contains(a.Tasks, assignTask(id)) }
	if err := s.keeper.Keep(ctx, specs, promoted); err != nil {
		if errors.Is(err, restore.ErrEnded) {
			return nil
		}
		return err
	}
	s.world.mu.Lock()
	s.kinds = kinds
	s.world.mu.Unlock()
	let := slices.ContainsFunc(s.wanted, promoted)
	if s.wanted = wanted; let && s.pass(k2) {
		return errCrashed
	}
	return nil
}

// holdCopies lets copies wait as long as tasks are made ready, which come first.
func (s *supervisor) holdCopies(ctx context.Context) error {
	if len(s.wanted) == 0 {
		return nil
	}
	s.world.mu.Lock()
	busy := slices.Contains(slices.Collect(maps.Values(s.given)), false)
	s.world.mu.Unlock()
	if busy == s.held {
		return nil
	}
	s.held = busy
	if err := s.keeper.Hold(ctx, busy); err != nil && !errors.Is(err, restore.ErrEnded) {
		return err
	}
	return nil
}

// offerWarmups asks for a rebalance, once for each assignment, when all that is made ready here has caught up.
func (s *supervisor) offerWarmups(a *member.Assignment) error {
	if !slices.Equal(a.Warmup, s.warmups) {
		s.warmups, s.offered = a.Warmup, false
	}
	if s.offered || len(a.Warmup) == 0 {
		return nil
	}
	lags := make(map[topology.TaskID]int64)
	for _, c := range s.keeper.Copies() {
		lags[c.ID] = c.Lag
	}
	for _, t := range a.Warmup {
		if lag, ok := lags[taskID(t)]; !ok || lag < 0 || lag > s.world.lag {
			return nil
		}
	}
	s.offered = true
	if s.pass(k3) {
		return errCrashed
	}
	s.member.Rejoin("warm-ups have caught up")
	return nil
}

func taskID(t assign.Task) topology.TaskID {
	return topology.TaskID{Subtopology: t.Subtopology, Partition: t.Partition}
}

func assignTask(id topology.TaskID) assign.Task {
	return assign.Task{Subtopology: id.Subtopology, Partition: id.Partition}
}

// lags tells the group's leader how many changelog records are missing in the states on this disk.
func (s *supervisor) lags(ctx context.Context, previous []assign.Task) map[assign.Task]int64 {
	lags := make(map[assign.Task]int64)
	for _, t := range previous {
		lags[t] = -1
	}
	held, err := s.db.Positions()
	if err != nil {
		return lags
	}
	tasks := make(map[client.TopicPartition]assign.Task)
	for _, sub := range s.world.job.Subtopologies() {
		for sp := range held {
			if slices.Contains(sub.Stores, sp.Store) {
				tasks[changelogOf(sp)] = assign.Task{Subtopology: sub.Number, Partition: sp.Partition}
			}
		}
	}
	ends, err := restoreLog{s.instance, s.name + "/lags"}.ListOffsets(ctx, client.HighWatermark, sortedPartitions(tasks))
	for sp, at := range held {
		tp := changelogOf(sp)
		lags[tasks[tp]] = math.MaxInt32
		if err == nil {
			lags[tasks[tp]] = ends[tp] - at.Next
		}
	}
	return lags
}

func changelogOf(sp state.StorePartition) client.TopicPartition {
	return client.TopicPartition{Topic: topology.ChangelogTopic(application, sp.Store), Partition: sp.Partition}
}

// measure tells the leader how much state the tasks have.
func (s *supervisor) measure(ctx context.Context, tasks []member.TaskInputs) error {
	changelogs := make(map[client.TopicPartition]int)
	for i := range tasks {
		sub, _ := s.world.job.Subtopology(tasks[i].Subtopology)
		for _, store := range sub.Stores {
			changelogs[changelogOf(state.StorePartition{Store: store, Partition: tasks[i].Partition})] = i
		}
	}
	for {
		ends, err := restoreLog{s.instance, s.name + "/plan"}.ListOffsets(ctx, client.HighWatermark, sortedPartitions(changelogs))
		if err == nil {
			for tp, i := range changelogs {
				tasks[i].Stateful, tasks[i].Records = true, tasks[i].Records+ends[tp]
			}
			return nil
		}
		if ctx.Err() != nil || errors.Is(err, errCrashed) {
			return err
		}
	}
}

// copyEvent is what the keeper tells, by its own goroutine. A copy holds committed data alone, and never more than the log.
func (s *supervisor) copyEvent(e restore.Event) {
	rows, err := s.rows(e.Store, e.Changelog.Partition)
	w := s.world
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.dead {
		return
	}
	switch e.Kind {
	case restore.Started:
		s.followed[e.Changelog] = true
	case restore.Suspended:
		delete(s.followed, e.Changelog)
		if e.Promoted {
			s.promoted[e.Task] = true
		}
	case restore.Progressed:
		w.result.copies[goesOn(s.kinds[e.Task])]++
	}
	if w.verbose { // not in the trace: keepers run side by side between two steps
		w.t.Logf("%s copy of %s: %v to %d", s.name, e.Task, e.Kind, e.Next)
	}
	if end := w.log.undecided(e.Changelog); e.Next > end {
		w.violate("STANDBY", "%s has %v up to %d, which is decided up to %d", s.name, e.Changelog, e.Next, end)
	}
	if want := w.changelogRows(e.Changelog, e.Next); err != nil || !maps.Equal(rows, want) {
		w.violate("STANDBY", "%s holds %v of %v up to %d, want %v: %v", s.name, rows, e.Changelog, e.Next, want, err)
	}
}

// rows returns what a store partition holds.
func (s *supervisor) rows(store string, partition int32) (map[string]int64, error) {
	spec := s.world.job.Stores[slices.IndexFunc(s.world.job.Stores, func(spec *state.Spec) bool { return spec.Name == store })]
	p, err := s.db.Partition(spec, partition)
	if err != nil {
		return nil, err
	}
	return rowsOf(spec, p)
}

// checkReady is PROMOTED: the stores of a task that is about to run are what its input makes of them up to where it goes on, recomputed
// from the committed log. If others have committed the task's offsets meanwhile, nothing is wanted of what it cannot commit.
func (s *supervisor) checkReady(r restore.Ready) {
	w := s.world
	sub, _ := w.job.Subtopology(r.ID.Subtopology)
	for _, store := range sub.Stores {
		rows, err := s.rows(store, r.ID.Partition)
		w.mu.Lock()
		if !s.dead && w.current(r.Offsets) {
			want := make(map[string]int64)
			for in, from := range r.Offsets {
				w.log.partition(in).visible(func(offset int64, rec *record) {
					if offset < from.Offset && !refused(string(rec.value)) {
						want[string(rec.key)]++
					}
				})
			}
			w.result.copies[ready]++
			if err != nil || !maps.Equal(rows, want) {
				w.violate("PROMOTED", "%s begins task %s at %v with %v, want %v: %v", s.name, r.ID, r.Offsets, rows, want, err)
			}
		}
		w.mu.Unlock()
	}
}

// current reports whether offsets are those of the group, and no transaction is about to change them.
func (w *world) current(offsets map[client.TopicPartition]client.Committed) bool {
	for tp, at := range offsets {
		if w.log.offsets[tp].Offset != at.Offset {
			return false
		}
	}
	return !w.log.unstable(sortedPartitions(offsets))
}

// ready notes that a task is ready here, and reports at which point the instance may be killed now.
func (s *supervisor) ready(id topology.TaskID) (point string) {
	w := s.world
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := s.given[id]; ok {
		s.given[id] = true
	}
	before := w.owners[id]
	if !s.dead {
		w.owners[id] = s.instance
	}
	switch {
	case s.promoted[id]:
		delete(s.promoted, id)
		switch {
		case before == nil || before == s.instance:
		case before.dead:
			w.result.copies[promotedAfterKill]++
		case before.alive():
			w.result.copies[movedToCopy]++
		}
		return c12
	case s.warm[id]:
		return k4
	}
	return ""
}

// writes is T4: a store partition is written by its task's preparation, or by the keeper, and never by both.
func (p storePartition) writes() {
	s := p.of
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	_, given := s.given[p.task]
	switch {
	case s.dead:
	case p.copy && given:
		s.world.violate("T4", "%s: the keeper writes to %v, whose task was given to a worker", s.name, p.changelog)
	case !p.copy && s.followed[p.changelog]:
		s.world.violate("T4", "%s: task %s is made ready while the keeper has %v", s.name, p.task, p.changelog)
	}
}

// settled is LIVE for copies: it reports whether every one that is wanted is there, and lacks nothing.
func (w *world) settled() bool {
	kept := 0
	for _, in := range w.instances {
		if in.supervisor == nil {
			return false
		}
		for _, c := range in.supervisor.keeper.Copies() {
			if c.Lag != 0 {
				return false
			}
			kept++
		}
	}
	return kept >= len(w.tasks())*min(w.standbys, len(w.instances)-1)
}

// killHost kills an instance that keeps copies.
func (w *world) killHost() {
	var hosts []*instance
	for _, in := range w.instances {
		if in.alive() && in.supervisor != nil && len(in.supervisor.followed) > 0 {
			hosts = append(hosts, in)
		}
	}
	if len(hosts) > 0 {
		w.result.faults["kill of a host of copies"]++
		hosts[w.rng.IntN(len(hosts))].kill("while it keeps copies")
	}
}

func (c *copies) follows(ctx context.Context) error {
	if err := c.keeper.Run(ctx); err != nil {
		return fmt.Errorf("copies: %w", err)
	}
	return nil
}
