package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// hurt goes through the schedule.
func (s *segment) hurt(ctx context.Context) error {
	for _, f := range newSchedule(s.options) {
		if err := s.runUntil(ctx, s.start.Add(f.At)); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
		if err := s.apply(f); err != nil {
			return fmt.Errorf("%s: %w", f.Kind, err)
		}
	}
	return s.runUntil(ctx, s.start.Add(s.options.duration))
}

// runUntil does what falls due until a time, or until ctx ends.
func (s *segment) runUntil(ctx context.Context, until time.Time) error {
	for {
		s.look()
		if err := s.doDue(time.Now()); err != nil {
			return err
		}
		left := time.Until(until)
		if left <= 0 || sleep(ctx, min(left, 10*time.Millisecond)) != nil {
			return nil
		}
	}
}

// doDue does what is due by now.
func (s *segment) doDue(now time.Time) error {
	slices.SortStableFunc(s.agenda, func(a, b due) int { return a.at.Compare(b.at) })
	for len(s.agenda) > 0 && !s.agenda[0].at.After(now) {
		next := s.agenda[0]
		s.agenda = s.agenda[1:]
		if err := next.do(); err != nil {
			return err
		}
	}
	return nil
}

func (s *segment) later(d time.Duration, do func() error) {
	s.agenda = append(s.agenda, due{time.Now().Add(d), do})
}

// look finds out what has ended by itself. Nothing may, but an instance that was told to.
func (s *segment) look() {
	for _, sl := range s.slots {
		if sl.proc == nil || !sl.proc.gone() {
			continue
		}
		switch {
		case sl.proc.killed(): // by an order that came too late for its fault
			st := sl.status()
			s.report.Kills.add(st.deepest(), st.At[killSelf])
		case sl.leaving && sl.cutOff: // its last commit had nobody to go to, which it may say
		case sl.proc.err != nil || !sl.leaving:
			s.verdict.add(oracleLive, sl.name, "it stopped by itself: %v: %s", sl.proc.err, sl.proc.lastWords())
			s.say("%s stopped by itself: %s", sl.name, sl.proc.lastWords())
		}
		again := !sl.leaving
		sl.ended()
		if again {
			s.restart(sl, 300*time.Millisecond)
		}
	}
	if s.broker != nil && s.broker.gone() && !s.brokerAway {
		if !s.broker.killed() {
			s.verdict.add(oracleLive, "broker", "it stopped by itself: %v: %s", s.broker.err, s.broker.lastWords())
		}
		s.brokerAway = true
		s.later(0, s.brokerBack)
	}
}

// restart starts an instance again after a while.
func (s *segment) restart(sl *slot, after time.Duration) {
	sl.waiting = true
	s.later(after, func() error {
		if !sl.waiting {
			return nil
		}
		return sl.start(nil)
	})
}

// among chooses one of the slots for which ok holds.
func (s *segment) among(pick int, ok func(*slot) bool) *slot {
	var found []*slot
	for _, sl := range s.slots {
		if ok(sl) {
			found = append(found, sl)
		}
	}
	if len(found) == 0 {
		return nil
	}
	return found[pick%len(found)]
}

// apply does one fault. One that finds nothing to hit waits until it does.
func (s *segment) apply(f fault) error {
	switch f.Kind {
	case joinOne:
		if sl := s.among(f.Pick, func(sl *slot) bool { return sl.proc == nil && !sl.waiting }); sl != nil {
			s.say("%s joins", sl.name)
			s.report.Joins++
			return sl.start(nil)
		}
		return nil
	case killLog:
		return s.applyBrokerKill(f)
	}
	healthy := 0
	for _, sl := range s.slots {
		if sl.healthy() {
			healthy++
		}
	}
	sl := s.among(f.Pick, (*slot).healthy)
	switch {
	case sl == nil, f.Kind == pauseOne && healthy == 1 && s.instances > 1: // a pause is for others to take over
		s.later(100*time.Millisecond, func() error { return s.apply(f) })
	case f.Kind == leaveOne && healthy > 1:
		if !sl.canLeave() {
			s.later(100*time.Millisecond, func() error { return s.apply(f) })
			return nil
		}
		s.say("%s leaves", sl.name)
		s.report.Leaves++
		sl.leaving, sl.cutOff = true, s.brokerAway
		return signalEnd(sl.proc.pid())
	case f.Kind == killOne:
		sl.hit(killSelf, f.Point, f.After, 0, sl.proc.gone)
		if f.Point != "" && !sl.proc.gone() && f.Tries < maxTries { // this one has no transactions: another may
			f.Tries++
			f.Pick++
			s.later(0, func() error { return s.apply(f) })
			return nil
		}
		sl.killNow()
		s.restart(sl, f.Down)
	case f.Kind == killYoung:
		sl.killNow()
		if err := sl.start(&order{Act: killSelf, Point: f.Point}); err != nil {
			return err
		}
		wait(2*patience, sl.proc.gone)
		sl.killNow()
		s.restart(sl, f.Down)
	case f.Kind == pauseOne:
		return s.applyPause(sl, f)
	case f.Kind == cutOne:
		before := sl.status().Obeyed
		sl.hit(cutOff, f.Point, f.After, 0, func() bool { return sl.status().Obeyed > before || sl.proc.gone() })
		if sl.status().Obeyed == before { // it was idle, say
			s.later(100*time.Millisecond, func() error { return s.apply(f) })
			return nil
		}
		s.report.Cuts++
		s.report.CutsByPoint[string(sl.status().At[cutOff])]++
		s.say("cut a connection of %s at %s", sl.name, f.Point)
	}
	return nil
}

// applyPause stops an instance, at a point or at once, and lets it go on later.
func (s *segment) applyPause(sl *slot, f fault) error {
	before := sl.status().Obeyed
	sl.hit(pauseSelf, f.Point, f.After, 0, func() bool { return sl.status().Obeyed > before || sl.proc.gone() })
	if sl.proc.gone() { // look says so
		s.later(100*time.Millisecond, func() error { return s.apply(f) })
		return nil
	}
	pid := sl.proc.pid()
	if sl.status().Obeyed == before {
		if err := signalStop(pid); err != nil {
			return err
		}
	}
	sl.paused = true
	st := sl.status()
	var at point
	if st.Obeyed > before {
		at = st.At[pauseSelf]
	}
	s.report.Pauses.add(st.deepest(), at)
	s.say("paused %s for %v: %s", sl.name, f.Pause.Round(time.Millisecond), st.said())
	proc := sl.proc
	s.later(f.Pause, func() error {
		if sl.proc == proc && !proc.gone() {
			sl.paused = false
			return signalContinue(pid)
		}
		return nil
	})
	return nil
}

// applyBrokerKill kills the broker, at a point of some instance's or at once, and starts it again later.
func (s *segment) applyBrokerKill(f fault) error {
	if s.cluster != nil {
		return s.applyNodeKill(f)
	}
	if s.brokerAway {
		s.later(100*time.Millisecond, func() error { return s.apply(f) })
		return nil
	}
	at := s.aimAtBroker(f, s.broker.pid(), s.broker.gone)
	s.broker.kill()
	s.say("killed the broker: %s", s.countBrokerKill(at))
	s.brokerAway = true
	s.later(f.Down, s.brokerBack)
	return nil
}

// aimAtBroker has an instance kill a broker at a point, and returns where it has; "" if it has not.
func (s *segment) aimAtBroker(f fault, pid int, gone func() bool) point {
	sl := s.among(f.Pick, (*slot).healthy)
	if sl == nil {
		return ""
	}
	before := sl.status().Obeyed
	sl.hit(killBroker, f.Point, f.After, pid, func() bool { return gone() || sl.status().Obeyed > before || sl.proc.gone() })
	if st := sl.status(); st.Obeyed > before {
		return st.At[killBroker]
	}
	return ""
}

// countBrokerKill books a kill of the broker by the phases that it met, and where it was aimed at.
func (s *segment) countBrokerKill(at point) phase {
	deepest := idle
	for _, sl := range s.slots {
		if sl.proc != nil {
			deepest = deeper(deepest, sl.status().deepest())
			sl.cutOff = sl.cutOff || sl.leaving
		}
	}
	s.report.BrokerKills.add(deepest, at)
	return deepest
}

// applyNodeKill kills a node of the cluster in the same way. One at a time: the others go on.
func (s *segment) applyNodeKill(f fault) error {
	if whole, err := s.cluster.whole(); err != nil || !whole {
		s.later(200*time.Millisecond, func() error { return s.apply(f) })
		return err
	}
	node := 1 + f.Pick%s.cluster.nodes
	pid, err := s.cluster.pid(node)
	if err != nil {
		return err
	}
	at := s.aimAtBroker(f, pid, func() bool { return false })
	_ = signalKill(pid) // it may be dead already
	s.cluster.down = node
	s.say("killed node %d: %s", node, s.countBrokerKill(at))
	s.later(f.Down, s.cluster.start)
	return nil
}

// brokerBack starts the broker again.
func (s *segment) brokerBack() error {
	if !s.brokerAway {
		return nil
	}
	s.report.MaxRSS = max(s.report.MaxRSS, maxRSS(s.broker.cmd.ProcessState))
	s.brokerAway = false
	return s.startBroker()
}

// heal ends all faults: what is paused goes on, what is down starts.
func (s *segment) heal() error {
	for len(s.agenda) > 0 {
		last := slices.MaxFunc(s.agenda, func(a, b due) int { return a.at.Compare(b.at) })
		if err := s.runUntil(context.Background(), last.at); err != nil {
			return err
		}
	}
	for s.cluster != nil {
		whole, err := s.cluster.whole()
		if err != nil {
			return err
		}
		if whole {
			break
		}
		if err := s.runUntil(context.Background(), time.Now().Add(100*time.Millisecond)); err != nil {
			return err
		}
	}
	for _, sl := range s.slots {
		if sl.proc != nil && !sl.proc.gone() {
			if err := signalContinue(sl.proc.pid()); err != nil {
				return err
			}
		}
	}
	if s.among(0, (*slot).healthy) == nil {
		return s.slots[0].start(nil)
	}
	return nil
}
