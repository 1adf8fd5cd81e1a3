package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/runtime/internal/commit"
	"github.com/millrace-io/millrace/runtime/internal/restore"
	"github.com/millrace-io/millrace/runtime/internal/task"
	"github.com/millrace-io/millrace/topology"
)

// Verdict is what follows from a failure that trying again cannot help.
type Verdict uint8

// The verdicts.
const (
	// End ends Run with the failure.
	End Verdict = iota
	// Replace closes all tasks, begins a new producer session and makes the tasks ready again from what was committed last, as often
	// as it takes. The machine's back-off applies.
	Replace
	// Park is Replace without the task that failed: it is left out until it is released or assigned again. If the failure is no
	// task's, Park is End.
	Park
)

// parkedTask is a task that failed for good, while the others go on.
type parkedTask struct {
	spec restore.Task
	err  error
}

// taskFailure says which task failed, where the failure itself does not.
type taskFailure struct {
	id topology.TaskID
	error
}

func (f taskFailure) Unwrap() error { return f.error }

// culprit returns the task that err is about.
func culprit(err error) (topology.TaskID, bool) {
	if f, ok := errors.AsType[taskFailure](err); ok {
		return f.id, true
	}
	if f, ok := errors.AsType[*task.Error](err); ok {
		return f.Task, true
	}
	return topology.TaskID{}, false
}

// uncaught asks what follows from a failure that has stopped the machine. It returns the effect to go on with, or the failure.
func (w *Worker) uncaught(ctx context.Context, err error) (commit.Effect, error) {
	if w.cfg.Uncaught == nil || w.stopping || ctx.Err() != nil || errors.Is(err, commit.ErrInstanceInUse) {
		return commit.Effect{}, err
	}
	id, known := culprit(err)
	switch verdict := w.cfg.Uncaught(err); {
	case verdict == Replace:
		w.log.Error("worker failed; it starts again from the last commit", "err", err)
	case verdict == Park && known:
		w.log.Error("task failed and stays stopped; the others go on", "task", id.String(), "err", err)
		w.culprits = append(w.culprits, parkedTask{spec: restore.Task{ID: id}, err: err})
	default:
		return commit.Effect{}, err
	}
	return w.machine.Restart(w.cfg.Now(), err), nil
}

// park takes the tasks that failed for good out of those that are to be made ready again.
func (w *Worker) park(specs []restore.Task) []restore.Task {
	for _, c := range w.culprits {
		i := slices.IndexFunc(specs, func(s restore.Task) bool { return s.ID == c.spec.ID })
		if i < 0 {
			continue // released meanwhile
		}
		c.spec = specs[i]
		specs = slices.Delete(specs, i, i+1)
		w.failedTasks = append(w.failedTasks, c)
	}
	w.culprits = nil
	return specs
}

// forget drops parked tasks that are no longer this worker's.
func (w *Worker) forget(ids []topology.TaskID) {
	w.failedTasks = slices.DeleteFunc(w.failedTasks, func(f parkedTask) bool { return slices.Contains(ids, f.spec.ID) })
}

// FailedTask is a task that has failed for good, while the others go on.
type FailedTask struct {
	ID  topology.TaskID
	Err error
}

// unready is a failure to make tasks ready: the program's, or one that has lasted for too long.
func unready(err error) error {
	if commit.Classify(err) == commit.ClassFatal {
		return err
	}
	return commit.Fatal(fmt.Errorf("make tasks ready: %w", err))
}
