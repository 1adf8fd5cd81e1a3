package commitlog

import "sort"

// tailBatch is a batch in memory, as it was received.
type tailBatch struct {
	base, next int64
	maxTime    int64
	raw        []byte
}

// tail is the end of a partition in memory: batches without a gap up to its end offset. The first written ones are in a segment
// too and may be dropped, oldest first; a batch is never dropped before it is written.
type tail struct {
	batches []tailBatch
	written int   // batches[:written] are in segments
	bytes   int64 // of all
	dirty   int64 // of those not written
}

func (t *tail) add(b tailBatch) {
	t.batches = append(t.batches, b)
	t.bytes += int64(len(b.raw))
	t.dirty += int64(len(b.raw))
}

// find returns the index of the batch that holds offset, if it is in memory.
func (t *tail) find(offset int64) (int, bool) {
	if len(t.batches) == 0 || offset < t.batches[0].base || offset >= t.batches[len(t.batches)-1].next {
		return 0, false
	}
	return sort.Search(len(t.batches), func(i int) bool { return t.batches[i].next > offset }), true
}

// unwritten returns the batches that are not in a segment and lie below an offset. The result stays valid while others are
// added, but not over a purge or evict, which clear what they drop: flushMu keeps those off, or the caller copies under the partition's lock.
func (t *tail) unwritten(below int64) []tailBatch {
	rest := t.batches[t.written:]
	n := sort.Search(len(rest), func(i int) bool { return rest[i].next > below })
	return rest[:n:n]
}

// setWritten notes that the next n batches are in a segment.
func (t *tail) setWritten(n int) {
	for _, b := range t.batches[t.written : t.written+n] {
		t.dirty -= int64(len(b.raw))
	}
	t.written += n
}

// firstUnwritten returns the offset of the first batch that is not in a segment, or end.
func (t *tail) firstUnwritten(end int64) int64 {
	if t.written < len(t.batches) {
		return t.batches[t.written].base
	}
	return end
}

// purge drops the batches that lie wholly below start, written or not. It returns the bytes dropped.
func (t *tail) purge(start int64) (dropped int64) {
	n := 0
	for n < len(t.batches) && t.batches[n].next <= start {
		size := int64(len(t.batches[n].raw))
		if n >= t.written {
			t.dirty -= size
		}
		t.batches[n] = tailBatch{} // readers hold their own slices
		dropped += size
		n++
	}
	t.bytes -= dropped
	t.batches = t.batches[n:]
	t.written = max(0, t.written-n)
	if len(t.batches) == 0 {
		t.batches = nil
	}
	return dropped
}

// evict drops written batches, oldest first, until at most keep bytes are left or none is written. It returns the bytes dropped.
func (t *tail) evict(keep int64) (dropped int64) {
	n := 0
	for n < t.written && t.bytes > keep {
		size := int64(len(t.batches[n].raw))
		t.batches[n] = tailBatch{} // readers hold their own slices
		t.bytes -= size
		dropped += size
		n++
	}
	t.batches = t.batches[n:]
	t.written -= n
	if len(t.batches) == 0 {
		t.batches = nil
	}
	return dropped
}
