package recordbatch

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/topology"
)

// Fetched is one partition's share of a Fetch answer.
type Fetched struct {
	Records []byte // the record set; the Reader takes it over
	From    int64  // the offset that was asked for; records before it are left out
	// ReadCommitted leaves out the records of aborted transactions, which Aborted names as the answer did, in any order.
	ReadCommitted bool
	Aborted       []Aborted
	// Released is called once, by Release. It may be nil.
	Released func()
}

// Aborted names a transaction that was aborted: all transactional batches of the producer from FirstOffset up to its
// next abort marker.
type Aborted struct {
	ProducerID  int64
	FirstOffset int64
}

// Reader reads a record set. It implements task.Batch. Compressed batches are decompressed one at a time, when Next gets to
// them; what is decompressed is kept until Release.
type Reader struct {
	f       Fetched
	rest    []byte // batches that Next has not entered yet, all complete and checked
	end     int64
	last    int32              // leader epoch of the last batch
	aborted []Aborted          // sorted by offset, those that rest has not reached
	ignored map[int64]struct{} // producers in an aborted transaction at the present batch

	h        header // of the present batch
	records  []byte // of the present batch, still to be read
	left     int32  // records still to be read
	next     int64  // lowest offset delta that the next record may have
	epoch    int32
	headers  []topology.Header // slab that raw.Headers are cut from
	keys     []string          // header keys met so far
	inflated [][]byte
	bytes    int
	released bool
	err      error
}

// maxHeaderKeys bounds how many distinct header keys a Reader remembers to share their strings.
const maxHeaderKeys = 32

// NewReader checks the frames and checksums of all batches and returns a Reader over them, or a *CorruptError. An incomplete
// last batch is left out, as the protocol allows; End then lies before it. The record set must hold a complete batch.
func NewReader(f Fetched) (*Reader, error) {
	r := &Reader{f: f, end: f.From, epoch: -1, bytes: len(f.Records)}
	rest, prev := f.Records, int64(0)
	for len(rest) > 0 {
		batch, after, ok, err := frame(rest)
		if err != nil {
			return nil, &CorruptError{Offset: r.end, Err: err}
		}
		if !ok {
			break
		}
		h, err := checkHeader(batch)
		if err == nil && h.baseOffset < prev {
			err = errOffsets
		}
		if err != nil {
			return nil, &CorruptError{Offset: h.baseOffset, Err: err}
		}
		prev, r.last = h.end(), h.leaderEpoch
		r.end = max(r.end, prev)
		rest = after
	}
	r.rest = f.Records[:len(f.Records)-len(rest)]
	if len(r.rest) == 0 {
		return nil, &CorruptError{Offset: f.From, Err: errIncomplete}
	}
	if f.ReadCommitted && len(f.Aborted) > 0 {
		r.aborted = slices.SortedFunc(slices.Values(f.Aborted), func(a, b Aborted) int { return cmp.Compare(a.FirstOffset, b.FirstOffset) })
		r.ignored = make(map[int64]struct{})
	}
	return r, nil
}

// Next moves to the next record and fills r. See task.Batch. After an error, which is a *CorruptError, it returns the same
// one again.
func (r *Reader) Next(raw *topology.Raw) (bool, error) {
	var rec record
	for r.err == nil {
		if r.left == 0 {
			if len(r.records) > 0 {
				return false, r.corrupt(errRecord)
			}
			if len(r.rest) == 0 {
				return false, nil
			}
			r.enter()
			continue
		}
		rest, ok := readRecord(r.records, &rec)
		if !ok {
			return false, r.corrupt(errRecord)
		}
		if rec.offsetDelta < r.next || rec.offsetDelta > int64(r.h.lastOffsetDelta) {
			return false, r.corrupt(errOffsets)
		}
		r.records, r.next = rest, rec.offsetDelta+1
		r.left--
		offset := r.h.baseOffset + rec.offsetDelta
		if offset < r.f.From {
			continue
		}
		raw.Key, raw.Value, raw.Headers = rec.key, rec.value, nil
		raw.Offset = offset
		raw.Timestamp = r.h.baseTimestamp + rec.timestampDelta
		if r.h.logAppendTime() {
			raw.Timestamp = r.h.maxTimestamp
		}
		if rec.headerCount > 0 {
			if raw.Headers, ok = r.readHeaders(&rec); !ok {
				return false, r.corrupt(errRecord)
			}
		}
		return true, nil
	}
	return false, r.err
}

// enter moves to the next batch and sets left to the number of records to read from it, 0 if it is left out.
func (r *Reader) enter() {
	batch, rest, _, _ := frame(r.rest)
	r.rest = rest
	r.h = parseHeader(batch)
	r.epoch = r.h.leaderEpoch
	r.next = 0
	if r.h.end() <= r.f.From || r.leaveOut(batch) {
		return
	}
	records := batch[HeaderBytes:]
	if codec := r.h.codec(); codec != None {
		inflated, err := decompress(codec, records)
		if err != nil {
			_ = r.corrupt(fmt.Errorf("decompress %s: %w", codec, err))
			return
		}
		r.inflated = append(r.inflated, inflated)
		r.bytes += cap(inflated)
		records = inflated
	}
	if int64(r.h.count) > int64(len(records)) {
		_ = r.corrupt(errCount)
		return
	}
	r.records, r.left = records, r.h.count
}

// leaveOut reports whether the present batch is a control batch or of an aborted transaction (KIP-98), and keeps account
// of which transactions are aborted here.
func (r *Reader) leaveOut(batch []byte) bool {
	for len(r.aborted) > 0 && r.aborted[0].FirstOffset < r.h.end() {
		r.ignored[r.aborted[0].ProducerID] = struct{}{}
		r.aborted = r.aborted[1:]
	}
	if r.h.control() {
		if len(r.ignored) > 0 && abortMarker(batch) {
			delete(r.ignored, r.h.producerID)
		}
		return true
	}
	if !r.h.transactional() || len(r.ignored) == 0 {
		return false
	}
	_, aborted := r.ignored[r.h.producerID]
	return aborted
}

func (r *Reader) readHeaders(rec *record) ([]topology.Header, bool) {
	first, src, i := len(r.headers), rec.headers, 0
	for range rec.headerCount {
		var key, value []byte
		if key, i = readBytes(src, i); i < 0 || key == nil {
			return nil, false
		}
		if value, i = readBytes(src, i); i < 0 {
			return nil, false
		}
		r.headers = append(r.headers, topology.Header{Key: r.headerKey(key), Value: value})
	}
	return r.headers[first:len(r.headers):len(r.headers)], i == len(src)
}

// headerKey returns key as a string, the same one for equal keys: most records of a topic have the same few.
func (r *Reader) headerKey(key []byte) string {
	for _, k := range r.keys {
		if k == string(key) {
			return k
		}
	}
	k := string(key)
	if len(r.keys) < maxHeaderKeys {
		r.keys = append(r.keys, k)
	}
	return k
}

func (r *Reader) corrupt(err error) error {
	r.err = &CorruptError{Offset: r.h.baseOffset, Err: err}
	return r.err
}

// End returns the offset after the last batch.
func (r *Reader) End() int64 { return r.end }

// LeaderEpoch returns the leader epoch of the batch that Next last read from, -1 if unknown.
func (r *Reader) LeaderEpoch() int32 { return r.epoch }

// LastEpoch returns the leader epoch of the last batch, to which End belongs.
func (r *Reader) LastEpoch() int32 { return r.last }

// Bytes returns the memory it holds.
func (r *Reader) Bytes() int { return r.bytes }

// Release gives the memory back. Slices that Next handed out are invalid from now on. Further calls do nothing.
func (r *Reader) Release() {
	if r.released {
		return
	}
	r.released = true
	for _, b := range r.inflated {
		recycle(b)
	}
	r.inflated, r.rest, r.records, r.headers, r.left = nil, nil, nil, nil, 0
	r.f.Records = nil
	if r.f.Released != nil {
		r.f.Released()
	}
}
