package broker

import (
	"errors"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
)

var (
	// ErrClosed is wrapped by the errors of Dial, Verify and Backup after Close.
	ErrClosed = errors.New("broker: closed")
	// ErrLocked is wrapped by the error of Open when another process, or another Broker, holds the data directory.
	ErrLocked = commitlog.ErrLocked
)

// CorruptionError is wrapped by the error of Open when data that was acknowledged is damaged on disk. It names the file
// and the place. Nothing is repaired or dropped by itself.
type CorruptionError = commitlog.CorruptionError
