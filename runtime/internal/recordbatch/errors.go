package recordbatch

import (
	"errors"
	"fmt"
)

// Errors of [Builder.Append]. The batch is as it was before the call.
var (
	// ErrFull means that the record does not fit beside those already in the batch: finish it, and append to a fresh one.
	ErrFull = errors.New("record batch is full")
	// ErrTooLarge means that the record would not fit into an empty batch either.
	ErrTooLarge = errors.New("record is larger than the largest record batch")
)

// CorruptError says that fetched bytes are not a valid record set. The partition cannot be read past Offset.
type CorruptError struct {
	Offset int64 // base offset of the batch, or the fetch position if no header could be read
	Err    error
}

// Error implements error.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("record batch at offset %d: %v", e.Offset, e.Err)
}

// Unwrap returns the cause.
func (e *CorruptError) Unwrap() error { return e.Err }
