package runtime

import (
	"errors"

	"github.com/millrace-io/millrace/runtime/internal/commit"
	"github.com/millrace-io/millrace/runtime/internal/statedir"
)

// Errors that callers branch on, with errors.Is. Every other failure of Run says which task, where, what, and what to do; how
// the runtime itself sorts failures is in one place, Classify in internal/commit.
var (
	// ErrLocked: another process, or another App of this one, holds the state directory.
	ErrLocked = statedir.ErrLocked
	// ErrInstanceInUse: another process uses a copy of this instance's state directory: the two fence each other's
	// transactions. Give each its own.
	ErrInstanceInUse = commit.ErrInstanceInUse
	// ErrRan: Run was called a second time.
	ErrRan = errors.New("app has been run; make a new one")
)
