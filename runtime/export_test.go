package runtime

import (
	"time"

	"github.com/millrace-io/millrace/state"
)

// WriteStateAtOnce makes c write committed state to the disk as soon as it is committed, so that a test that kills the instance
// finds a store that is nearly up to date, and the changelog's tail to replay, instead of none.
func WriteStateAtOnce(c Config) Config {
	c.tuneState = func(s *state.Config) {
		s.ApplyIdle, s.ApplyInterval, s.SyncInterval = time.Millisecond, time.Millisecond, time.Millisecond
	}
	return c
}
