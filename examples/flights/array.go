package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

const (
	// maxElementBytes bounds one element: a record must fit into a batch, and Kafka's default bound of a batch is
	// 1 MiB (max.message.bytes).
	maxElementBytes = 1_000_000
	// maxBufferBytes bounds what is read ahead of the last element. The decoder doubles its buffer while an element does
	// not fit, so it can be twice an element's bound, and then as much again.
	maxBufferBytes = 4 * maxElementBytes
)

// arrayReader reads a JSON array from a file, one element at a time, each as the bytes that stand there. What the elements
// are, flights or not, is not its business.
type arrayReader struct {
	name string // of the file, for errors
	src  boundedReader
	dec  *json.Decoder
	raw  json.RawMessage
	in   bool // the opening bracket has been read
}

func newArrayReader(name string, r io.Reader) *arrayReader {
	a := &arrayReader{name: name, src: boundedReader{r: r}}
	a.dec = json.NewDecoder(&a.src)
	return a
}

// Next returns the next element, valid until the next call. It returns io.EOF after the closing bracket, if nothing but
// white space follows.
func (a *arrayReader) Next() ([]byte, error) {
	if !a.in {
		if err := a.bracket('['); err != nil {
			return nil, err
		}
		a.in = true
	}
	a.src.taken = a.dec.InputOffset()
	if !a.dec.More() {
		return nil, a.end()
	}
	if err := a.dec.Decode(&a.raw); err != nil {
		return nil, a.fault(err)
	}
	if len(a.raw) > maxElementBytes {
		return nil, a.fault(errTooLong)
	}
	return a.raw, nil
}

// end reads the closing bracket and makes sure that it is the end.
func (a *arrayReader) end() error {
	if err := a.bracket(']'); err != nil {
		return err
	}
	switch _, err := a.dec.Token(); {
	case err == nil:
		return a.fault(errors.New("the file goes on after the array"))
	case errors.Is(err, io.EOF):
		return io.EOF
	default:
		return a.fault(err)
	}
}

func (a *arrayReader) bracket(want json.Delim) error {
	t, err := a.dec.Token()
	if err != nil {
		return a.fault(err)
	}
	if t != want {
		return a.fault(fmt.Errorf("found %v where %q should be", t, want.String()))
	}
	return nil
}

// fault says where the file stops being a JSON array, and what to do.
func (a *arrayReader) fault(err error) error {
	offset := a.dec.InputOffset()
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		offset = max(offset, syntax.Offset)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		offset, err = a.src.read, errors.New("the file ends here, inside the array")
		if offset == 0 {
			err = errors.New("the file is empty")
		}
	case errors.Is(err, errRead):
		return fmt.Errorf("read %s: %w", a.name, err)
	}
	return fmt.Errorf("%s is not a JSON array: offset %d: %w; nothing of it was loaded: mend the file, or name another with -data",
		a.name, offset, err)
}

var (
	errTooLong = fmt.Errorf("an element longer than %d bytes", maxElementBytes)
	errRead    = errors.New("input")
)

// boundedReader stops a reader that has been asked for too much since the last element was taken.
type boundedReader struct {
	r           io.Reader
	read, taken int64
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.read-b.taken > maxBufferBytes {
		return 0, errTooLong
	}
	n, err := b.r.Read(p)
	b.read += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: %w", errRead, err)
	}
	return n, err
}
