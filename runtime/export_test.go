package runtime

import (
	"time"

	"github.com/millrace-io/millrace/state"
)

// WriteStateAtOnce makes c write committed state to the disk as soon as it is committed, so that a test that kills the instance
// finds a store that is nearly up to date, and the changelog's tail to replay, instead of none; and purge repartition topics all the
// time.
func WriteStateAtOnce(c Config) Config {
	c = PurgeEvery(c, 20*time.Millisecond)
	c.tuneState = func(s *state.Config) {
		s.ApplyIdle, s.ApplyInterval, s.SyncInterval = time.Millisecond, time.Millisecond, time.Millisecond
	}
	return c
}

// WithState has f change how the state of c is kept.
func WithState(c Config, f func(*state.Config)) Config {
	c.tuneState = f
	return c
}

// PurgeEvery makes c delete what it has read of repartition topics that often.
func PurgeEvery(c Config, d time.Duration) Config {
	c.purgeEvery = d
	return c
}

// WatchEvery makes c look that often whether source topics have changed.
func WatchEvery(c Config, d time.Duration) Config {
	c.watchEvery = d
	return c
}

// StoredPartitions returns of how many store partitions an instance that runs has something, -1 if that cannot be found out.
func StoredPartitions(a *App) int {
	held, err := a.instance.Load().db.Positions()
	if err != nil {
		return -1
	}
	return len(held)
}

// Closers returns how many parts an instance that runs is going to close.
func Closers(a *App) int { return len(a.instance.Load().closers) }

// AlignPatience makes tasks of c wait that long for others of which nothing comes.
func AlignPatience(c Config, d time.Duration) Config {
	c.alignPatience = d
	return c
}

// Watching reports whether a waits to hear how far other instances have come.
func Watching(a *App) bool { return a.instance.Load().board.Watching() }

// Generation returns the generation of the group that an instance that runs has joined.
func Generation(a *App) int32 { return a.instance.Load().member.Identity().Generation }
