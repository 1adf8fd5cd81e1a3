package runtime

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/assign"
	"github.com/millrace-io/millrace/runtime/internal/member"
	"github.com/millrace-io/millrace/runtime/internal/restore"
	"github.com/millrace-io/millrace/runtime/internal/worker"
	"github.com/millrace-io/millrace/topology"
)

// supervisor is the goroutine of Run: it follows the group's assignment, level by level, and gives tasks to workers.
//
// Invariants:
//
//	V1  a task is placed at one worker, or at none.
//	V2  (G3) a task is released to the member only after the worker that ran it has closed it.
//	V3  (G1) when the membership is lost, all tasks are closed without a commit before any is placed again.
type supervisor struct {
	*instance
	life        *lifecycle
	placed      placement
	specs       map[topology.TaskID]restore.Task // of the placed tasks
	launch      func(i int)                      // runs a worker
	pausing     bool                             // the workers are paused
	pausers     int                              // as many of them
	incarnation uint64
	joined      bool
	copies      []topology.TaskID // that are kept here, sorted
	held        bool              // they wait
	warmups     []assign.Task     // of the present assignment
	offered     bool              // the group was told that they have caught up
	unused      unusedStores
	unsettled   int // of the slots below it, those without a worker may hold an open transaction
}

// supervise runs the workers, the membership and the global tables until ctx ends or one of them fails, then stops them in
// order. All goroutines of the instance are started here, and have ended when it returns.
func (in *instance) supervise(ctx context.Context, life *lifecycle) error {
	life.enter(Rebalancing, nil)
	// What runs is not cut off when ctx ends: it is told to stop.
	running, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(nil)
	joined, leave := context.WithCancel(running)
	defer leave()
	failures := make(chan error, maxWorkers+3)
	var members, others sync.WaitGroup
	s := &supervisor{instance: in, life: life, placed: make(placement, len(in.workers)), specs: make(map[topology.TaskID]restore.Task)}
	s.launch = func(i int) {
		w, leaving := s.workers[i], s.slots[i].leaving
		others.Go(func() {
			if err := w.Run(running); !leaving.Load() || !mayLeave(err) {
				failures <- in.explain(err)
			}
		})
	}
	for i := range in.workers {
		s.launch(i)
	}
	members.Go(func() { failures <- in.runMember(joined) })
	followed, unfollow := context.WithCancel(running)
	defer unfollow()
	others.Go(func() { in.purger.Run(followed) })
	others.Go(func() { failures <- in.runKeeper(followed) })
	others.Go(func() { in.watchTopics(followed) })
	if in.board != nil {
		others.Go(func() { in.followOthers(followed) })
	}
	if in.tables != nil {
		others.Go(func() {
			err := in.tables.Follow(followed)
			if err != nil && followed.Err() == nil && in.decide(err) == StopApplication {
				in.policy.stopApplication.Store(true)
			}
			failures <- err
		})
	}

	err := s.follow(ctx, failures)
	life.enter(Closing, nil)
	if s.policy.stopApplication.Load() && !lostMember(err) {
		err = errors.Join(err, s.tellGroup(running))
	}
	if lostMember(err) {
		cut(err) // nothing can be committed any more
	}
	err = errors.Join(err, s.stop(running, cut))
	if in.stay.Load() && err == nil {
		in.member.Stay()
	}
	leave()
	members.Wait()
	unfollow()
	cut(nil)
	others.Wait()
	close(failures)
	for failure := range failures { // those that came while stopping
		if failure != nil && !errors.Is(failure, context.Canceled) {
			err = errors.Join(err, failure)
		}
	}
	return err
}

// errMember marks a failure of the membership.
var errMember = errors.New("membership")

func lostMember(err error) bool { return errors.Is(err, errMember) }

// explain adds to a worker's failure what only the instance knows.
func (in *instance) explain(err error) error {
	if errors.Is(err, ErrInstanceInUse) {
		return fmt.Errorf("instance %s: %w; is a copy of state directory %s in use? Each instance needs one of its own",
			in.id, err, in.statePath())
	}
	return err
}

func (in *instance) runMember(ctx context.Context) error {
	err := in.member.Run(ctx)
	if err == nil || ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("group %s: %w: %w", in.cfg.ApplicationID, errMember, err)
}

// follow reconciles whenever the assignment or a worker changes. It returns nil when ctx ends, and the first failure.
func (s *supervisor) follow(ctx context.Context, failures <-chan error) error {
	retry := time.NewTicker(reconcileRetry)
	defer retry.Stop()
	summary := time.NewTicker(summaryEvery)
	defer summary.Stop()
	for {
		err := s.reconcile(ctx)
		if err == nil {
			err = s.pauseWorkers(ctx)
		}
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		s.showState()
		select {
		case <-ctx.Done():
			return nil
		case err := <-failures:
			if err == nil {
				err = errors.New("a part of the instance ended by itself")
			}
			return err
		case <-s.member.Changed():
		case <-s.signals.wake:
		case o := <-s.orders:
			if err := s.obey(ctx, o); err != nil {
				return err
			}
		case <-retry.C:
		case <-summary.C:
			s.logSummary()
		}
	}
}

const (
	// reconcileRetry is how often the supervisor looks though nothing has changed: it is a level, not an edge, that it
	// follows.
	reconcileRetry = time.Second
	// summaryEvery is how often a line in the log says what was done.
	summaryEvery = 2 * time.Minute
)

func (s *supervisor) logSummary() {
	var read, commits, aborts int64
	r := s.roster.Load()
	snapshots := []*worker.Snapshot{&r.past}
	for _, w := range r.workers {
		snapshots = append(snapshots, w.Snapshot())
	}
	for _, snapshot := range snapshots {
		commits, aborts = commits+snapshot.Commits, aborts+snapshot.Aborts
		for _, n := range snapshot.Read {
			read += n
		}
	}
	s.log.Info("so far", "read", read, "commits", commits, "aborts", aborts, "tasks", len(s.specs))
}

// showState tells the listener whether all assigned tasks run.
func (s *supervisor) showState() {
	running := 0 // or stopped for good, or paused
	for _, w := range s.workers {
		snapshot := w.Snapshot()
		running += len(snapshot.Running) + len(snapshot.Failed) + len(snapshot.Held)
	}
	if s.joined && running == len(s.specs) {
		s.life.enter(Running, nil)
	} else {
		s.life.enter(Rebalancing, nil)
	}
}

// stop commits and closes all tasks and gives them back to the group, within the time for a graceful stop; what takes longer is
// cut off.
func (s *supervisor) stop(running context.Context, cut context.CancelCauseFunc) error {
	ctx, cancel := context.WithTimeout(running, s.cfg.ShutdownTimeout)
	defer cancel()
	errs := make([]error, len(s.workers))
	var stopping sync.WaitGroup
	for i, w := range s.workers {
		stopping.Go(func() { errs[i] = w.Stop(ctx) })
	}
	stopping.Wait()
	for i, err := range errs {
		switch {
		case errors.Is(err, worker.ErrEnded): // it failed before, or the membership was lost
			errs[i] = nil
		case errors.Is(err, context.DeadlineExceeded):
			errs[i] = fmt.Errorf("worker %d: not stopped after %v; what it had not committed is processed again", i, s.cfg.ShutdownTimeout)
			cut(errs[i])
		case err != nil && running.Err() != nil:
			errs[i] = nil // cut off on purpose
		}
	}
	s.member.Release(memberTasks(s.placed.all())...)
	return errors.Join(errs...)
}

func memberTasks(ids []topology.TaskID) []assign.Task {
	tasks := make([]assign.Task, len(ids))
	for i, id := range ids {
		tasks[i] = assign.Task{Subtopology: id.Subtopology, Partition: id.Partition}
	}
	return tasks
}

var _ worker.Membership = (*member.Member)(nil)
