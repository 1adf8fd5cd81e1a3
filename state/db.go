package state

import (
	"log/slog"
	"time"
)

// Config bounds a DB. The zero value of a field is its documented default.
type Config struct {
	// ApplyBytes is how many committed bytes wait in memory before they are applied to the engine in one sorted batch. Twice as
	// many hold commits back until the engine has caught up. Default 64 MiB.
	ApplyBytes int64
	// ApplyInterval is how long a committed change waits at most. Default 10 s.
	ApplyInterval time.Duration
	// ApplyIdle is how long after the last commit what waits is applied. Default 1 s.
	ApplyIdle time.Duration
	// CacheBytes bounds the clean entries kept in memory, over all stores of the instance, typed and as bytes. Default 256 MiB.
	CacheBytes int64
	// Inline applies within Commit instead of in a goroutine of the DB: for tests, which then are deterministic. Commits
	// are applied once ApplyBytes wait, and at Sync and Close.
	Inline bool
	// Logger takes what needs an operator's eye. Default slog.Default().
	Logger *slog.Logger
}

// DB is the committed state of one instance: every store partition that it holds, over one engine. It is safe for use by
// several goroutines.
type DB struct{}

// NewDB returns the state that engine holds. It returns a *FormatError if that was written in an unknown layout. The DB owns the
// engine from then on.
func NewDB(engine Engine, c Config) (*DB, error) { panic("") }

// Partition returns the committed layer of one store partition, the same one for every caller.
func (db *DB) Partition(spec *Spec, partition int32) (*Partition, error) { panic("") }

// StorePartition names a store partition.
type StorePartition struct {
	Store     string
	Partition int32
}

// Stored returns the store partitions that the engine holds, sorted: those open and those left by earlier runs.
func (db *DB) Stored() ([]StorePartition, error) { panic("") }

// Remove deletes a store partition with all that it holds, in memory and in the engine. A Partition that is open is closed.
func (db *DB) Remove(sp StorePartition) error { panic("") }

// Sync applies what is committed to the engine and returns when it is durable.
func (db *DB) Sync() error { panic("") }

// Close applies what is committed, makes it durable, and closes the engine. Layers over it must not be used any more.
func (db *DB) Close() error { panic("") }
