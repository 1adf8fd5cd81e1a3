package window

import (
	"errors"
	"time"
)

// Sliding are windows that are laid around the records themselves: each distinct set of records of a key whose times differ by at most
// the given difference is in exactly one window. Both ends are inclusive, unlike those of [Time]. It stands for Kafka Streams'
// SlidingWindows. The zero Sliding is not valid; make one by [SlidingBy].
//
// For a record at t there is a window from t - difference to t, and, once a later record falls into it, one from t + 1 to
// t + 1 + difference. Records before the first difference of time share the window that begins at 0.
type Sliding struct{ difference, grace time.Duration }

// SlidingBy returns sliding windows in which the times of two records differ by at most difference, in whole milliseconds, at least
// one. The grace period is zero until set.
func SlidingBy(difference time.Duration) Sliding { return Sliding{difference: difference} }

// Grace returns the same windows with a grace period: how long after a window's end, in the operator's stream time, it still
// takes records.
func (w Sliding) Grace(d time.Duration) Sliding {
	w.grace = d
	return w
}

// Difference returns the largest difference of two records' times: the distance of a window's two ends.
func (w Sliding) Difference() time.Duration { return w.difference }

// GracePeriod returns the grace period.
func (w Sliding) GracePeriod() time.Duration { return w.grace }

// Keep returns twice the difference and the grace period: a record looks back at windows that ended before it.
func (w Sliding) Keep() time.Duration { return 2*w.difference + w.grace }

// Validate returns all that is wrong with the windows.
func (w Sliding) Validate() error {
	return errors.Join(millis("difference", w.difference, 1), millis("grace", w.grace, 0))
}
