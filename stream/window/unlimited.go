package window

import (
	"fmt"
	"math"
	"time"

	"github.com/millrace-io/millrace/serde"
)

// Unlimited is one window per key, from a start to the end of time: it never closes. It stands for Kafka Streams' UnlimitedWindows. The
// zero Unlimited begins at the epoch.
type Unlimited struct{ start time.Time }

// UnlimitedFrom returns the window that begins at start, in whole milliseconds. Records before it are ignored.
func UnlimitedFrom(start time.Time) Unlimited { return Unlimited{start: start} }

// Start returns the start, in milliseconds since the epoch.
func (w Unlimited) Start() int64 {
	if w.start.IsZero() {
		return 0
	}
	return w.start.UnixMilli()
}

// GracePeriod returns 0: the window never closes.
func (w Unlimited) GracePeriod() time.Duration { return 0 }

// Keep returns the longest time there is: the window is never given up.
func (w Unlimited) Keep() time.Duration { return math.MaxInt64 }

// Validate returns what is wrong with the window.
func (w Unlimited) Validate() error {
	if w.Start() < 0 {
		return fmt.Errorf("window start %v: it is before the epoch", w.start)
	}
	return nil
}

// UnlimitedKeySerde is [KeySerde] for the key of an unlimited window, whose end is the end of time.
func UnlimitedKeySerde[K any](inner serde.Serde[K]) serde.Serde[Windowed[K]] {
	return keySerde[K]{inner: inner, size: math.MaxInt64}
}
