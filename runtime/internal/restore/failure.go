package restore

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace-io/millrace/runtime/internal/commit"
	"github.com/millrace-io/millrace/topology"
)

// TaskError says which task cannot be made ready; its message begins with it.
type TaskError struct {
	ID  topology.TaskID
	Err error
}

// Error returns "task 0_3: ...".
func (e *TaskError) Error() string { return fmt.Sprintf("task %s: %v", e.ID, e.Err) }

// Unwrap returns why.
func (e *TaskError) Unwrap() error { return e.Err }

// Failed is the error of Prepare that is about single tasks: these cannot be made ready now, the others are.
type Failed []*TaskError

// Error returns what each task says, a line for each.
func (f Failed) Error() string { return errors.Join(f.Unwrap()...).Error() }

// Unwrap returns the failures as errors.
func (f Failed) Unwrap() []error {
	errs := make([]error, len(f))
	for i, e := range f {
		errs[i] = e
	}
	return errs
}

// orNil returns f as an error, nil if nothing has failed.
func (f Failed) orNil() error {
	if len(f) == 0 {
		return nil
	}
	return f
}

// maxAlone is how many tasks in a row are asked about in vain before the others are not: then it is nobody's fault alone.
const maxAlone = 3

// alone makes tasks ready one by one, after the log would not answer for all of them at once because of cause: one partition without a
// leader, or whose offset an open transaction holds, must not keep other tasks from running.
func (r *Restorer) alone(ctx context.Context, tasks []Task, cause error, ready func(Ready)) error {
	var all Failed
	vain := 0
	for i := range tasks {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		err := cause
		if vain < maxAlone {
			err = r.prepare(ctx, tasks[i:i+1], r.cfg.LookTimeout/4, ready)
		}
		failed, single := errors.AsType[Failed](err)
		switch {
		case err == nil:
			vain = 0
		case single:
			all = append(all, failed...)
		default:
			all = append(all, &TaskError{tasks[i].ID, err})
			if commit.Classify(err) != commit.ClassFatal {
				vain++
			}
		}
	}
	return all.orNil()
}
