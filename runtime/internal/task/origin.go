package task

import (
	"bytes"

	"github.com/millrace-io/millrace/topology"
)

// maxOrigins bounds the bytes of input records that are kept for changes that wait for the commit; at the bound the task asks for
// one.
const maxOrigins = 16 << 20

// origins keeps the input records that made the changes which stores hold back until the commit, so that a node that fails with
// such a change fails with its record. It implements state.Origins, for a task whose failures somebody decides about.
type origins struct {
	task  *Task
	list  []origin
	bytes int
	at    uint32 // number of the record that is being processed, or whose change is being handed over; 0: none yet
}

type origin struct {
	coords topology.Coordinates
	raw    topology.Raw
	time   int64
}

// Mark implements state.Origins. The record is copied: its batch may be gone when it is asked for.
func (o *origins) Mark() uint32 {
	t := o.task
	if o.at != 0 || t.raw == nil {
		return o.at
	}
	raw := topology.Raw{Key: bytes.Clone(t.raw.Key), Value: bytes.Clone(t.raw.Value), Timestamp: t.raw.Timestamp, Offset: t.raw.Offset}
	for _, h := range t.raw.Headers {
		raw.Headers = append(raw.Headers, topology.Header{Key: h.Key, Value: bytes.Clone(h.Value)})
		o.bytes += len(h.Key) + len(h.Value)
	}
	o.list = append(o.list, origin{t.source, raw, t.time})
	if o.bytes += len(raw.Key) + len(raw.Value) + 128; o.bytes >= maxOrigins {
		t.requested = true
	}
	o.at = uint32(len(o.list))
	return o.at
}

// Resume implements state.Origins. A change that no record has made is of the time of the flush.
func (o *origins) Resume(mark uint32) {
	o.at, o.task.time = mark, max(o.task.streamTime, 0)
	if mark > 0 {
		o.task.time = o.list[mark-1].time
	}
}

func (o *origins) reset() {
	clear(o.list)
	o.list, o.bytes, o.at = o.list[:0], 0, 0
}

// where returns the coordinates of the record that failures are about: the one that is being processed, or the one that made the
// change that is being handed over.
func (t *Task) where() topology.Coordinates {
	if t.raw == nil && t.origins.at > 0 {
		return t.origins.list[t.origins.at-1].coords
	}
	return t.source
}

// input returns that record, nil if there is none.
func (t *Task) input() *topology.Raw {
	if t.raw == nil && t.origins.at > 0 {
		return &t.origins.list[t.origins.at-1].raw
	}
	return t.raw
}
