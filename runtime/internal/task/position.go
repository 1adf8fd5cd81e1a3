package task

import (
	"slices"

	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"

	"github.com/millrace-io/millrace/topology"
)

// PositionHeader is the header of the first record that a transaction appends to a changelog partition. Its value says where the
// task's inputs stood when the transaction began: up to that record's offset, the changelog holds the state as of those positions. So
// a store can be brought back to a point of history, together with its inputs, as far back as its changelog has not been compacted.
//
// state/FORMAT.md draws the value. It costs about 35 bytes for each changelog and commit, and neither a record nor a request more.
const PositionHeader = "millrace-inputs"

const positionVersion = 1

// InputPosition is where one input stood.
type InputPosition struct {
	Topic         uint64 // TopicHash of its full name; the partition is the changelog's
	Next          int64  // offset of the next record to process
	PartitionTime int64  // highest event time taken, -1 if none
}

// TopicHash is the short form of a topic's name in a position: its 64-bit FNV-1a hash.
func TopicHash(name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name)) // a hash never fails to be written
	return h.Sum64()
}

func appendPosition(b []byte, inputs []InputPosition) []byte {
	b = append(b, positionVersion)
	b = binary.AppendUvarint(b, uint64(len(inputs)))
	for _, in := range inputs {
		b = binary.BigEndian.AppendUint64(b, in.Topic)
		b = binary.AppendUvarint(b, uint64(in.Next))
		b = binary.AppendUvarint(b, uint64(in.PartitionTime+1))
	}
	return b
}

// ParsePosition reads the value of a PositionHeader.
func ParsePosition(b []byte) ([]InputPosition, error) {
	if len(b) == 0 || b[0] != positionVersion {
		return nil, fmt.Errorf("position %.20x: unknown version", b)
	}
	r := positionReader{b: b[1:]}
	n := r.uvarint()
	if n > uint64(len(r.b)/10) {
		return nil, fmt.Errorf("position %.20x: %w", b, errShortPosition)
	}
	inputs := make([]InputPosition, 0, n)
	for range n {
		inputs = append(inputs, InputPosition{Topic: r.uint64(), Next: int64(r.uvarint()), PartitionTime: int64(r.uvarint()) - 1})
	}
	if r.err != nil {
		return nil, fmt.Errorf("position %.20x: %w", b, r.err)
	}
	return inputs, nil
}

var errShortPosition = errors.New("shorter than what it says it holds")

// positionReader reads fields one after the other; after the first error, zeros.
type positionReader struct {
	b   []byte
	err error
}

func (r *positionReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > 1<<63-1 {
		r.err, r.b = errShortPosition, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *positionReader) uint64() uint64 {
	if len(r.b) < 8 {
		r.err, r.b = errShortPosition, nil
		return 0
	}
	v := binary.BigEndian.Uint64(r.b)
	r.b = r.b[8:]
	return v
}

// changelog appends a store's changes to its topic, in the open transaction.
type changelog struct {
	task    *Task
	topic   string
	headers []topology.Header // of each record that has a value
	raw     topology.Raw
	marked  bool // the open transaction's first record was appended
}

func (c *changelog) Append(key, value []byte, timestamp int64) error {
	if value == nil {
		return c.AppendWith(nil, key, value, timestamp)
	}
	return c.AppendWith(c.headers, key, value, timestamp)
}

// AppendWith implements state.HeaderChangelog.
func (c *changelog) AppendWith(headers []topology.Header, key, value []byte, timestamp int64) error {
	c.raw = topology.Raw{Key: key, Value: value, Timestamp: timestamp, Headers: headers}
	if !c.marked {
		c.marked = true
		if mark := c.task.position(); len(headers) == 0 {
			c.raw.Headers = mark
		} else {
			c.raw.Headers = slices.Concat(headers, mark)
		}
	}
	err := c.task.cfg.Output.Send(c.topic, c.task.cfg.Partition, &c.raw, c.task.originOf(noNode))
	c.raw = topology.Raw{}
	if err != nil {
		// No handler is asked: a store with a change that its changelog has not got would not be what is restored.
		c.task.fail("", fmt.Errorf("append to changelog %s-%d: %w", c.topic, c.task.cfg.Partition, err))
		return c.task.err
	}
	return nil
}

// begin notes where the inputs stand as the next transaction begins.
func (t *Task) begin() {
	t.began = t.began[:0]
	for i, q := range t.queues {
		if q.next >= 0 {
			t.began = append(t.began, InputPosition{Topic: t.hashes[i], Next: q.next, PartitionTime: q.partitionTime})
		}
	}
	t.mark.Value = t.mark.Value[:0]
	for _, s := range t.stores {
		if s.log != nil {
			s.log.marked = false
		}
	}
}

// position returns the header for the first record of the open transaction, none where no position is known.
func (t *Task) position() []topology.Header {
	if len(t.began) == 0 {
		return nil
	}
	if len(t.mark.Value) == 0 {
		t.mark.Key, t.mark.Value = PositionHeader, appendPosition(t.mark.Value, t.began)
	}
	t.marks = append(t.marks[:0], t.mark)
	return t.marks
}
