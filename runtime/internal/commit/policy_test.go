package commit

import (
	"testing"
	"time"
)

func TestPolicy(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	start := time.Unix(1000, 0)
	dirty, drained := Pending{Dirty: true}, Pending{Dirty: true, Drained: true}
	for _, tc := range []struct {
		name string
		cost time.Duration // of the commit that ended at start
		at   time.Duration // the first uncommitted record
		ask  time.Duration
		with Pending
		due  bool
		next time.Duration // when to ask again
	}{
		{"clean", 4 * ms, 0, 500 * ms, Pending{}, false, -1},
		{"under load, at the interval", 4 * ms, 0, 100 * ms, dirty, true, 0},
		{"under load, before it", 4 * ms, 0, 99 * ms, dirty, false, 100 * ms},
		{"interval counts from the first record", 4 * ms, 30 * ms, 100 * ms, dirty, false, 130 * ms},
		{"drained, past twice the cost", 4 * ms, 0, 8 * ms, drained, true, 0},
		{"drained, before it", 4 * ms, 0, 7 * ms, drained, false, 8 * ms},
		{"dear commits come seldom", 50 * ms, 0, 100 * ms, dirty, false, 250 * ms},
		{"but not too seldom", 5000 * ms, 0, 2000 * ms, dirty, true, 0},
		{"asked", 50 * ms, 0, 1 * ms, Pending{Dirty: true, Asked: true}, true, 0},
		{"asked with nothing to commit", 4 * ms, 0, 1 * ms, Pending{Asked: true}, false, -1},
		{"memory is short", 50 * ms, 0, 1 * ms, Pending{Dirty: true, Bytes: 1 << 20}, true, 0},
		{"memory is not yet short", 50 * ms, 0, 1 * ms, Pending{Dirty: true, Bytes: 1<<20 - 1}, false, 250 * ms},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p := Policy{Interval: 100 * ms, MaxBytes: 1 << 20, MaxPause: 2 * time.Second}
			p.Done(start.Add(-tc.cost), start)
			if tc.with.Dirty {
				p.Due(start.Add(tc.at), dirty)
			}
			due, next := p.Due(start.Add(tc.ask), tc.with)
			if due != tc.due {
				t.Errorf("due %v, want %v", due, tc.due)
			}
			if want := start.Add(tc.next); !due && tc.next >= 0 && !next.Equal(want) {
				t.Errorf("next %v after start, want %v", next.Sub(start), tc.next)
			}
			if tc.next < 0 && !next.IsZero() {
				t.Errorf("next %v, want none", next)
			}
		})
	}
}

// The cost follows the commits, slowly.
func TestPolicySmoothsTheCost(t *testing.T) {
	t.Parallel()
	var p Policy
	now := time.Unix(1000, 0)
	p.Done(now, now.Add(8*time.Millisecond))
	p.Done(now, now.Add(16*time.Millisecond))
	if got := p.Cost(); got != 9*time.Millisecond {
		t.Errorf("cost %v, want 9ms", got)
	}
}

// The interval counts from the first record that is not committed: a commit, a loss, or that nothing is to be committed after all, begins it anew.
func TestPolicyBeginsAnew(t *testing.T) {
	t.Parallel()
	start, dirty := time.Unix(1000, 0), Pending{Dirty: true}
	for name, happens := range map[string]func(p *Policy, now time.Time){
		"a commit":                func(p *Policy, now time.Time) { p.Done(now, now) },
		"a loss":                  func(p *Policy, now time.Time) { p.Reset(now) },
		"nothing to be committed": func(p *Policy, now time.Time) { p.Due(now, Pending{}) },
	} {
		p := Policy{Interval: 100 * time.Millisecond, MaxPause: time.Second} // no bound of memory
		p.Due(start, dirty)
		happens(&p, start.Add(50*time.Millisecond))
		now := start.Add(99 * time.Millisecond)
		if due, next := p.Due(now, dirty); due || !next.Equal(now.Add(p.Interval)) {
			t.Errorf("after %s: due %v, next %v later", name, due, next.Sub(now))
		}
	}
}
