package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/commit"
	"github.com/millrace-io/millrace/runtime/internal/member"
	"github.com/millrace-io/millrace/runtime/internal/planted"
	"github.com/millrace-io/millrace/runtime/internal/task"
	"github.com/millrace-io/millrace/topology"
)

const (
	// abandonTimeout bounds the abort of a transaction at the end of Run.
	abandonTimeout = 2 * time.Second
	// initTimeout bounds one attempt at a new producer session.
	initTimeout = 30 * time.Second
	// renewalPoll is how often the gate is asked for a newer generation than the one that was refused.
	renewalPoll = 5 * time.Millisecond
	// restEvery is how often a worker that has nothing to commit notes that its stores are complete.
	restEvery = time.Minute
)

// pending sums up what the policy needs to know.
func (w *Worker) pending(idle bool) commit.Pending {
	p := commit.Pending{Dirty: w.out.Records() > 0, Drained: idle}
	for _, r := range w.tasks {
		p.Dirty = p.Dirty || r.fresh || r.task.Uncommitted()
		p.Asked = p.Asked || r.task.CommitRequested()
		dirty, _ := r.task.Bytes()
		p.Bytes += dirty
		for _, in := range r.inputs {
			p.Drained = p.Drained && in.known && in.lag == 0
		}
	}
	p.Dirty = p.Dirty || w.untold()
	p.Drained = p.Drained || idle && w.held // nothing comes of waiting, and others may wait for the commit
	return p
}

// commitIfDue commits if the policy says so. idle: this round neither fetched nor processed anything.
func (w *Worker) commitIfDue(ctx context.Context, idle bool) (bool, error) {
	p := w.pending(idle)
	if p.Dirty && w.machine.State() == commit.Idle {
		if err := w.begin(ctx); err != nil {
			return true, err
		}
	}
	now := w.cfg.Now()
	if due, _ := w.policy.Due(now, p); !due {
		w.rest(now)
		return false, nil
	}
	return true, w.commit(ctx)
}

// rest notes that the stores are complete though there was nothing to commit, or they would be taken for stores that have been behind since
// the last commit. Nothing of theirs is outstanding, and nobody else writes to their changelogs as long as the tasks are this worker's: a worker that
// is cut off cannot know that, so it goes by when the group was asked that has last answered.
func (w *Worker) rest(now time.Time) {
	if w.cfg.Heard == nil || w.machine.State() != commit.Idle || now.Sub(w.rested) < restEvery {
		return
	}
	if ago, ok := w.cfg.Heard(); ok {
		w.rested = now
		w.completeAsOf(now.Add(-ago))
	}
}

// completeAsOf notes when the stores had all of their changelogs.
func (w *Worker) completeAsOf(at time.Time) {
	for _, r := range w.tasks {
		for _, s := range r.spec.Stores {
			if s.Row == nil {
				s.State.CompleteAsOf(at.UnixMilli())
			}
		}
	}
}

// begin notes under which member the transaction begins (G1).
func (w *Worker) begin(ctx context.Context) error {
	id := w.cfg.Member.Identity()
	return w.perform(ctx, w.machine.Step(w.cfg.Now(), commit.Event{Kind: commit.Dirty, Member: membership(id)}))
}

func membership(id client.Identity) commit.Membership {
	return commit.Membership{MemberID: id.MemberID, Generation: id.Generation}
}

// commitNow commits what there is to commit, whatever the policy says.
func (w *Worker) commitNow(ctx context.Context) error {
	if !w.pending(false).Dirty {
		return nil
	}
	if w.machine.State() == commit.Idle {
		if err := w.begin(ctx); err != nil {
			return err
		}
	}
	return w.commit(ctx)
}

func (w *Worker) commit(ctx context.Context) error {
	start := w.cfg.Now()
	if err := w.perform(ctx, w.machine.Step(start, commit.Event{Kind: commit.Due})); err != nil {
		return err
	}
	w.publish()
	return nil
}

// failed tells the machine of a failure outside a commit, and does what follows.
func (w *Worker) failed(ctx context.Context, err error) error {
	return w.perform(ctx, w.machine.Step(w.cfg.Now(), commit.Event{Kind: commit.Failed, Err: err}))
}

// perform carries out an effect and those that follow from its outcome, until there is nothing to do. An error ends Run.
func (w *Worker) perform(ctx context.Context, e commit.Effect) error {
	begun := w.cfg.Now()
	limited, cancel := context.WithTimeout(ctx, w.cfg.TransactionTimeout)
	defer cancel()
	for {
		ev := commit.Event{}
		switch e.Kind {
		case commit.None:
			return nil
		case commit.Stop:
			var err error
			if e, err = w.uncaught(ctx, e.Err); err != nil {
				return err
			}
			continue
		case commit.Recover:
			if w.stopping || ctx.Err() != nil {
				return e.Err
			}
			ev = commit.Event{Kind: commit.Recovered, Err: w.recover(ctx, e)}
		case commit.Flush:
			ev = commit.Event{Kind: commit.Flushed, Err: w.flush()}
		case commit.Produce:
			ev = commit.Event{Kind: commit.Produced, Err: w.produce(limited)}
		case commit.Enter:
			ev = commit.Event{Kind: commit.Entered, Err: w.enter(limited)}
			ev.Member = membership(w.identity)
		case commit.SendOffsets:
			ev = commit.Event{Kind: commit.OffsetsSent, Err: w.sendOffsets(limited)}
		case commit.EndTransaction:
			if planted.Is(planted.AppliedBeforeCommit) {
				_ = w.apply(begun)
			}
			ev = commit.Event{Kind: commit.Ended, Err: w.cfg.Producer.End(limited, true)}
			if planted.Is(planted.CommitAssumed) && errors.Is(ev.Err, context.DeadlineExceeded) {
				ev.Err = nil
			}
		case commit.Apply:
			ev = commit.Event{Kind: commit.Applied, Err: w.apply(begun)}
			w.policy.Done(begun, w.cfg.Now())
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		e = w.machine.Step(w.cfg.Now(), ev)
	}
}

// flush flushes the tasks, each in topological order until nothing in it is dirty, and sends what is open.
func (w *Worker) flush() error {
	for _, r := range w.tasks {
		if err := r.task.Flush(); err != nil {
			return w.taskError(err)
		}
	}
	return w.out.Flush()
}

// produce waits for the answer to every batch, and reads off where the changelogs end.
func (w *Worker) produce(ctx context.Context) error {
	for {
		if err := w.out.Flush(); err != nil { // again: handlers may have written dead letters
			return err
		}
		if planted.Is(planted.EndedUnanswered) {
			break
		}
		err := w.cfg.Producer.Flush(ctx)
		if errors.Is(err, client.ErrRefused) {
			if err = w.judge(ctx); err == nil {
				continue
			}
		}
		if err != nil {
			return err
		}
		break
	}
	wrote := w.out.Records() > 0 // else the producer still speaks of the transaction before
	for _, r := range w.tasks {
		clear(r.next)
		r.reached()
		if !wrote {
			continue
		}
		for _, s := range r.spec.Stores {
			if s.Row != nil {
				continue
			}
			if next, ok := w.cfg.Producer.Next(s.Changelog); ok {
				r.next[s.Name] = next
			}
		}
	}
	return nil
}

// reached notes how far the stores have come whose changelog is an input: as far as the task.
func (r *running) reached() {
	for _, s := range r.spec.Stores {
		if s.Row == nil {
			continue
		}
		for _, p := range r.task.Progress() {
			if p.Input == s.Changelog {
				r.next[s.Name] = p.Next
			}
		}
	}
}

// enter waits at the membership gate (G2), and after a refusal for a newer generation.
func (w *Worker) enter(ctx context.Context) error {
	for {
		id, leave, err := w.cfg.Member.Enter(ctx)
		if errors.Is(err, member.ErrLost) {
			return fmt.Errorf("%w: %w", commit.ErrMemberLost, err)
		}
		if err != nil {
			return err
		}
		if w.refused == 0 || id.Generation != w.refused {
			w.identity, w.leave, w.refused = id, leave, 0
			return nil
		}
		leave()
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for a newer generation than %d: %w", w.refused, ctx.Err())
		case <-time.After(renewalPoll):
		}
	}
}

func (w *Worker) leaveGate() {
	if w.leave != nil {
		w.leave()
		w.leave = nil
	}
}

// sendOffsets commits the tasks' positions under the identity that the gate let in, then leaves the gate.
func (w *Worker) sendOffsets(ctx context.Context) error {
	defer w.leaveGate()
	offsets := make(map[client.TopicPartition]client.Committed, len(w.byInput))
	for _, r := range w.tasks {
		for _, p := range r.task.Progress() {
			in := w.byInput[p.Input]
			in.position, in.next = p.Next, r.task.Head(p.Input)
			offsets[p.Input] = client.Committed{Offset: p.Next, LeaderEpoch: p.LeaderEpoch, Metadata: w.metadata(r, &p)}
		}
	}
	send := w.cfg.Producer.CommitOffsets
	if !w.cfg.transactional() {
		send = w.cfg.CommitOffsets
	}
	id := w.identity
	if planted.Is(planted.GenerationUnchecked) {
		id.MemberID, id.InstanceID, id.Generation = "", "", -1
	}
	err := send(ctx, id, offsets)
	switch client.ClassOf(err) {
	case client.ClassGeneration:
		w.refused = w.identity.Generation
		w.cfg.Member.Refused()
	case client.ClassMemberLost:
		w.cfg.Member.Refused()
	}
	return err
}

// metadata returns what is committed with a position.
func (w *Worker) metadata(r *running, p *task.Progress) string {
	m := commit.Metadata{PartitionTime: p.PartitionTime, Times: p.Times}
	if next := w.byInput[p.Input].next; w.cfg.Align != nil && next >= 0 {
		m.Next, m.HasNext = next, true
	}
	text, left := m.Encode()
	if left > 0 && !r.crowded {
		r.crowded = true
		w.log.Warn("the task has more operators with event times than the metadata of an offset can hold; those left out start anew after a "+
			"restart, from the newest of their stores. Shorter names of stores help", "task", r.spec.ID.String(), "left_out", left)
	}
	return text
}

// apply hands the transaction's writes to the committed layers. Only a clear success comes here (C1): the tasks were still this worker's when
// the commit began, so their stores had all of their changelogs.
func (w *Worker) apply(begun time.Time) error {
	for _, r := range w.tasks {
		if err := r.task.Committed(r.next); err != nil {
			return commit.Fatal(err)
		}
	}
	w.completeAsOf(begun)
	for _, r := range w.tasks {
		r.fresh = false
		for _, in := range r.inputs {
			in.committed, in.told = in.position, in.next
			r.spec.Known[in.tp] = true
			if w.cfg.Committed != nil {
				w.cfg.Committed(in.tp, in.committed)
			}
		}
	}
	w.out.Committed()
	w.totals.commits++
	return nil
}

// recover is the one path after every failure (W4).
func (w *Worker) recover(ctx context.Context, e commit.Effect) error {
	w.log.Warn("transaction lost; recovering", "err", e.Err, "tasks", len(w.tasks), "in", e.Wait)
	w.leaveGate()
	if !w.recovering { // else it has been counted
		w.totals.aborts++
	}
	w.recovering = true
	specs := append(w.cancelAll(), w.parked...)
	w.parked = nil
	for _, r := range w.tasks {
		specs = append(specs, r.spec)
		if planted.Is(planted.OverlayKept) {
			_ = r.task.Committed(r.next)
		}
		if err := w.close(r); err != nil {
			w.log.Warn("closing a task of a lost transaction", "err", err)
		}
	}
	w.tasks, w.refused = nil, 0
	w.parked = append(w.parked, w.park(specs)...)
	w.out.Discard()
	w.policy.Reset(w.cfg.Now())
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(e.Wait):
	}
	if err := w.initProducer(ctx); err != nil {
		return err
	}
	specs, w.parked, w.recovering = w.parked, nil, false
	if !e.Lost {
		w.prepare(ctx, specs)
	}
	w.publish() // before anybody is told: they look
	if e.Lost && len(specs) > 0 && !w.losing {
		ids := make([]topology.TaskID, len(specs))
		for i, spec := range specs {
			ids[i] = spec.ID
		}
		w.cfg.Dropped(ids)
	}
	w.cfg.Changed()
	return nil
}

// initProducer begins a new producer session, which settles whatever the old one left.
func (w *Worker) initProducer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, initTimeout)
	defer cancel()
	return w.cfg.Producer.Init(ctx)
}
