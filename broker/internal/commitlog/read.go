package commitlog

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/millrace-io/millrace/broker/internal/batch"
)

// ReadOptions bound a read.
type ReadOptions struct {
	// MaxBytes bounds the batches returned.
	MaxBytes int
	// MinOneBatch returns the first batch even if it is larger than MaxBytes.
	MinOneBatch bool
	Isolation   Isolation
}

// ReadResult is what a read found. The offsets are set in every case, with ErrOffsetOutOfRange too.
type ReadResult struct {
	Offsets
	// Batches are whole batches, byte for byte as stored, in offset order; each slice holds one or more. Nobody may change
	// them, or use them after Release. Nothing to read gives none, and no error.
	Batches [][]byte
	// Bytes is the length of Batches.
	Bytes int
	// More says that there is more to read behind Batches: they end for want of room, or with their segment.
	More bool
	// Aborted names, for ReadCommitted, every aborted transaction with data at or above the offset that was asked for and
	// below the end of Batches, sorted by first offset.
	Aborted []AbortedTxn

	buf  *[]byte // borrowed: what Batches lie in, if they were read from a segment
	from *buffers
}

// Release gives back the memory of Batches. A reader that leaves it out costs the next one a fresh buffer, and nothing else.
func (r *ReadResult) Release() {
	if r.buf != nil {
		r.from.put(r.buf)
		r.buf, r.Batches = nil, nil
	}
}

// AbortedTxn is an aborted transaction on a partition: its data are the transactional batches of ProducerID from FirstOffset
// to the abort marker.
type AbortedTxn struct {
	ProducerID  int64
	FirstOffset int64
}

// Read returns batches from the one that holds offset on. The offset may lie inside of a batch: the whole batch is returned.
// What is in memory costs no copy; what is not is read from one segment at a time, into memory that Release gives back, and its checksums
// are checked.
//
// Errors: ErrOffsetOutOfRange if offset is below the log start or above the end offset; ErrUnknownTopic if the topic was
// deleted; a *CorruptionError if the stored bytes are damaged; or what reading the segment returned.
func (p *Partition) Read(offset int64, o ReadOptions) (ReadResult, error) {
	for {
		r, replaced, err := p.read(offset, o)
		if !p.replacedSince(replaced) {
			return r, err
		}
		r.Release()
		// Batches and aborted transactions must be of the same segments: compaction drops the name of a transaction together with
		// its batches. And files may be gone.
	}
}

// read is Read, unless segments were replaced meanwhile. replaced says how often they had been when it began, or is -1 if that does not
// matter.
func (p *Partition) read(offset int64, o ReadOptions) (r ReadResult, replaced int64, err error) {
	p.mu.Lock()
	r.Offsets = p.offsetsLocked()
	limit := r.limit(o.Isolation)
	replaced = p.mu.replaced
	switch {
	case p.mu.deleted:
		p.mu.Unlock()
		return r, -1, ErrUnknownTopic
	case offset < r.LogStart || offset > r.End:
		p.mu.Unlock()
		return r, -1, ErrOffsetOutOfRange
	case offset >= limit:
		p.mu.Unlock()
		return r, -1, nil
	}
	var end int64
	if i, ok := p.mu.tail.find(offset); ok {
		end = r.fromTail(p.mu.tail.batches[i:], limit, o)
		p.mu.Unlock()
		if o.Isolation == ReadUncommitted {
			return r, -1, nil
		}
	} else {
		s := p.segmentLocked(offset)
		v := s.viewLocked(offset)
		p.mu.Unlock()
		var gap bool
		if end, gap, err = r.fromSegment(p, v, offset, limit, o); err != nil {
			return r, replaced, p.readErrorAt(offset, err)
		}
		if gap { // the segment's last batches were compacted away
			offsets := r.Offsets
			r, replaced, err = p.read(v.next, o)
			r.Offsets = offsets
			return r, replaced, err
		}
	}
	if o.Isolation == ReadCommitted && end > offset {
		if r.Aborted, err = p.aborted(offset, end); err != nil {
			return r, replaced, p.readErrorAt(offset, err)
		}
	}
	return r, replaced, nil
}

func (p *Partition) replacedSince(replaced int64) bool {
	if replaced < 0 {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.replaced != replaced
}

// readError tells a fault of the disk from a topic that was deleted under the reader.
func (p *Partition) readError(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.deleted {
		return ErrUnknownTopic
	}
	return fmt.Errorf("read partition %s-%d: %w", p.topic.Name, p.index, err)
}

// readErrorAt is readError for a read at an offset, whose segment may have been purged under the reader.
func (p *Partition) readErrorAt(offset int64, err error) error {
	if p.Offsets().LogStart > offset {
		return ErrOffsetOutOfRange
	}
	return p.readError(err)
}

// fromTail takes batches from memory, and returns the offset after the last.
func (r *ReadResult) fromTail(batches []tailBatch, limit int64, o ReadOptions) (end int64) {
	n := 0
	for _, b := range batches {
		if b.base >= limit || r.Bytes+len(b.raw) > o.MaxBytes && !(n == 0 && o.MinOneBatch) {
			break
		}
		r.Bytes += len(b.raw)
		end = b.next
		n++
	}
	r.More = end < limit // of the batch with the offset, too: it begins below the limit
	if n == 0 {
		return end
	}
	r.Batches = make([][]byte, n)
	for i := range n {
		r.Batches[i] = batches[i].raw
	}
	return end
}

// segmentLocked returns the segment that holds an offset, which is below written.
func (p *Partition) segmentLocked(offset int64) *segment {
	all := p.mu.segments
	return all[sort.Search(len(all), func(i int) bool { return all[i].next > offset })]
}

// view is what a reader needs to know of a segment, as of one moment.
type view struct {
	s          *segment
	base, next int64
	size       int64
	indexed    bool  // start is set; else the index is in its file
	start      block // the block with the offset
}

func (s *segment) viewLocked(offset int64) view {
	v := view{s: s, base: s.base, next: s.next, size: s.size}
	if s.index != nil {
		v.indexed = true
		v.start = s.index.blocks[s.index.block(offset)]
	}
	return v
}

// fromSegment reads batches from a segment, and returns the offset after the last. gap says that there is none from offset on.
func (r *ReadResult) fromSegment(p *Partition, v view, offset, limit int64, o ReadOptions) (end int64, gap bool, err error) {
	f, err := p.log.files.acquire(v.s.path, false)
	if err != nil {
		return 0, false, err
	}
	defer func() { err = errors.Join(err, f.release()) }()
	if !v.indexed {
		index, err := p.sealedIndex(f, v.s)
		if err != nil {
			return 0, false, err
		}
		v.start = index.blocks[index.block(offset)]
	}
	at, next, size, err := findBatch(f, &v, offset)
	if err != nil || size == 0 {
		return 0, size == 0, err
	}
	if next >= limit || size > o.MaxBytes && !o.MinOneBatch {
		r.More = next < limit
		return 0, false, nil
	}
	r.from = &p.log.buffers
	r.buf = r.from.get(int(min(int64(max(size, o.MaxBytes)), v.size-at)))
	buf, err := f.readAt(*r.buf, at, len(*r.buf))
	if err != nil {
		return 0, false, err
	}
	n, end, err := takeBatches(f, buf, at, v.size, next, limit)
	if err != nil || n == 0 {
		r.Release()
		return 0, false, err
	}
	r.Batches, r.Bytes, r.More = [][]byte{buf[:n:n]}, n, end < limit
	return end, false, nil
}

// findBatch walks over the block to the batch that holds offset, or, if that was compacted away, the next one. It returns where it is,
// its base offset and its size, which is 0 if a compacted segment has none any more.
func findBatch(f *openFile, v *view, offset int64) (at, base int64, size int, err error) {
	found := false
	err = walk(f, v.start.position, v.size, v.start.offset, func(h *batch.Header, position int64) bool {
		if h.NextOffset() <= offset {
			return true
		}
		at, base, size, found = position, h.BaseOffset, h.Size(), true
		return false
	})
	if err == nil && !found && !f.sparse {
		err = corruptSegment(f.path, v.start.position, fmt.Errorf("offset %d is not there", offset))
	}
	return at, base, size, err
}

// takeBatches returns how many bytes of buf are whole batches below the limit, and the offset after them. Every batch is
// checked: that it is the next one, and its checksum.
func takeBatches(f *openFile, buf []byte, at, size, next, limit int64) (n int, end int64, err error) {
	for next < limit && len(buf)-n >= batch.HeaderSize {
		h, err := checkHeader(f, buf[n:], at+int64(n), size, next)
		if err != nil {
			return 0, 0, err
		}
		if h.Size() > len(buf)-n {
			break
		}
		if err := batch.Verify(buf[n:n+h.Size()], &h); err != nil {
			return 0, 0, corruptSegment(f.path, at+int64(n), err)
		}
		n += h.Size()
		next = h.NextOffset()
		end = next
	}
	return n, end, nil
}

// aborted returns the aborted transactions with data in [from, to), by first offset.
func (p *Partition) aborted(from, to int64) ([]AbortedTxn, error) {
	found, err := p.abortedIn(from, to)
	if len(found) == 0 || err != nil {
		return nil, err
	}
	out := make([]AbortedTxn, len(found))
	for i, a := range found {
		out[i] = AbortedTxn{ProducerID: a.producer, FirstOffset: a.first}
	}
	return out, nil
}

func (p *Partition) abortedIn(from, to int64) ([]abortedTxn, error) {
	var found []abortedTxn
	var sealed []*segment
	take := func(all []abortedTxn) {
		for _, a := range all {
			if a.first < to && a.last >= from {
				found = append(found, a)
			}
		}
	}
	p.mu.Lock()
	for i := sort.Search(len(p.mu.segments), func(i int) bool { return p.mu.segments[i].next > from }); i < len(p.mu.segments); i++ {
		switch s := p.mu.segments[i]; {
		case s.minAborted >= to:
		case s.index != nil:
			take(s.index.aborted)
		default:
			sealed = append(sealed, s)
		}
	}
	take(p.mu.tailAborted)
	p.mu.Unlock()
	for _, s := range sealed {
		if err := p.withSealed(s, func(_ *openFile, x *segmentIndex) error { take(x.aborted); return nil }); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(found, func(a, b abortedTxn) int { return cmp.Compare(a.first, b.first) })
	return found, nil
}

// withSealed calls with for a sealed segment and its index.
func (p *Partition) withSealed(s *segment, with func(*openFile, *segmentIndex) error) (err error) {
	f, err := p.log.files.acquire(s.path, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.release()) }()
	index, err := p.sealedIndex(f, s)
	if err != nil {
		return err
	}
	return with(f, index)
}
