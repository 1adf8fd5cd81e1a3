package commit

import "time"

// Defaults of Policy.
const (
	// loadedFactor is how many times its own duration a commit is apart from the next one while there is more to process: at most one
	// sixth of the time goes into commits. drainedFactor is the same when there is nothing else to do: a third of the time may go into
	// them, which keeps results from waiting.
	loadedFactor, drainedFactor = 5, 2
	// costShift smooths the cost of a commit over about eight commits.
	costShift = 3
)

// Policy says when a commit is due (DESIGN D17): at the latest Interval after the first uncommitted record, earlier when
// the input is drained, never sooner than five times the smoothed cost of a commit after the last one, or twice when the input is
// drained, unless memory is short or somebody waits for the commit.
type Policy struct {
	Interval time.Duration
	// MaxBytes of uncommitted state make a commit due at once.
	MaxBytes int64
	// MaxPause caps the pause between two commits, however dear they are. It keeps a slow commit from pushing the next one
	// past the transaction time-out.
	MaxPause time.Duration

	first time.Time     // of the uncommitted changes; zero: none
	last  time.Time     // end of the last commit
	cost  time.Duration // smoothed
}

// Pending is what the worker knows before it asks.
type Pending struct {
	Dirty   bool  // records were processed, or positions moved, since the last commit
	Drained bool  // nothing is left to process, as far as the worker knows
	Asked   bool  // a task requested a commit (P-15), a task is to be given up, or the worker is to stop
	Bytes   int64 // uncommitted state
}

// Due reports whether to commit now, and if not, when to ask again; the zero time means: when something changes.
func (p *Policy) Due(now time.Time, w Pending) (bool, time.Time) {
	if !w.Dirty {
		p.first = time.Time{}
		return false, time.Time{}
	}
	if p.first.IsZero() {
		p.first = now
	}
	if w.Asked || p.MaxBytes > 0 && w.Bytes >= p.MaxBytes {
		return true, time.Time{}
	}
	apart := loadedFactor * p.cost
	if w.Drained {
		apart = drainedFactor * p.cost
	}
	at := p.last.Add(min(apart, p.MaxPause))
	if deadline := p.first.Add(p.Interval); !w.Drained && deadline.After(at) {
		at = deadline
	}
	return !now.Before(at), at
}

// Done notes that a commit took from start to end.
func (p *Policy) Done(start, end time.Time) {
	d := end.Sub(start)
	if p.cost == 0 {
		p.cost = d
	} else {
		p.cost += (d - p.cost) >> costShift
	}
	p.first, p.last = time.Time{}, end
}

// Reset forgets what is uncommitted: it was dropped.
func (p *Policy) Reset(now time.Time) { p.first, p.last = time.Time{}, now }

// Cost returns the smoothed duration of a commit.
func (p *Policy) Cost() time.Duration { return p.cost }
