package task

import (
	"math"
	"time"
)

// never is a due time that no clock reaches.
const never = math.MaxInt64

// punctuations are the schedules of a task on its two clocks.
type punctuations struct{ stream, wall schedules }

func (p *punctuations) reset() { p.stream.due, p.wall.due = never, never }

// schedules are the punctuations on one clock. due is the earliest due time.
type schedules struct {
	list []*schedule // in the order they were made
	due  int64
}

type schedule struct {
	next, interval int64
	f              func(now int64) error
	cancelled      bool
}

func (s *schedules) add(first, interval int64, f func(now int64) error) (cancel func()) {
	sched := &schedule{next: first, interval: max(interval, 1), f: f}
	s.list = append(s.list, sched)
	s.due = min(s.due, first)
	return func() { sched.cancelled = true }
}

// pop returns the schedule that is due first at now, the one made first of those that tie, or nil. Cancelled ones are
// removed on the way.
func (s *schedules) pop(now int64) *schedule {
	var first *schedule
	live := s.list[:0]
	for _, sched := range s.list {
		if sched.cancelled {
			continue
		}
		live = append(live, sched)
		if sched.next <= now && (first == nil || sched.next < first.next) {
			first = sched
		}
	}
	clear(s.list[len(live):])
	s.list = live
	return first
}

// advance moves a schedule that fired at now to the next multiple after it: missed intervals are collapsed into the one call
// (P-16).
func (s *schedule) advance(now int64) {
	s.next += s.interval * max(1, (now-s.next)/s.interval+1)
}

func (s *schedules) settle() {
	s.due = never
	for _, sched := range s.list {
		if !sched.cancelled {
			s.due = min(s.due, sched.next)
		}
	}
}

// punctuate calls what is due at now, each schedule at most once.
func (t *Task) punctuate(s *schedules, now int64) (fired bool) {
	if now < s.due {
		return false
	}
	t.source, t.raw, t.time, t.origins.at = nowhere, nil, now, 0
	for t.err == nil {
		sched := s.pop(now)
		if sched == nil {
			break
		}
		sched.advance(now) // before the call, so that it may cancel and schedule
		fired, t.moved = true, true
		if err := sched.f(now); err != nil {
			t.fail("", err) // Scope.Fail's answer is sticky already
		}
	}
	s.settle()
	return fired
}

// Punctuate fires what is due: on stream time, if it is known, and on the wall clock. It reports whether something fired,
// which calls for a commit (P-20). Errors are as Step's.
func (t *Task) Punctuate(now time.Time) (fired bool, err error) {
	if t.err != nil {
		return false, t.err
	}
	t.now = now.UnixMilli()
	defer t.catch(&err)
	if t.streamTime >= 0 {
		fired = t.punctuate(&t.punct.stream, t.streamTime)
	}
	if t.err == nil {
		fired = t.punctuate(&t.punct.wall, t.now) || fired
	}
	return fired, t.err
}
