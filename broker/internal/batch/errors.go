package batch

import "errors"

var (
	// ErrCorrupt: the bytes are not a whole batch, or its checksum does not match.
	ErrCorrupt = errors.New("corrupt record batch")
	// ErrNumbers: counts or offsets that no batch can have. It comes with ErrCorrupt, and with the header as it is.
	ErrNumbers = errors.New("impossible counts or offsets")
	// ErrMagic: a batch or message set of another version.
	ErrMagic = errors.New("record batch is not of version 2")
	// ErrCodec: a compression codec that is not known.
	ErrCodec = errors.New("unknown compression codec")
)
