package txn

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// A record is one byte of kind and its fields: integers as zigzag varints, strings with their length before them, topic
// ids as 16 bytes.
const (
	recordReserve byte = 1 // producer ids below this one are given out or reserved
	recordState   byte = 2 // version, then a transactional id's state, with no transaction open
	recordAdd     byte = 3 // id, time, partitions, group or "": opens a transaction if none is, and adds to it

	stateVersion = 1
)

var errRecord = errors.New("damaged transaction record")

func encodeReserve(below int64) []byte { return binary.AppendVarint([]byte{recordReserve}, below) }

// record encodes t's state between transactions. Whoever writes it ends the open one, if there is one.
func (t *transaction) record() []byte {
	b := []byte{recordState, stateVersion}
	b = appendString(b, t.id)
	b = appendProducer(b, t.producer)
	b = appendProducer(b, t.previous)
	b = binary.AppendVarint(b, t.timeout.Milliseconds())
	b = appendProducer(b, t.ended.producer)
	if t.ended.commit {
		return append(b, 1)
	}
	return append(b, 0)
}

func encodeAdd(id string, millis int64, partitions []Partition, group string) []byte {
	b := appendString([]byte{recordAdd}, id)
	b = binary.AppendVarint(b, millis)
	b = binary.AppendVarint(b, int64(len(partitions)))
	for _, p := range partitions {
		b = append(b, p.Topic[:]...)
		b = binary.AppendVarint(b, int64(p.Index))
	}
	return appendString(b, group)
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendVarint(b, int64(len(s))), s...)
}

func appendProducer(b []byte, p Producer) []byte {
	return binary.AppendVarint(binary.AppendVarint(b, p.ID), int64(p.Epoch))
}

// Replay applies one record: after the request that made it, or in recovery. An error means that the record is damaged.
func (c *Coordinator) Replay(record []byte) error {
	d := &decoder{src: record}
	var err error
	switch kind := d.byte(); kind {
	case recordReserve:
		below := d.int()
		if err = d.end(); err == nil {
			c.replayReserve(below)
		}
	case recordState:
		err = c.replayState(d)
	case recordAdd:
		err = c.replayAdd(d)
	default:
		err = errRecord
	}
	if err != nil {
		return fmt.Errorf("transaction record of %d bytes: %w", len(record), err)
	}
	return nil
}

// replayReserve makes ids start above every block that was ever reserved; live, the block is the one in use.
func (c *Coordinator) replayReserve(below int64) {
	if below > c.reserved {
		c.nextID = below
	}
	c.reserved = max(c.reserved, below)
}

func (c *Coordinator) replayState(d *decoder) error {
	if d.byte() != stateVersion {
		return errRecord
	}
	t := &transaction{id: d.string(), producer: d.producer(), previous: d.producer()}
	t.timeout = time.Duration(d.int()) * time.Millisecond
	t.ended = lastEnd{d.producer(), d.byte() == 1}
	if err := d.end(); err != nil {
		return err
	}
	c.transactions[t.id] = t
	delete(c.open, t.id)
	return nil
}

func (c *Coordinator) replayAdd(d *decoder) error {
	id, millis := d.string(), d.int()
	partitions := make([]Partition, d.count())
	for i := range partitions {
		partitions[i] = Partition{d.topic(), int32(d.int())}
	}
	group := d.string()
	t := c.transactions[id]
	if err := d.end(); err != nil || t == nil {
		return errRecord
	}
	if !t.open {
		t.open, t.started, t.ended = true, millis, noEnd
		t.partitions, t.groups = make(map[Partition]struct{}), make(map[string]struct{})
		c.open[id] = t
	}
	for _, p := range partitions {
		t.partitions[p] = struct{}{}
	}
	if group != "" {
		t.groups[group] = struct{}{}
	}
	return nil
}

// Snapshot emits records that rebuild the state.
func (c *Coordinator) Snapshot(emit func(record []byte) error) error {
	if err := emit(encodeReserve(c.reserved)); err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(c.transactions)) {
		t := c.transactions[id]
		if err := emit(t.record()); err != nil {
			return err
		}
		if !t.open {
			continue
		}
		partitions := slices.SortedFunc(maps.Keys(t.partitions), comparePartitions)
		if err := emit(encodeAdd(id, t.started, partitions, "")); err != nil {
			return err
		}
		for _, group := range slices.Sorted(maps.Keys(t.groups)) {
			if err := emit(encodeAdd(id, t.started, nil, group)); err != nil {
				return err
			}
		}
	}
	return nil
}

// decoder reads a record. After the first damage it is bad and gives zeros.
type decoder struct {
	src []byte
	bad bool
}

func (d *decoder) take(n int64) []byte {
	if d.bad || n < 0 || n > int64(len(d.src)) {
		d.bad = true
		return nil
	}
	b := d.src[:n]
	d.src = d.src[n:]
	return b
}

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.src)
	if n <= 0 {
		d.bad = true
		return 0
	}
	d.src = d.src[n:]
	return v
}

// count reads a number of elements, each of which takes at least as many bytes as a partition.
func (d *decoder) count() int64 {
	const partitionSize = 17
	n := d.int()
	if d.bad || n < 0 || n > int64(len(d.src)/partitionSize) {
		d.bad = true
		return 0
	}
	return n
}

func (d *decoder) string() string { return string(d.take(d.int())) }

func (d *decoder) topic() (id [16]byte) {
	copy(id[:], d.take(int64(len(id))))
	return id
}

func (d *decoder) producer() Producer { return Producer{d.int(), int16(d.int())} }

func (d *decoder) end() error {
	if d.bad || len(d.src) != 0 {
		return errRecord
	}
	return nil
}
