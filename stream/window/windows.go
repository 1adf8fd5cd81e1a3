package window

import "time"

// Windows is a family of windows that are laid over each key of a stream alike: [Time], [Sliding] or [Unlimited]. Sessions, which
// depend on the records, are another matter: see [Session].
type Windows interface {
	// Validate returns all that is wrong with the windows. The stream builder calls it.
	Validate() error
	// Keep returns how long a store must keep a window after its start, in event time.
	Keep() time.Duration
	// GracePeriod returns the grace period.
	GracePeriod() time.Duration

	windows()
}

func (Time) windows()      {}
func (Sliding) windows()   {}
func (Unlimited) windows() {}

// Keep returns the size and the grace period together.
func (w Time) Keep() time.Duration { return w.size + w.grace }
