package task

import (
	"fmt"
	"runtime/debug"

	"github.com/millrace-io/millrace/topology"
)

// queue is the record queue of one input partition. Only the record at its head is decoded, which fixes its
// event time; batches are released when their last record has been processed.
type queue struct {
	in      Input
	node    *topology.Node // the source
	head    topology.Head
	batches []Batch // batches[0] is being read
	bytes   int     // held by batches

	loaded   bool // head holds a record that has not been processed
	raw      topology.Raw
	coords   topology.Coordinates // of raw
	headTime int64                // of the head record

	next          int64 // offset of the next record to process; -1: not known yet
	epoch         int32 // leader epoch of the batch that next was learnt from
	partitionTime int64 // highest event time taken, -1 if none

	lag      int64 // what the log still holds, as last told; -1: unknown
	idling   bool  // waits since it was seen empty with lag 0
	deadline int64 // of the waiting, wall clock in milliseconds
}

func newQueue(in Input, node *topology.Node, head topology.Head) *queue {
	return &queue{in: in, node: node, head: head, next: -1, epoch: -1, partitionTime: -1, lag: -1}
}

func (q *queue) offer(b Batch) {
	q.batches = append(q.batches, b)
	q.bytes += b.Bytes()
}

// pop gives back the batch that has been read to its end, and reports whether that moved the position: control records at its
// end do.
func (q *queue) pop() (moved bool) {
	b := q.batches[0]
	if end := b.End(); end > q.next {
		q.next, q.epoch, moved = end, b.LeaderEpoch(), true
	}
	q.bytes -= b.Bytes()
	b.Release()
	copy(q.batches, q.batches[1:])
	q.batches[len(q.batches)-1] = nil
	q.batches = q.batches[:len(q.batches)-1]
	return moved
}

func (q *queue) release() {
	for _, b := range q.batches {
		b.Release()
	}
	q.batches, q.bytes, q.loaded = nil, 0, false
}

// load makes sure that the head holds a record, and reports whether it does. Records that cannot be decoded, or have no
// event time, are dropped on the way; the position moves past them.
func (t *Task) load(q *queue) bool {
	for !q.loaded && len(q.batches) > 0 && t.err == nil {
		b := q.batches[0]
		more, err := b.Next(&q.raw)
		if err != nil {
			t.source = topology.Coordinates{Topic: q.in.Topic, Partition: q.in.Partition, Offset: q.next}
			t.fail(q.node.Name, fmt.Errorf("read batch: %w", err))
			return false
		}
		if !more {
			t.moved = q.pop() || t.moved
			continue
		}
		if q.raw.Offset < q.next {
			continue // before the start: a batch is fetched whole
		}
		t.decode(q, b.LeaderEpoch())
	}
	return q.loaded
}

func (t *Task) decode(q *queue, epoch int32) {
	q.next, q.epoch = q.raw.Offset, epoch
	q.coords = topology.Coordinates{Topic: q.in.Topic, Partition: q.in.Partition, Offset: q.raw.Offset}
	t.source, t.raw, t.time, t.origins.at = q.coords, &q.raw, q.raw.Timestamp, 0 // for the handler, the log line, or a panic
	time, err := t.decodeHead(q)
	switch {
	case err != nil:
		if t.decide(doorDeserialization, q.node, err) != nil {
			return // sticky; the position stays at the record
		}
	case time < 0:
		t.drop(q.node, topology.ReasonTimestamp, nil)
	default:
		q.loaded, q.headTime = true, time
		return
	}
	q.next++
	t.read++
	t.moved = true
}

// decodeHead decodes the head. A serde or extractor that panics has failed; a task that asks nobody about failures has one guard
// around everything, see catch.
func (t *Task) decodeHead(q *queue) (int64, error) {
	if t.guarded {
		return q.decodeGuarded()
	}
	t.decoding = q.node
	time, err := q.head.Decode(q.coords, &q.raw, q.partitionTime)
	t.decoding = nil
	return time, err
}

func (q *queue) decodeGuarded() (time int64, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return q.head.Decode(q.coords, &q.raw, q.partitionTime)
}

// choose returns the queue whose head is to be processed next: the one with the lowest head time, the first of those that
// tie. It returns nil if there is none, if an empty input must be waited for, or if it is beyond the limit.
func (t *Task) choose() *queue {
	var best *queue
	wait := false
	for _, q := range t.queues {
		switch {
		case q.loaded || t.load(q):
			q.idling = false
			if best == nil || q.headTime < best.headTime {
				best = q
			}
		case t.err != nil:
			return nil
		case len(t.queues) > 1 && t.mustWait(q):
			wait = true
		}
	}
	if wait || best != nil && best.headTime > t.limit {
		return nil
	}
	return best
}

// mustWait says whether the other inputs have to wait for q, which is empty.
func (t *Task) mustWait(q *queue) bool {
	if t.cfg.MaxIdle < 0 {
		return false
	}
	if q.lag != 0 { // unknown, or the log holds more: it will come
		q.idling = false
		return true
	}
	if !q.idling {
		q.idling, q.deadline = true, t.now+t.cfg.MaxIdle.Milliseconds()
	}
	return t.now < q.deadline
}
