package worker

import (
	"time"

	"github.com/millrace-io/millrace/runtime/internal/commit"
	"github.com/millrace-io/millrace/runtime/internal/skew"
)

// alignPoll is how often a worker whose tasks wait for those of others looks whether they may go on.
const alignPoll = 2 * time.Millisecond

// align says how far the tasks may go in this round. What others see of them is what they have committed (A1): what has come later, a task
// that has just begun, or a record that is older than the last, shows at once, for it can only hold.
func (w *Worker) align(now time.Time) {
	if w.cfg.Align == nil {
		return
	}
	own := skew.None
	for _, r := range w.tasks {
		own = min(own, w.boundOf(r, now))
	}
	if w.clean() {
		w.bound = own
	} else {
		w.bound = min(w.bound, own)
	}
	w.cfg.Align.Publish(w.cfg.Slot, w.bound)
	limit := w.cfg.Align.Limit(w.cfg.Slot, own)
	w.held = false
	for _, r := range w.tasks {
		r.task.SetLimit(limit)
		here, _ := r.task.Heads()
		w.held = w.held || here != skew.None && here > limit
	}
}

// unalign has the tasks hold nobody.
func (w *Worker) unalign() {
	if w.cfg.Align != nil {
		w.bound, w.held = skew.None, false
		w.cfg.Align.Publish(w.cfg.Slot, skew.None)
	}
}

// depart has a task that is about to be closed hold the others until its next owner does, or until it is known that it has no data.
func (w *Worker) depart(r *running) {
	if w.cfg.Align == nil {
		return
	}
	now := w.cfg.Now()
	if bound := w.boundOf(r, now); bound != skew.None {
		w.cfg.Align.Leave(now, min(bound, w.bound))
	}
}

// clean reports whether all that the tasks have done is committed.
func (w *Worker) clean() bool {
	if w.machine.State() != commit.Idle || w.out.Records() > 0 {
		return false
	}
	for _, r := range w.tasks {
		if r.task.Uncommitted() {
			return false
		}
	}
	return true
}

// boundOf returns the lowest event time that a task may process next. An input that the log is said to hold more of is waited for, but
// not for ever.
func (w *Worker) boundOf(r *running, now time.Time) int64 {
	here, expected := r.task.Heads()
	switch {
	case expected == skew.None:
		r.starved = time.Time{}
	case r.starved.IsZero():
		r.starved = now
	case now.Sub(r.starved) >= w.cfg.Align.Patience():
		return here
	}
	return min(here, expected)
}

// untold reports whether a task waits at a record that the other instances, which may wait for it, have not heard of (A2).
func (w *Worker) untold() bool {
	if !w.held || !w.cfg.Align.Watching() {
		return false
	}
	for _, r := range w.tasks {
		for _, in := range r.inputs {
			if head := r.task.Head(in.tp); head >= 0 && head != in.told {
				return true
			}
		}
	}
	return false
}
