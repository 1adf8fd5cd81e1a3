package compact

import (
	"math"

	"github.com/millrace-io/millrace/broker/internal/batch"
)

// Scan reads the dirty part of a round into Keys.
type Scan struct {
	Keys *Keys
	txns txns
	from int64
}

// NewScan begins at the offset from. aborted are the aborted transactions with data or markers in the round, by first offset.
func NewScan(keys *Keys, aborted []Aborted, from int64) *Scan {
	keys.Latest = from - 1
	return &Scan{Keys: keys, txns: newTxns(aborted), from: from}
}

// Batch takes the next batch. It returns false when Keys is full: then Keys.Latest is before the first record without room.
func (s *Scan) Batch(raw []byte, h *batch.Header) bool {
	if h.Attributes.Control() {
		s.txns.marker(h)
		s.Keys.Latest = h.LastOffset()
		return true
	}
	if !s.txns.data(h) && h.Count > 0 {
		records, err := batch.NewRecords(raw, h)
		if err != nil { // K7
			s.Keys.Latest = h.LastOffset()
			return true
		}
		for records.Next() {
			r := records.Record()
			if r.Key == nil || r.Offset < s.from {
				continue
			}
			if !s.Keys.Put(r.Key, r.Offset) {
				return false
			}
			s.Keys.Latest = r.Offset
		}
	}
	s.Keys.Latest = h.LastOffset()
	return true
}

// Filter says for each batch of a round what stays of it. All fields but Now are of the round.
type Filter struct {
	// Keys is complete up to Keys.Latest.
	Keys *Keys
	// Now and DeleteRetention, in milliseconds, decide on tombstones and markers.
	Now, DeleteRetention int64
	// Active reports whether a batch is the last one of a producer that the partition knows.
	Active func(h *batch.Header) bool

	txns txns
}

// Begin starts the round. aborted are as for NewScan.
func (f *Filter) Begin(aborted []Aborted) { f.txns = newTxns(aborted) }

// Kept is what stays of a batch.
type Kept struct {
	// Raw is the batch, nil if nothing stays. If nothing goes it is the very slice that was given.
	Raw []byte
	// Aborted is set for an abort marker of which data is left: readers have to know of it.
	Aborted *Aborted
}

// Batch decides on the next batch, whose checksum was verified. last says that it is the last one of the round.
func (f *Filter) Batch(raw []byte, h *batch.Header, last bool) (Kept, error) {
	empty := last || h.ProducerID >= 0 && f.Active(h) // K6
	if h.Attributes.Control() {
		return f.control(raw, h, empty)
	}
	if f.txns.data(h) || h.Count == 0 {
		return f.none(raw, h, empty), nil
	}
	records, err := batch.NewRecords(raw, h)
	if err != nil {
		return Kept{Raw: raw}, nil // K7
	}
	keep := make([]bool, 0, h.Count)
	kept, tombstones := 0, false
	for records.Next() {
		r := records.Record()
		k := f.keep(&r, h)
		keep = append(keep, k)
		if k {
			kept++
			tombstones = tombstones || r.Value == nil
		}
	}
	if records.Err() != nil {
		return Kept{Raw: raw}, nil // K7
	}
	horizon := int64(batch.NoHorizon)
	if tombstones && !h.Attributes.DeleteHorizon() {
		horizon = f.horizon()
	}
	switch {
	case kept == 0:
		return f.none(raw, h, empty), nil
	case kept == len(keep) && horizon == batch.NoHorizon:
		return Kept{Raw: raw}, nil
	}
	out, err := records.Rewrite(keep, horizon)
	return Kept{Raw: out}, err
}

// keep decides on a record.
func (f *Filter) keep(r *batch.Record, h *batch.Header) bool {
	switch {
	case r.Offset > f.Keys.Latest: // K2
		return true
	case r.Key == nil: // from before the topic was compacted
		return false
	case f.Keys.Last(r.Key) > r.Offset:
		return false
	}
	return r.Value != nil || !f.expired(h) // K4
}

// control decides on markers (K5).
func (f *Filter) control(raw []byte, h *batch.Header, empty bool) (Kept, error) {
	seen, aborted := f.txns.marker(h)
	switch {
	case seen || h.Count == 0 && empty:
		return Kept{Raw: raw, Aborted: aborted}, nil
	case h.Count == 0 || f.expired(h):
		return f.none(raw, h, empty), nil
	case h.Attributes.DeleteHorizon():
		return Kept{Raw: raw}, nil
	}
	records, err := batch.NewRecords(raw, h)
	if err != nil {
		return Kept{Raw: raw}, nil // K7
	}
	keep := make([]bool, h.Count)
	for i := range keep {
		keep[i] = true
	}
	out, err := records.Rewrite(keep, f.horizon())
	return Kept{Raw: out}, err
}

// none is what stays of a batch that loses all its records.
func (f *Filter) none(raw []byte, h *batch.Header, empty bool) Kept {
	switch {
	case !empty:
		return Kept{}
	case h.Count == 0:
		return Kept{Raw: raw}
	}
	return Kept{Raw: batch.Empty(h)}
}

// expired reports whether the batch's horizon has passed.
func (f *Filter) expired(h *batch.Header) bool {
	return h.Attributes.DeleteHorizon() && h.BaseTimestamp <= f.Now
}

// horizon is when what is met now for the first time may go.
func (f *Filter) horizon() int64 {
	if f.DeleteRetention > math.MaxInt64-f.Now {
		return math.MaxInt64
	}
	return f.Now + f.DeleteRetention
}
