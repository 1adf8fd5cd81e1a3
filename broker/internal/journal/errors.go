package journal

import (
	"errors"
	"fmt"
)

// LSN numbers entries from 1. Zero is before every entry.
type LSN uint64

// ErrStopped says that a write or sync failed, and that the journal takes no entry any more. A sync that failed is never tried again:
// the operating system may have dropped the pages, and would then report success.
var ErrStopped = errors.New("journal stopped after a failed write")

// ErrClosed says that the journal is closed.
var ErrClosed = errors.New("journal closed")

// CorruptionError reports acknowledged data that cannot be read back.
type CorruptionError struct {
	Path   string
	Offset int64
	Err    error  // what is wrong there
	Advice string // what the operator can do
}

// Error implements error.
func (e *CorruptionError) Error() string {
	return fmt.Sprintf("%s is corrupt at byte %d: %v; %s", e.Path, e.Offset, e.Err, e.Advice)
}

// Unwrap returns the cause.
func (e *CorruptionError) Unwrap() error { return e.Err }
