package wire

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"testing"
)

// allocatedBy returns the bytes that f allocates, about.
func allocatedBy(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestReadFrame(t *testing.T) {
	for _, size := range []int{0, 1, firstChunk - 1, firstChunk, firstChunk + 1, 40 * firstChunk, 3 * chunkGrowth * probe} {
		want := bytes.Repeat([]byte{7, 11, 13}, size)[:size]
		got, err := ReadBody(bytes.NewReader(want), size, func([]byte, int) error { return nil })
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("size %d: %d bytes, %v", size, len(got), err)
		}
	}
}

func TestReadFrameAllocatesAsBytesArrive(t *testing.T) {
	const promised = 99 << 20
	var err error
	n := allocatedBy(func() {
		_, err = ReadBody(bytes.NewReader(make([]byte, 1000)), promised, func([]byte, int) error { return nil })
	})
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	if n > 1<<20 {
		t.Errorf("1000 bytes of a promised %d allocated %d", promised, n)
	}
}

// A frame that arrives whole is copied little more than once: batches of this size are what producers send.
func TestReadFrameAllocatesLittleMore(t *testing.T) {
	for _, size := range []int{256 << 10, 2 << 20} {
		frame := make([]byte, size)
		n := allocatedBy(func() {
			if _, err := ReadBody(bytes.NewReader(frame), size, func([]byte, int) error { return nil }); err != nil {
				t.Error(err)
			}
		})
		if n > uint64(size+size/chunkGrowth+2*probe) {
			t.Errorf("%d bytes allocated for a frame of %d", n, size)
		}
	}
}

func TestReadSizeLimits(t *testing.T) {
	for _, c := range []struct {
		in   []byte
		want error
	}{
		{[]byte{0, 0, 0, 101}, ErrFrameSize},
		{[]byte{0xff, 0xff, 0xff, 0xff}, ErrFrameSize},
		{[]byte{0x7f, 0xff, 0xff, 0xff}, ErrFrameSize},
		{[]byte{0, 0}, io.ErrUnexpectedEOF},
		{nil, io.EOF},
		{[]byte{0, 0, 0, 100}, nil},
	} {
		if _, err := ReadSize(bytes.NewReader(c.in), 100); !errors.Is(err, c.want) {
			t.Errorf("% x: %v, want %v", c.in, err, c.want)
		}
	}
}
