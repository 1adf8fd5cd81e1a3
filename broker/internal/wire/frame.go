package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	// firstChunk is what a frame may allocate on its promise alone.
	firstChunk = 64 << 10
	// probe is what a longer frame begins with, at least: little, since it is copied once the next chunk is made.
	probe = 8 << 10
	// chunkGrowth bounds what is allocated by what has arrived: a buffer is at most this many times its contents.
	chunkGrowth = 64
)

// ErrFrameSize is wrapped when a frame's length is negative or above the limit.
var ErrFrameSize = errors.New("frame size out of range")

// ReadSize reads the length that starts a frame. io.EOF means the client closed between frames.
func ReadSize(r io.Reader, limit int) (int, error) {
	var b [4]byte
	if n, err := io.ReadFull(r, b[:]); err != nil {
		if n == 0 {
			return 0, err
		}
		return 0, cut(err, n, len(b))
	}
	n := int(int32(binary.BigEndian.Uint32(b[:])))
	if n < 0 || n > limit {
		return 0, fmt.Errorf("%w: %d, limit %d", ErrFrameSize, n, limit)
	}
	return n, nil
}

// ReadBody reads the size bytes of a frame into a new buffer, which grows as they arrive (W1). grow is called before
// each growth with what has arrived, and the size of the buffer to come; it may refuse or block, and its error ends the read.
func ReadBody(r io.Reader, size int, grow func(arrived []byte, room int) error) ([]byte, error) {
	var buf []byte
	first := size
	if size > firstChunk { // as much as lets the next chunk be the last
		first = min(max(probe, size/chunkGrowth+1), firstChunk)
	}
	for filled := 0; filled < size || buf == nil; {
		room := min(size, max(first, filled*chunkGrowth))
		if err := grow(buf, room); err != nil {
			return nil, err
		}
		next := make([]byte, room)
		copy(next, buf)
		buf = next
		n, err := io.ReadFull(r, buf[filled:])
		if err != nil {
			return nil, cut(err, filled+n, size)
		}
		filled += n
	}
	return buf, nil
}

// CutError says that the stream ended in the middle of a frame, or of its size. It wraps io.ErrUnexpectedEOF.
type CutError struct {
	Got, Want int // bytes
}

// Error implements error.
func (e *CutError) Error() string {
	return fmt.Sprintf("the stream ended after %d of %d bytes of a frame", e.Got, e.Want)
}

// Unwrap returns io.ErrUnexpectedEOF.
func (e *CutError) Unwrap() error { return io.ErrUnexpectedEOF }

// cut turns an end of stream after got of want bytes into a *CutError.
func cut(err error, got, want int) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return &CutError{Got: got, Want: want}
	}
	return err
}

// Key returns the request key at the start of a frame, or -1 if frame is too short to have one.
func Key(frame []byte) int16 {
	if len(frame) < 2 {
		return -1
	}
	return int16(binary.BigEndian.Uint16(frame))
}
