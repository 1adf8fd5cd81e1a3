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

// Failures returns what an error of Prepare says of single tasks, and whether that is all it says.
func Failures(err error) (failures []*TaskError, all bool) {
	if e, ok := err.(*TaskError); ok { //nolint:errorlint // a wrapped one is not all that the error says
		return []*TaskError{e}, true
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil, false
	}
	for _, err := range joined.Unwrap() {
		f, ok := Failures(err)
		if !ok {
			return nil, false
		}
		failures = append(failures, f...)
	}
	return failures, true
}

// maxAlone is how many tasks in a row are asked about in vain before the others are not: then it is nobody's fault alone.
const maxAlone = 3

// alone makes tasks ready one by one, after the log would not answer for all of them at once because of cause: one partition without a
// leader, or whose offset an open transaction holds, must not keep other tasks from running.
func (r *Restorer) alone(ctx context.Context, tasks []Task, cause error, ready func(Ready)) error {
	var errs []error
	vain := 0
	for i := range tasks {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		err := cause
		if vain < maxAlone {
			err = r.prepare(ctx, tasks[i:i+1], r.cfg.LookTimeout/4, ready)
		}
		switch failures, ok := Failures(err); {
		case err == nil:
			vain = 0
		case ok:
			errs = append(errs, asErrors(failures)...)
		default:
			errs = append(errs, &TaskError{tasks[i].ID, err})
			if commit.Classify(err) != commit.ClassFatal {
				vain++
			}
		}
	}
	return errors.Join(errs...)
}

func asErrors(failures []*TaskError) []error {
	errs := make([]error, len(failures))
	for i, f := range failures {
		errs[i] = f
	}
	return errs
}
