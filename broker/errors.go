package broker

import "errors"

var (
	// ErrClosed is returned by Dial after Close.
	ErrClosed = errors.New("broker: closed")
	// ErrLocked is wrapped by the error of Open when another process, or another Broker, holds the data directory.
	ErrLocked = errors.New("data directory in use")
)
