package window

import (
	"errors"
	"fmt"
	"time"
)

// Join says how far apart in event time two records of a stream-stream join may be: a record of the left side at time t meets those
// of the right side from t - before to t + after, both included. It stands for Kafka Streams' JoinWindows. The zero Join
// joins records of equal time.
type Join struct {
	before, after, grace time.Duration
}

// Within returns windows in which the times of two records differ by at most d, in whole milliseconds. The grace period
// is zero until set.
func Within(d time.Duration) Join { return Join{before: d, after: d} }

// Before returns the same windows with another distance by which the right record may be earlier than the left one. A negative
// one makes it later by at least that much; the sum of before and after must not be negative.
func (w Join) Before(d time.Duration) Join {
	w.before = d
	return w
}

// After returns the same windows with another distance by which the right record may be later than the left one. It may be
// negative as [Join.Before] may.
func (w Join) After(d time.Duration) Join {
	w.after = d
	return w
}

// Grace returns the same windows with a grace period: how long after a window's end, in the join's stream time, records may still
// come. A left or outer join waits for it before it says that a record has no match. Records are kept for before, after and
// grace period together.
func (w Join) Grace(d time.Duration) Join {
	w.grace = d
	return w
}

// Range returns before and after.
func (w Join) Range() (before, after time.Duration) { return w.before, w.after }

// Size returns the length of the range, before and after together.
func (w Join) Size() time.Duration { return w.before + w.after }

// GracePeriod returns the grace period.
func (w Join) GracePeriod() time.Duration { return w.grace }

// Validate returns all that is wrong with the windows. The stream builder calls it.
func (w Join) Validate() error {
	var errs []error
	for what, d := range map[string]time.Duration{"before": w.before, "after": w.after} {
		if d%time.Millisecond != 0 {
			errs = append(errs, fmt.Errorf("window %s %v: want whole milliseconds", what, d))
		}
	}
	if err := millis("grace", w.grace, 0); err != nil {
		errs = append(errs, err)
	}
	if w.before+w.after < 0 {
		errs = append(errs, fmt.Errorf("join window from %v before to %v after: it ends before it begins", w.before, w.after))
	}
	return errors.Join(errs...)
}
