package batch

import "errors"

var (
	// ErrCorrupt: the bytes are not a whole batch, or its checksum does not match.
	ErrCorrupt = errors.New("corrupt record batch")
	// ErrMagic: a batch or message set of another version.
	ErrMagic = errors.New("record batch is not of version 2")
	// ErrCodec: a compression codec that is not known.
	ErrCodec = errors.New("unknown compression codec")
)
