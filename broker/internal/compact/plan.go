package compact

import "math"

// Segment is what is known of a segment that is closed. Times are in milliseconds, -1 if there is none.
type Segment struct {
	Base, Next int64 // offsets
	Bytes      int64
	FirstTime  int64 // highest of its first batch
	MaxTime    int64
}

// Policy is a topic's: min.compaction.lag.ms, max.compaction.lag.ms (math.MaxInt64: none) and min.cleanable.dirty.ratio.
type Policy struct {
	MinLag, MaxLag int64
	MinDirtyRatio  float64
}

// Round is what there is to compact: the segments from the first on.
type Round struct {
	Segments int     // how many
	Dirty    int64   // offset from which on no round has seen the records
	Ratio    float64 // of dirty bytes
	Overdue  bool    // a dirty record is older than max.compaction.lag.ms
}

// Plan returns the round that a partition needs by now, if it needs one. segments are its closed ones in order, without a gap; cleaned
// is where the last round's dirty part ended; stable is the last stable offset (K1).
func Plan(segments []Segment, cleaned, stable, now int64, policy Policy) (Round, bool) {
	r := Round{}
	var dirty, clean int64
	for _, s := range segments {
		young := policy.MinLag > 0 && s.MaxTime > now-policy.MinLag
		if s.Next > stable || s.Next > cleaned && young {
			break
		}
		if s.Next <= cleaned {
			clean += s.Bytes
		} else {
			if dirty == 0 {
				r.Dirty = max(s.Base, cleaned)
				r.Overdue = policy.MaxLag < math.MaxInt64 && s.FirstTime >= 0 && now-s.FirstTime > policy.MaxLag
			}
			dirty += s.Bytes
		}
		r.Segments++
	}
	if dirty == 0 {
		return Round{}, false
	}
	r.Ratio = float64(dirty) / float64(dirty+clean)
	return r, r.Overdue || r.Ratio > policy.MinDirtyRatio
}

// Before orders rounds: those that are overdue first, then those with the most to gain.
func (r Round) Before(o Round) bool {
	if r.Overdue != o.Overdue {
		return r.Overdue
	}
	return r.Ratio > o.Ratio
}
