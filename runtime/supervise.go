package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	incarnation uint64
	joined      bool
}

// signals wake the supervisor. Workers raise them and never wait.
type signals struct {
	wake chan struct{} // has a value when there may be something to do
	mu   *sync.Mutex
	gone *[]topology.TaskID // dropped by workers on their own
}

func newSignals() signals {
	return signals{wake: make(chan struct{}, 1), mu: new(sync.Mutex), gone: new([]topology.TaskID)}
}

// changed says that the tasks of a worker started or ended.
func (s signals) changed() {
	select {
	case s.wake <- struct{}{}:
	default: // it is going to look anyway
	}
}

// drop says that a worker has given tasks up.
func (s signals) drop(ids []topology.TaskID) {
	s.mu.Lock()
	*s.gone = append(*s.gone, ids...)
	s.mu.Unlock()
	s.changed()
}

func (s signals) dropped() []topology.TaskID {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := *s.gone
	*s.gone = nil
	return ids
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
	failures := make(chan error, len(in.workers)+2)
	var members, others sync.WaitGroup
	for _, w := range in.workers {
		others.Go(func() { failures <- in.explain(w.Run(running)) })
	}
	members.Go(func() { failures <- in.runMember(joined) })
	followed, unfollow := context.WithCancel(running)
	defer unfollow()
	if in.tables != nil {
		others.Go(func() { failures <- in.tables.Follow(followed) })
	}

	s := &supervisor{instance: in, life: life, placed: make(placement, len(in.workers)), specs: make(map[topology.TaskID]restore.Task)}
	err := s.follow(ctx, failures)
	life.enter(Closing, nil)
	if lostMember(err) {
		cut(err) // nothing can be committed any more
	}
	err = errors.Join(err, s.stop(running, cut))
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

// explain adds to a worker's failure what only the instance knows. The stack of a panic, which no message can hold, goes to
// the log.
func (in *instance) explain(err error) error {
	if p, ok := errors.AsType[*PanicError](err); ok {
		in.log.Error("user code panicked", "panic", p.Value, "stack", string(p.Stack))
	}
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
		if err := s.reconcile(ctx); err != nil {
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
	for _, w := range s.workers {
		snapshot := w.Snapshot()
		commits, aborts = commits+snapshot.Commits, aborts+snapshot.Aborts
		for _, n := range snapshot.Read {
			read += n
		}
	}
	s.log.Info("so far", "read", read, "commits", commits, "aborts", aborts, "tasks", len(s.specs))
}

// showState tells the listener whether all assigned tasks run.
func (s *supervisor) showState() {
	running := 0
	for _, w := range s.workers {
		running += len(w.Snapshot().Running)
	}
	if s.joined && running == len(s.specs) {
		s.life.enter(Running, nil)
	} else {
		s.life.enter(Rebalancing, nil)
	}
}

// reconcile makes what the workers run equal to what the group has assigned.
func (s *supervisor) reconcile(ctx context.Context) error {
	a := s.member.Assignment()
	if !a.Joined || a.Incarnation != s.incarnation {
		if err := s.lose(ctx); err != nil { // V3
			return err
		}
		s.incarnation = a.Incarnation
	}
	s.joined = a.Joined
	if !a.Joined {
		s.member.Release(a.Revoked...)
		return nil
	}
	for _, id := range s.signals.dropped() {
		s.placed.remove(id)
		delete(s.specs, id)
	}
	wanted := make(map[topology.TaskID]bool, len(a.Tasks))
	var missing []topology.TaskID
	for _, t := range a.Tasks {
		id := topology.TaskID{Subtopology: t.Subtopology, Partition: t.Partition}
		wanted[id] = true
		if _, ok := s.specs[id]; !ok {
			missing = append(missing, id)
		}
	}
	surplus := slices.DeleteFunc(s.placed.all(), func(id topology.TaskID) bool { return wanted[id] })
	if err := s.release(ctx, surplus); err != nil {
		return err
	}
	if len(a.Revoked) > 0 {
		s.member.Release(a.Revoked...) // those that were never started too
	}
	if err := s.start(ctx, missing); err != nil {
		return err
	}
	return s.level(ctx)
}

// lose closes all tasks of a lost membership without a commit. The member joins anew when it is told.
func (s *supervisor) lose(ctx context.Context) error {
	s.signals.dropped()
	lost := s.placed.all()
	if len(lost) > 0 {
		s.log.Warn("the group has forgotten this instance; its tasks are closed and it joins anew", "tasks", len(lost))
		for _, w := range s.workers {
			if err := w.Lose(ctx); err != nil && !errors.Is(err, worker.ErrEnded) {
				return err
			}
		}
	}
	for i := range s.placed {
		s.placed[i] = nil
	}
	clear(s.specs)
	return nil
}

// release closes tasks that the group wants elsewhere, after the transaction that holds their offsets.
func (s *supervisor) release(ctx context.Context, ids []topology.TaskID) error {
	if len(ids) == 0 {
		return nil
	}
	byWorker := make([][]topology.TaskID, len(s.workers))
	for _, id := range ids {
		if w, ok := s.placed.remove(id); ok {
			byWorker[w] = append(byWorker[w], id)
		}
		delete(s.specs, id)
	}
	for w, ids := range byWorker {
		if len(ids) == 0 {
			continue
		}
		if err := s.workers[w].Release(ctx, ids); err != nil && !errors.Is(err, worker.ErrEnded) {
			return err
		}
	}
	return nil
}

// start places new tasks and gives them to workers.
func (s *supervisor) start(ctx context.Context, ids []topology.TaskID) error {
	if len(ids) == 0 {
		return nil
	}
	specs, err := s.plan.tasks(ctx, s.db, ids)
	if err != nil {
		return err
	}
	for _, spec := range specs {
		s.specs[spec.ID] = spec
	}
	for w, given := range s.placed.place(ids) {
		if err := s.assign(ctx, w, given); err != nil {
			return err
		}
	}
	return nil
}

// level evens out the workers' loads.
func (s *supervisor) level(ctx context.Context) error {
	for _, m := range s.placed.level() {
		if err := s.workers[m.from].Release(ctx, []topology.TaskID{m.task}); err != nil {
			return err
		}
		if err := s.assign(ctx, m.to, []topology.TaskID{m.task}); err != nil {
			return err
		}
	}
	return nil
}

func (s *supervisor) assign(ctx context.Context, w int, ids []topology.TaskID) error {
	if len(ids) == 0 {
		return nil
	}
	specs := make([]restore.Task, len(ids))
	for i, id := range ids {
		specs[i] = s.specs[id]
	}
	return s.workers[w].Assign(ctx, specs)
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
