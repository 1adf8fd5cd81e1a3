package member

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/assign"
	"github.com/millrace-io/millrace/runtime/internal/client"
)

const (
	// protocol is the name of our assignor. All members of a group must have one in common.
	protocol = "millrace"
	// leaveTimeout bounds the farewell; a member that could not leave is missed after the session time-out.
	leaveTimeout = 2 * time.Second
)

// Run joins the group and keeps the membership until ctx ends, then leaves the group. The owner must have ended all
// transactions before it ends ctx. Any other end is an error. It may be called once.
func (m *Member) Run(ctx context.Context) error {
	defer close(m.ended)
	requests, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &runner{Member: m, ctx: requests}
	defer r.wg.Wait()
	defer cancel()

	timer := time.NewTimer(0)
	defer timer.Stop()
	done := ctx.Done()
	for ev := (event{kind: evTick}); ; {
		r.note(&ev)
		effects := m.core.step(time.Now(), ev)
		m.publish() // before the effects: who is let through the gate must see the new generation
		for _, e := range effects {
			if e.kind == doStop {
				return e.err
			}
			r.perform(e)
		}
		timer.Stop()
		if at := m.core.wake(); !at.IsZero() {
			timer.Reset(max(time.Until(at), 0))
		}
		select {
		case ev = <-m.inbox:
		case <-timer.C:
			ev = event{kind: evTick}
		case <-done:
			done = nil
			ev = event{kind: evLeave}
		}
	}
}

// runner performs the effects of the core. Its fields belong to Run's goroutine.
type runner struct {
	*Member
	ctx     context.Context // of requests; ends with Run
	wg      sync.WaitGroup
	waiting context.CancelFunc // gives up waiting for the gate
}

func (r *runner) perform(e effect) {
	id := client.Identity{Group: r.cfg.Group, MemberID: e.memberID, Generation: e.generation, InstanceID: r.cfg.InstanceID}
	switch e.kind {
	case doCloseGate:
		r.gate.shut()
		ctx, cancel := context.WithCancel(r.ctx)
		r.waiting = cancel
		r.async(func() event {
			r.gate.await(ctx)
			return event{kind: evGateClosed, gate: e.gate}
		})
	case doOpenGate:
		r.waiting()
		r.gate.open()
	case doJoin:
		r.async(func() event { return r.join(&e) })
	case doPlan:
		r.async(func() event {
			plan, probe, err := r.plan(e.members)
			return event{kind: evPlanned, generation: e.generation, plan: plan, probe: probe, err: err}
		})
	case doSync:
		r.async(func() event { return r.sync(id, e.plan) })
	case doHeartbeat:
		r.async(func() event { return r.heartbeat(id) })
	case doLeave:
		if r.stay.Load() {
			r.log.Info("the group keeps this member until its session times out", "group", r.cfg.Group, "session_timeout", r.cfg.SessionTimeout)
			return
		}
		ctx, cancel := context.WithTimeout(r.ctx, leaveTimeout)
		defer cancel()
		if err := r.c.Leave(ctx, id, "the instance stops"); err != nil {
			r.log.Warn("the group was not told that this member leaves; it will notice after the session time-out", "group", r.cfg.Group, "err", err)
		}
	case doStop: // Run's
	}
}

// async makes a request whose answer becomes an event.
func (r *runner) async(request func() event) {
	r.wg.Go(func() {
		ev := request()
		select {
		case r.inbox <- ev:
		case <-r.ctx.Done():
		}
	})
}

func (r *runner) join(e *effect) event {
	var topics []string
	if r.cfg.Topics != nil {
		topics = r.cfg.Topics()
	}
	s := subscription{
		topics: topics, partitions: e.partitions, generation: e.claimed, rack: r.cfg.Rack,
		user: userData{
			instanceID: r.cfg.InstanceID, capacity: int(r.capacity.Load()), fingerprint: r.cfg.Fingerprint,
			owned: e.claims, previous: e.previous, tags: r.cfg.Tags, endpoint: r.cfg.Endpoint, stop: e.stop,
		},
	}
	if r.cfg.Lags != nil {
		s.user.lags = r.cfg.Lags(r.ctx, e.previous)
		s.user.previous = filter(e.previous, func(t assign.Task) bool { return s.user.lags[t] >= 0 })
		for t, lag := range s.user.lags { // what it has a copy of it has on its disk
			if lag >= 0 && !contains(e.claims, t) {
				s.user.previous = append(s.user.previous, t)
			}
		}
		s.user.previous = sorted(s.user.previous)
	}
	answer, err := r.c.Join(r.ctx, client.JoinRequest{
		Group: r.cfg.Group, MemberID: e.memberID, InstanceID: r.cfg.InstanceID,
		SessionTimeout: r.cfg.SessionTimeout, RebalanceTimeout: r.cfg.RebalanceTimeout,
		Protocol: protocol, Metadata: s.encode(), Reason: e.reason,
	})
	ev := event{kind: evJoined, memberID: answer.MemberID, generation: answer.Generation, leader: answer.Leader}
	for _, m := range answer.Members {
		if !answer.Leader || err != nil {
			break
		}
		state := memberState{id: m.MemberID}
		if state.subscription, err = decodeSubscription(m.Metadata); err != nil {
			err = fmt.Errorf("member %s of group %q, which this version cannot read: %w", m.MemberID, r.cfg.Group, err)
			ev.verdict, ev.err = fatal, err
			return ev
		}
		ev.members = append(ev.members, state)
	}
	ev.verdict, ev.err = judge(err)
	return ev
}

func (r *runner) sync(id client.Identity, plan map[string][]byte) event {
	ev := event{kind: evSynced, generation: id.Generation}
	answer, err := r.c.Sync(r.ctx, id, protocol, plan)
	if err == nil {
		var a assignment
		if a, err = decodeAssignment(answer); err != nil {
			ev.verdict, ev.err = fatal, fmt.Errorf("group %q: %w", r.cfg.Group, err)
			return ev
		}
		ev.tasks, ev.partitions, ev.copies, ev.stop = a.tasks, a.partitions, a.copies, a.stop
	}
	ev.verdict, ev.err = judge(err)
	return ev
}

func (r *runner) heartbeat(id client.Identity) event {
	ctx, cancel := context.WithTimeout(r.ctx, r.cfg.SessionTimeout/3) // leaves time for another try
	defer cancel()
	ev := event{kind: evHeartbeat, memberID: id.MemberID, generation: id.Generation}
	sent := time.Now()
	if ev.verdict, ev.err = judge(r.c.Heartbeat(ctx, id)); ev.verdict == fine {
		r.heard.Store(&sent)
	}
	return ev
}

// judge says what the error of a group request means to the core.
func judge(err error) (verdict, error) {
	switch client.ClassOf(err) {
	case client.ClassNone:
		return fine, nil
	case client.ClassGeneration:
		return rebalance, err
	case client.ClassMemberLost:
		return memberLost, err
	case client.ClassFenced:
		return fatal, fmt.Errorf("another process has joined with this instance id: %w", err)
	case client.ClassFatal:
		if errors.Is(err, context.Canceled) { // Run ends
			return tryLater, err
		}
		return fatal, err
	case client.ClassRetry, client.ClassAbort, client.ClassUnknown:
		if errors.Is(err, client.ErrMemberIDRequired) {
			return giveID, err
		}
	}
	return tryLater, err
}

// note logs what an operator may want to know of an answer.
func (r *runner) note(ev *event) {
	log := r.log.With("group", r.cfg.Group)
	switch {
	case ev.verdict == memberLost:
		log.Warn("the group has forgotten this member, joining anew", "member", r.core.memberID, "err", ev.err)
	case ev.verdict == tryLater && ev.kind == evHeartbeat:
		log.Debug("heartbeat failed", "err", ev.err)
	case ev.verdict == tryLater && r.ctx.Err() == nil:
		log.Warn("joining the group failed, trying again", "err", ev.err)
	case ev.verdict == fine && ev.kind == evSynced:
		log.Info("joined the group", "member", r.core.memberID, "generation", ev.generation, "tasks", len(ev.tasks))
	}
}
