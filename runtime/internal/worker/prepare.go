package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/commit"
	"github.com/millrace-io/millrace/runtime/internal/restore"
	"github.com/millrace-io/millrace/runtime/internal/task"
	"github.com/millrace-io/millrace/topology"
)

// preparation is a goroutine that makes tasks ready.
type preparation struct {
	tasks  []restore.Task // not ready yet; owned by the worker's goroutine
	cancel context.CancelFunc
	ended  chan struct{}
}

// prepared is news of a preparation: a task that is ready, or why it cannot go on.
type prepared struct {
	from  *preparation
	ready restore.Ready
	err   error // of all that are left, or of a single one if it is a *restore.TaskError
}

// Back-off of a preparation that failed for a reason that may pass.
const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// prepare starts making tasks ready.
func (w *Worker) prepare(ctx context.Context, tasks []restore.Task) {
	if len(tasks) == 0 {
		return
	}
	if w.paused {
		w.heldBack = append(w.heldBack, tasks...)
		w.publish()
		w.cfg.Changed()
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	p := &preparation{tasks: slices.Clone(tasks), cancel: cancel, ended: make(chan struct{})}
	w.batches = append(w.batches, p)
	w.preparing.Go(func() {
		defer close(p.ended)
		defer cancel()
		if err := w.prepareUntilReady(ctx, p, slices.Clone(tasks)); err != nil {
			w.tell(ctx, prepared{from: p, err: err})
		}
	})
}

// prepareUntilReady runs in the preparation's goroutine. It tries again what may pass, until the task time-out, which each task has for
// itself: one that cannot be made ready keeps none of the others from running.
func (w *Worker) prepareUntilReady(ctx context.Context, p *preparation, tasks []restore.Task) error {
	wait := firstRetry
	since := make(map[topology.TaskID]time.Time) // the first failure of each
	gone := make(map[topology.TaskID]bool)       // handed over, or given up
	for {
		begun := w.cfg.Now()
		err := w.cfg.Prepare(ctx, tasks, func(r restore.Ready) {
			gone[r.ID] = true
			w.tell(ctx, prepared{from: p, ready: r})
		})
		if err == nil || ctx.Err() != nil {
			return nil
		}
		failures, single := errors.AsType[restore.Failed](err)
		if !single { // it is about all that are left
			if commit.Classify(err) == commit.ClassFatal {
				return err
			}
			for _, t := range tasks {
				if !gone[t.ID] {
					failures = append(failures, &restore.TaskError{ID: t.ID, Err: err})
				}
			}
		}
		for _, f := range failures {
			if _, failing := since[f.ID]; !failing {
				since[f.ID] = begun
			}
			if lasted := w.cfg.Now().Sub(since[f.ID]); commit.Classify(f) != commit.ClassFatal {
				if lasted < w.cfg.TaskTimeout {
					continue
				}
				f.Err = fmt.Errorf("no progress for %v: %w", lasted.Round(time.Second), f.Err)
			}
			gone[f.ID] = true
			w.tell(ctx, prepared{from: p, err: f})
		}
		tasks = slices.DeleteFunc(tasks, func(t restore.Task) bool { return gone[t.ID] })
		if len(tasks) == 0 {
			return nil
		}
		w.log.Warn("tasks cannot be made ready yet", "err", err, "retry_in", wait)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = min(2*wait, lastRetry)
	}
}

func (w *Worker) tell(ctx context.Context, p prepared) {
	select {
	case w.ready <- p:
	case <-ctx.Done():
	}
}

// start takes over a task that has become ready.
func (w *Worker) start(ctx context.Context, p prepared) error {
	if !slices.Contains(w.batches, p.from) {
		return nil // cancelled meanwhile
	}
	id := p.ready.ID
	failure, single := errors.AsType[*restore.TaskError](p.err)
	switch {
	case single:
		id = failure.ID
	case p.err != nil:
		return w.failed(ctx, unready(p.err))
	}
	i := slices.IndexFunc(p.from.tasks, func(t restore.Task) bool { return t.ID == id })
	if i < 0 {
		return nil
	}
	spec := p.from.tasks[i]
	p.from.tasks = slices.Delete(p.from.tasks, i, i+1)
	if len(p.from.tasks) == 0 {
		w.batches = slices.DeleteFunc(w.batches, func(b *preparation) bool { return b == p.from })
	}
	if single {
		w.parked = append(w.parked, spec) // it is not among the running ones, nor those that are made ready
		return w.failed(ctx, commit.Fatal(taskFailure{id, failure}))
	}
	if err := w.run(spec, p.ready); err != nil {
		w.parked = append(w.parked, spec) // as above
		return w.failed(ctx, commit.Fatal(taskFailure{spec.ID, err}))
	}
	return nil
}

// run builds the task and begins to read its inputs.
func (w *Worker) run(spec restore.Task, ready restore.Ready) error {
	now := w.cfg.Now()
	start := make([]task.Progress, 0, len(spec.Inputs))
	for _, in := range spec.Inputs {
		c := ready.Offsets[in]
		times, err := commit.DecodeMetadata(c.Metadata)
		if err != nil {
			w.log.Warn("event times of the input are lost; they start anew", "task", spec.ID.String(),
				"topic", in.Topic, "partition", in.Partition, "err", err)
		}
		start = append(start, task.Progress{Input: in, LeaderEpoch: c.LeaderEpoch, Next: c.Offset, PartitionTime: times.PartitionTime, Times: times.Times})
	}
	t, err := w.cfg.NewTask(spec.ID, w.out, start, now)
	if err != nil {
		return err
	}
	r := &running{spec: spec, task: t, next: make(map[string]int64, len(spec.Stores))}
	for _, p := range start {
		in := &input{tp: p.Input, owner: r, start: p.Next, position: p.Next, committed: p.Next, next: -1, told: -1}
		if ready.Fresh[p.Input] {
			in.committed = -1
			r.fresh = r.fresh || spec.Resets[p.Input] != topology.Earliest()
		} else {
			spec.Known[p.Input] = true
		}
		r.inputs = append(r.inputs, in)
		w.byInput[in.tp] = in
		w.cfg.Fetcher.Add(in.tp, p.Next)
	}
	at, _ := slices.BinarySearchFunc(w.tasks, spec.ID, func(r *running, id topology.TaskID) int { return r.spec.ID.Compare(id) })
	w.tasks = slices.Insert(w.tasks, at, r)
	w.log.Info("task runs", "task", spec.ID.String(), "restored", ready.Restored)
	w.publish()
	w.cfg.Changed()
	return nil
}

// cancelPreparing stops making the given tasks ready. Others of the same preparations begin anew.
func (w *Worker) cancelPreparing(ctx context.Context, ids []topology.TaskID) {
	given := func(t restore.Task) bool { return slices.Contains(ids, t.ID) }
	w.heldBack = slices.DeleteFunc(w.heldBack, given)
	for _, p := range slices.Clone(w.batches) {
		if !slices.ContainsFunc(p.tasks, given) {
			continue
		}
		w.cancel(p)
		w.prepare(ctx, slices.DeleteFunc(p.tasks, given))
	}
}

// cancelAll stops making tasks ready and returns those that were not.
func (w *Worker) cancelAll() []restore.Task {
	tasks := w.heldBack
	w.heldBack = nil
	for _, p := range slices.Clone(w.batches) {
		w.cancel(p)
		tasks = append(tasks, p.tasks...)
	}
	return tasks
}

// cancel ends one preparation and waits for its goroutine: it may be restoring into a store that another worker is about to
// get.
func (w *Worker) cancel(p *preparation) {
	p.cancel()
	<-p.ended
	w.batches = slices.DeleteFunc(w.batches, func(b *preparation) bool { return b == p })
}
