package state

import (
	"errors"
	"fmt"
)

// Errors that callers branch on.
var (
	// ErrClosed is returned by a DB, a Partition or an engine after Close.
	ErrClosed = errors.New("state: closed")
	// ErrExpired is returned for a write to a window that the store's retention has passed. The write is left out;
	// callers count it as late (S-15).
	ErrExpired = errors.New("state: window is older than the store's retention")
	// ErrTooLarge is returned for a key or a value that a store cannot hold, see MaxKey and MaxValue.
	ErrTooLarge = errors.New("state: key or value too large")
)

// Bounds of one entry, in bytes as encoded.
const (
	MaxKey   = 1 << 20
	MaxValue = 1 << 30
)

// CorruptionError says that state on disk cannot be read. The changelogs hold everything, so the way out is to remove
// Path while the application is stopped: the stores are rebuilt at the next start.
type CorruptionError struct {
	Path string // directory of the engine
	Err  error
}

func (e *CorruptionError) Error() string {
	return fmt.Sprintf("state in %s is corrupt: %v; stop the application and remove that directory, "+
		"the stores are then rebuilt from their changelogs", e.Path, e.Err)
}

// Unwrap returns the cause.
func (e *CorruptionError) Unwrap() error { return e.Err }

// FormatError says that state was written in a layout that this version does not know.
type FormatError struct {
	Found, Want uint32
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("state has format version %d, this program knows version %d; run the version that wrote it, "+
		"or remove the state directory to rebuild the stores from their changelogs", e.Found, e.Want)
}
