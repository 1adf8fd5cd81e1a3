package commitlog

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"sync"

	"github.com/millrace-io/millrace/broker/internal/batch"
)

const (
	segmentSuffix = ".log"
	indexSuffix   = ".index"
)

// segment is a file of batches, back to back: those with offsets from base up to next, where the next segment's begin. All but the last
// segment of a partition are sealed: they do not change any more, and their index is in a file beside them. What the file holds beyond
// size is left from before a crash and means nothing.
//
// Fields are guarded by the partition's lock, except base, generation and path, which do not change, and dirty.
type segment struct {
	base       int64  // the first offset that would be here: of the first batch, unless that was compacted away
	generation uint64 // how often what is here was compacted: 0 means that offsets have no gap
	path       string

	next    int64 // offset after the last batch, whether or not that was compacted away
	size    int64 // bytes
	maxTime int64 // highest timestamp, or -1
	// firstTime is the highest timestamp of the first batch, or -1: a segment is as old as that.
	firstTime int64
	// minAborted is the lowest first offset of the aborted transactions that end here, so that most segments need no look.
	minAborted int64
	sealed     bool
	index      *segmentIndex // nil once it is in a file

	dirty *openFile // written and not yet synced: keeps the file open. Guarded by Log.flushMu.
}

func newSegment(path string, base int64) *segment {
	return &segment{base: base, path: path, next: base, maxTime: -1, firstTime: -1, minAborted: math.MaxInt64, index: &segmentIndex{}}
}

// segmentName is the name of a segment's file. One that was compacted has its generation in it, so that it can be written while the
// files it is made from are still in use.
func segmentName(base int64, generation uint64) string {
	if generation == 0 {
		return fmt.Sprintf("%020d%s", base, segmentSuffix)
	}
	return fmt.Sprintf("%020d-%d%s", base, generation, segmentSuffix)
}

// compactedName reports whether the name of a segment's file has a generation.
func compactedName(name string) bool { return strings.Contains(name, "-") }

func (s *segment) indexPath() string {
	return s.path[:len(s.path)-len(segmentSuffix)] + indexSuffix
}

// add notes batches that were written at the end of the file.
func (s *segment) add(batches []tailBatch) {
	for i := range batches {
		b := &batches[i]
		if s.size == 0 {
			s.firstTime = b.maxTime
		}
		s.index.add(b, s.size)
		s.size += int64(len(b.raw))
		s.next = b.next
		s.maxTime = max(s.maxTime, b.maxTime)
	}
}

// addAborted notes transactions whose abort markers were written.
func (s *segment) addAborted(txns []abortedTxn) {
	for _, a := range txns {
		s.index.aborted = append(s.index.aborted, a)
		s.minAborted = min(s.minAborted, a.first)
	}
}

// append encodes the segment for the snapshot: with its index, unless that is in a file.
func (s *segment) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(s.base))
	b = binary.AppendUvarint(b, uint64(s.next-s.base))
	b = binary.AppendUvarint(b, uint64(s.size))
	b = binary.AppendVarint(b, s.maxTime)
	b = binary.AppendVarint(b, s.firstTime)
	b = binary.AppendUvarint(b, s.generation)
	b = binary.AppendVarint(b, s.minAborted)
	b = append(b, boolByte(s.sealed))
	if !s.sealed {
		b = s.index.append(b, s.base)
	}
	return b
}

func readSegment(r *reader, dir string, join func(...string) string) *segment {
	s := &segment{base: int64(r.uvarint())}
	s.next = s.base + int64(r.uvarint())
	s.size = int64(r.uvarint())
	s.maxTime = r.varint()
	s.firstTime = s.maxTime
	if r.version >= snapshotV2 {
		s.firstTime = r.varint()
		s.generation = r.uvarint()
	}
	s.minAborted = r.varint()
	s.sealed = r.byte() == 1
	if s.base < 0 || s.next < s.base || s.size < 0 {
		r.fail()
	}
	if !s.sealed {
		s.index = readIndex(r, s.base)
	}
	s.path = join(dir, segmentName(s.base, s.generation))
	return s
}

// walk calls f for each batch header of a file from a position up to an end, until f returns false. next is the offset that the first
// batch must have, or, in a sparse file, the least that it may have. The error is a *CorruptionError, or of reading.
func walk(f *openFile, position, end, next int64, visit func(h *batch.Header, position int64) bool) error {
	scratch := walkBuffers.Get().(*[]byte)
	defer walkBuffers.Put(scratch)
	var buf []byte // what the file has from bufAt on
	bufAt := position
	for position < end {
		if position-bufAt+batch.HeaderSize > int64(len(buf)) {
			bufAt = position
			var err error
			if buf, err = f.readAt(*scratch, position, int(min(walkChunk, end-position))); err != nil {
				return err
			}
		}
		h, err := checkHeader(f, buf[position-bufAt:], position, end, next)
		if err != nil {
			return err
		}
		if !visit(&h, position) {
			return nil
		}
		position += int64(h.Size())
		next = h.NextOffset()
	}
	return nil
}

// walkChunk is how much a walk reads at a time: what a block of small batches takes.
const walkChunk = indexInterval + 4<<10

var walkBuffers = sync.Pool{New: func() any { b := make([]byte, walkChunk); return &b }}

// checkHeader parses the header at the start of b and checks that it belongs where it is: the fields that no checksum covers.
func checkHeader(f *openFile, b []byte, position, end, next int64) (batch.Header, error) {
	h, err := batch.ParseHeader(b)
	if err == nil && h.BaseOffset != next && !(f.sparse && h.BaseOffset > next) {
		err = fmt.Errorf("batch has offset %d, expected %d", h.BaseOffset, next)
	}
	if err == nil && int64(h.Size()) > end-position {
		err = fmt.Errorf("batch of %d bytes goes beyond the end at %d", h.Size(), end)
	}
	if err != nil {
		return h, corruptSegment(f.path, position, err)
	}
	return h, nil
}

func corruptSegment(path string, position int64, err error) error {
	return &CorruptionError{Path: path, Offset: position, Err: err,
		Advice: "the partition cannot be read there: restore the data directory from a copy, or read past it"}
}
