package commitlog

import (
	"math/bits"
	"sync"
)

// buffers lends memory for what is read from segments: a fresh buffer is cleared, and faulted in page by page, only to be overwritten.
// A buffer that is not given back is the garbage collector's.
type buffers struct {
	classes [maxPooled - minPooled + 1]sync.Pool // of *[]byte, by the binary logarithm of their capacity
}

const (
	minPooled = 16 // 64 KiB: smaller ones are no great loss
	maxPooled = 22 // 4 MiB: larger ones are rare
)

// class returns the class of buffers that have room for n bytes, or false if such buffers are not kept.
func class(n int) (int, bool) {
	c := bits.Len(uint(max(n, 1) - 1))
	return c - minPooled, c >= minPooled && c <= maxPooled
}

// get returns a buffer of n bytes, with anything in it.
func (b *buffers) get(n int) *[]byte {
	c, ok := class(n)
	if !ok {
		buf := make([]byte, n)
		return &buf
	}
	buf, _ := b.classes[c].Get().(*[]byte)
	if buf == nil {
		made := make([]byte, 1<<(c+minPooled))
		buf = &made
	}
	*buf = (*buf)[:n]
	return buf
}

// put takes a buffer back that get has returned.
func (b *buffers) put(buf *[]byte) {
	if c, ok := class(cap(*buf)); ok {
		b.classes[c].Put(buf)
	}
}
