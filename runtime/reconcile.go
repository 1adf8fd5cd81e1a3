package runtime

import (
	"context"
	"errors"
	"slices"

	"github.com/millrace-io/millrace/runtime/internal/assign"
	"github.com/millrace-io/millrace/runtime/internal/member"
	"github.com/millrace-io/millrace/runtime/internal/restore"
	"github.com/millrace-io/millrace/runtime/internal/worker"
	"github.com/millrace-io/millrace/topology"
)

// reconcile makes what the workers run equal to what the group has assigned.
func (s *supervisor) reconcile(ctx context.Context) error {
	a := s.member.Assignment()
	if err := s.followMembership(ctx, &a); err != nil {
		return err
	}
	if err := told(a); err != nil || !a.Joined {
		return err
	}
	for _, id := range s.signals.dropped() {
		s.placed.remove(id)
		delete(s.specs, id)
	}
	if err := s.renew(ctx); err != nil {
		return err
	}
	var missing []topology.TaskID
	for _, t := range a.Tasks {
		id := topology.TaskID{Subtopology: t.Subtopology, Partition: t.Partition}
		if _, ok := s.specs[id]; !ok {
			missing = append(missing, id)
		}
	}
	if err := s.release(ctx, surplus(s.placed, a)); err != nil {
		return err
	}
	if len(a.Revoked) > 0 {
		s.member.Release(a.Revoked...) // those that were never started too
	}
	if err := s.keepCopies(ctx, &a); err != nil { // T4: before what was a copy runs
		return err
	}
	if err := s.start(ctx, missing); err != nil {
		return err
	}
	if err := s.level(ctx); err != nil {
		return err
	}
	s.offerWarmups(&a)
	if err := s.removeUnused(s.cfg.Now()); err != nil {
		return err
	}
	return s.holdCopies(ctx)
}

// renew closes the tasks that read other partitions now, after a commit. They are missing then.
func (s *supervisor) renew(ctx context.Context) error {
	if !s.regrown.Swap(false) {
		return nil
	}
	ids, err := s.plan.stale(ctx, s.specs)
	if err != nil { // whether the application can go on is for the group's leader to say
		s.log.Warn("what tasks read now is not known; they go on as they are", "err", err)
		return ctx.Err()
	}
	if len(ids) > 0 {
		s.log.Info("tasks are started anew, since the topics that they read have changed", "tasks", ids)
	}
	return s.release(ctx, ids)
}

// surplus returns the tasks that are placed and not assigned.
func surplus(p placement, a member.Assignment) []topology.TaskID {
	return slices.DeleteFunc(p.all(), func(id topology.TaskID) bool {
		return slices.Contains(a.Tasks, assign.Task{Subtopology: id.Subtopology, Partition: id.Partition})
	})
}

// followMembership closes the tasks of a membership that is over (V3), and tells the member, which joins anew then.
func (s *supervisor) followMembership(ctx context.Context, a *member.Assignment) error {
	s.joined = a.Joined
	if !a.Joined || a.Incarnation != s.incarnation {
		if err := s.lose(ctx); err != nil {
			return err
		}
		s.incarnation = a.Incarnation
	}
	if !a.Joined {
		s.member.Release(a.Revoked...)
	}
	return nil
}

// lose closes all tasks of a lost membership without a commit.
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
		if err := s.workers[m.from].Release(ctx, []topology.TaskID{m.task}); err != nil && !errors.Is(err, worker.ErrEnded) {
			return err
		}
		if err := s.assign(ctx, m.to, []topology.TaskID{m.task}); err != nil {
			return err
		}
	}
	return nil
}

// assign gives tasks to a worker. One that has ended takes none: its failure is on its way, and says more than that.
func (s *supervisor) assign(ctx context.Context, w int, ids []topology.TaskID) error {
	if len(ids) == 0 {
		return nil
	}
	specs := make([]restore.Task, len(ids))
	for i, id := range ids {
		specs[i] = s.specs[id]
	}
	if err := s.workers[w].Assign(ctx, specs); err != nil && !errors.Is(err, worker.ErrEnded) {
		return err
	}
	return nil
}
