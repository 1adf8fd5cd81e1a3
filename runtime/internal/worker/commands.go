package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/commit"
	"github.com/millrace-io/millrace/runtime/internal/restore"
	"github.com/millrace-io/millrace/runtime/internal/task"
	"github.com/millrace-io/millrace/topology"
)

// ErrEnded is returned by commands to a worker whose Run has returned.
var ErrEnded = errors.New("worker has ended")

// ErrLastCommit is, beside ErrEnded, what Stop returns if what was processed could not be committed. The tasks are closed, and their
// transaction is aborted, or, if the log could not be asked, will be.
var ErrLastCommit = errors.New("last commit")

// command is carried out by the worker's goroutine, between rounds. An error ends Run.
type command func(ctx context.Context) error

// do sends a command and waits until it was carried out. If that ended Run, do waits for the end, so that the tasks are
// closed in any case; it returns ErrEnded, and why, unless the end was asked for.
func (w *Worker) do(ctx context.Context, c command) error {
	outcome := make(chan error, 1)
	carryOut := func(ctx context.Context) error {
		err := c(ctx)
		outcome <- err
		return err
	}
	select {
	case w.commands <- carryOut:
	case <-w.done:
		return ErrEnded
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-outcome:
		return w.ended(err)
	case <-w.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-outcome: // carried out, and then Run ended
		return w.ended(err)
	default:
		return ErrEnded
	}
}

// ended tells what the outcome of a command means to its caller. An error has ended Run, or is about to.
func (w *Worker) ended(outcome error) error {
	if outcome == nil {
		return nil
	}
	<-w.done
	if errors.Is(outcome, errStopped) {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrEnded, outcome)
}

// Assign gives the worker tasks. It returns before they run: they are made ready beside the tasks that do.
func (w *Worker) Assign(ctx context.Context, tasks []restore.Task) error {
	return w.do(ctx, func(ctx context.Context) error {
		for _, t := range tasks {
			w.forget([]topology.TaskID{t.ID}) // it is to be tried again
		}
		w.prepare(ctx, tasks)
		w.publish() // what is made ready comes before copies, and whoever keeps those looks here
		return nil
	})
}

// Release takes tasks away. It returns after the transaction that holds their offsets has ended and they are closed (W3).
func (w *Worker) Release(ctx context.Context, ids []topology.TaskID) error {
	return w.do(ctx, func(ctx context.Context) error {
		w.cancelPreparing(ctx, ids)
		if w.runsAny(ids) {
			if err := w.commitNow(ctx); err != nil {
				return err
			}
			w.cancelPreparing(ctx, ids) // a failed commit has made them all prepare again
		}
		err := w.closeTasks(ids)
		w.forget(ids)
		w.publish()
		return err
	})
}

// Lose closes all tasks without a commit: the group has forgotten the member that ran them (G1).
func (w *Worker) Lose(ctx context.Context) error {
	return w.do(ctx, func(ctx context.Context) error {
		w.cancelAll()
		w.failedTasks = nil
		if len(w.tasks) == 0 && w.machine.State() == commit.Idle {
			w.publish() // copies wait for what is made ready
			return nil
		}
		w.losing = true
		err := w.perform(ctx, w.machine.Step(w.cfg.Now(), commit.Event{Kind: commit.MemberLost}))
		w.losing = false
		return err
	})
}

// Stop commits what was processed, closes the tasks and ends Run. It returns when that has happened. A commit that fails is not tried
// again: ErrLastCommit. That the group has forgotten the member meanwhile is no failure, nor is it that the log has ended the producer's session,
// as it does with a transaction that was open for too long: others process again what it held, as after any loss (G1).
func (w *Worker) Stop(ctx context.Context) error {
	return w.do(ctx, func(ctx context.Context) error {
		w.cancelAll()
		w.stopping = true
		err := w.commitNow(ctx)
		switch class := commit.Classify(err); {
		case class == commit.ClassLost, class == commit.ClassFenced:
			w.log.Warn("the tasks were taken away before the last commit; what it held is processed again", "err", err)
			return errStopped
		case err != nil:
			return fmt.Errorf("%w: %w; what it held is processed again", ErrLastCommit, err)
		}
		if err := w.closeTasks(w.ids()); err != nil {
			return err
		}
		w.publish()
		return errStopped
	})
}

// Bound changes Config.MaxDirtyBytes.
func (w *Worker) Bound(ctx context.Context, maxDirtyBytes int64) error {
	return w.do(ctx, func(context.Context) error {
		w.policy.MaxBytes = maxDirtyBytes
		return nil
	})
}

func (w *Worker) ids() []topology.TaskID {
	ids := make([]topology.TaskID, len(w.tasks))
	for i, r := range w.tasks {
		ids[i] = r.spec.ID
	}
	return ids
}

func (w *Worker) runsAny(ids []topology.TaskID) bool {
	return slices.ContainsFunc(w.tasks, func(r *running) bool { return slices.Contains(ids, r.spec.ID) })
}

// closeTasks closes those of the running tasks, between transactions.
func (w *Worker) closeTasks(ids []topology.TaskID) error {
	var errs []error
	w.tasks = slices.DeleteFunc(w.tasks, func(r *running) bool {
		if !slices.Contains(ids, r.spec.ID) {
			return false
		}
		errs = append(errs, w.close(r))
		return true
	})
	return errors.Join(errs...)
}

// close stops reading a task's inputs and closes it. What it counted is kept.
func (w *Worker) close(r *running) error {
	w.depart(r)
	for _, in := range r.inputs {
		w.cfg.Fetcher.Remove(in.tp)
		delete(w.byInput, in.tp)
	}
	w.totals.add(r.spec.ID, r.task.Stats())
	if err := r.task.Close(); err != nil {
		return fmt.Errorf("close task %s: %w", r.spec.ID, err)
	}
	return nil
}

// abandon closes everything at the end of Run; an open transaction is aborted if the log can be reached, so that nobody
// has to wait for its time-out.
func (w *Worker) abandon() error {
	var errs []error
	for _, r := range w.tasks {
		errs = append(errs, w.close(r))
	}
	w.tasks, w.batches = nil, nil
	w.publish()
	w.leaveGate()
	if w.cfg.transactional() && w.cfg.Producer.InTransaction() {
		ctx, cancel := context.WithTimeout(context.Background(), abandonTimeout)
		defer cancel()
		if err := w.cfg.Producer.End(ctx, false); err != nil && client.ClassOf(err) != client.ClassFenced {
			w.log.Warn("the open transaction could not be aborted; its time-out ends it", "err", err)
		}
	}
	return errors.Join(errs...)
}

func inputError(in *input, err error) error {
	id := in.owner.spec.ID
	return commit.Fatal(taskFailure{id, fmt.Errorf("task %s: read %s-%d: %w", id, in.tp.Topic, in.tp.Partition, err)})
}

// taskError classes an error of a task: what the log did not take is what the log says, all else is the program's.
func (w *Worker) taskError(err error) error {
	if out := w.out.Err(); out != nil {
		return out
	}
	if e, ok := errors.AsType[*task.Error](err); ok && e.Retry {
		w.out.Forgive()
		return err
	}
	return commit.Fatal(err)
}

var (
	_ Fetcher  = (*client.Fetcher)(nil)
	_ Producer = (*client.Producer)(nil)
)
