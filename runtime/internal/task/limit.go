package task

import "math"

// No event time: what Heads returns where there is none.
const (
	NoTime      int64 = math.MaxInt64
	UnknownTime int64 = math.MinInt64
)

// SetLimit has Step process no record whose event time is beyond limit; the records before which others would be processed wait with it.
// The limit of a new task is beyond all times.
func (t *Task) SetLimit(limit int64) { t.limit = limit }

// Heads returns the lowest event time of the records that would be processed next, of those that are here, and the lowest that is to be
// expected where the log is known to hold more, or may: the highest taken so far, UnknownTime before the first record. NoTime says that there
// is no such input. It decodes heads, but takes none.
func (t *Task) Heads() (here, expected int64) {
	here, expected = NoTime, NoTime
	if t.err != nil {
		return here, expected
	}
	var err error
	defer t.catch(&err)
	for _, q := range t.queues {
		switch {
		case q.loaded || t.load(q):
			here = min(here, q.headTime)
		case q.lag < 0 || q.lag > 0 && q.partitionTime < 0:
			expected = UnknownTime
		case q.lag > 0:
			expected = min(expected, q.partitionTime)
		}
	}
	return here, expected
}

// Head returns the event time of the record at the head of an input, -1 if none is there.
func (t *Task) Head(in Input) int64 {
	if q := t.queue(in); q != nil && q.loaded {
		return q.headTime
	}
	return -1
}
