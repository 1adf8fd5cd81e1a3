package window

import (
	"errors"
	"fmt"
	"time"
)

// Time is a family of windows of one size that start every so often: tumbling windows if the advance equals the size,
// else hopping ones. The zero Time is not valid; make one by [Tumbling] or [Hopping].
type Time struct {
	size, advance, grace time.Duration
}

// Tumbling returns windows that follow one another without gap or overlap: every record is in exactly one. The size is in
// whole milliseconds, at least one. The grace period is zero until set.
func Tumbling(size time.Duration) Time { return Time{size: size, advance: size} }

// Hopping returns overlapping windows: one starts every advance, which is at most the size. A record is in each window that
// its time lies in, oldest first. Both are in whole milliseconds, at least one.
func Hopping(size, advance time.Duration) Time { return Time{size: size, advance: advance} }

// Grace returns the same windows with a grace period: how long after its end a window still takes records, measured in
// the operator's stream time. It is in whole milliseconds, zero or more. State is kept for the size plus the grace period.
func (w Time) Grace(d time.Duration) Time {
	w.grace = d
	return w
}

// Size returns the size of a window.
func (w Time) Size() time.Duration { return w.size }

// Advance returns the distance between the starts of two windows.
func (w Time) Advance() time.Duration { return w.advance }

// GracePeriod returns the grace period.
func (w Time) GracePeriod() time.Duration { return w.grace }

// Validate returns all that is wrong with the windows. The stream builder calls it.
func (w Time) Validate() error {
	var errs []error
	if err := millis("size", w.size, 1); err != nil {
		errs = append(errs, err)
	}
	if err := millis("advance", w.advance, 1); err != nil && w.advance != w.size {
		errs = append(errs, err)
	}
	if err := millis("grace", w.grace, 0); err != nil {
		errs = append(errs, err)
	}
	if w.advance > w.size {
		errs = append(errs, fmt.Errorf("window advance %v is greater than the size %v: records between two windows would be in none", w.advance, w.size))
	}
	return errors.Join(errs...)
}

func millis(what string, d, least time.Duration) error {
	if d < least*time.Millisecond {
		return fmt.Errorf("window %s %v: want at least %v", what, d, least*time.Millisecond)
	}
	if d%time.Millisecond != 0 {
		return fmt.Errorf("window %s %v: want whole milliseconds", what, d)
	}
	return nil
}

// First returns the start of the oldest window that holds the event time t, in milliseconds. The others start an advance
// apart, up to t itself.
func (w Time) First(t int64) int64 {
	size, advance := w.size.Milliseconds(), w.advance.Milliseconds()
	return max(0, t-(size-advance)) / advance * advance
}
