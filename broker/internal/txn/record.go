package txn

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/millrace-io/millrace/broker/internal/fields"
)

// The kinds of record, and their fields, encoded as package fields says.
const (
	recordReserve byte = 1 // producer ids below this one are given out or reserved
	recordState   byte = 2 // version, then a transactional id's state, with no transaction open
	recordAdd     byte = 3 // id, time, partitions, group or "": opens a transaction if none is, and adds to it
	recordExpire  byte = 4 // id: it is forgotten

	// Versions of recordState. All are read, the last is written.
	stateV1 = 1
	stateV2 = 2 // with when the id was last used

	partitionSize = 17 // of a partition in a record, at least
)

func encodeReserve(below int64) []byte { return binary.AppendVarint([]byte{recordReserve}, below) }

// record encodes t's state between transactions. Whoever writes it ends the open one, if there is one.
func (t *transaction) record() []byte {
	b := []byte{recordState, stateV2}
	b = fields.AppendString(b, t.id)
	b = appendProducer(b, t.producer)
	b = appendProducer(b, t.previous)
	b = binary.AppendVarint(b, t.timeout.Milliseconds())
	b = appendProducer(b, t.ended.producer)
	b = fields.AppendBool(b, t.ended.commit)
	return binary.AppendVarint(b, t.used)
}

func encodeExpire(id string) []byte { return fields.AppendString([]byte{recordExpire}, id) }

func encodeAdd(id string, millis int64, partitions []Partition, group string) []byte {
	b := fields.AppendString([]byte{recordAdd}, id)
	b = binary.AppendVarint(b, millis)
	b = binary.AppendVarint(b, int64(len(partitions)))
	for _, p := range partitions {
		b = append(b, p.Topic[:]...)
		b = binary.AppendVarint(b, int64(p.Index))
	}
	return fields.AppendString(b, group)
}

func appendProducer(b []byte, p Producer) []byte {
	return binary.AppendVarint(binary.AppendVarint(b, p.ID), int64(p.Epoch))
}

// Replay applies one record: after the request that made it, or in recovery. An error means that the record is damaged.
func (c *Coordinator) Replay(record []byte) error {
	d := fields.NewDecoder(record)
	var err error
	switch kind := d.Byte(); kind {
	case recordReserve:
		below := d.Int()
		if err = d.End(); err == nil {
			c.replayReserve(below)
		}
	case recordState:
		err = c.replayState(d)
	case recordAdd:
		err = c.replayAdd(d)
	case recordExpire:
		err = c.replayExpire(d)
	default:
		err = fields.ErrDamaged
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

func (c *Coordinator) replayState(d *fields.Decoder) error {
	version := d.Byte()
	if version < stateV1 || version > stateV2 {
		return fields.ErrDamaged
	}
	t := &transaction{id: d.String(), producer: decodeProducer(d), previous: decodeProducer(d)}
	t.timeout = time.Duration(d.Int()) * time.Millisecond
	t.ended = lastEnd{decodeProducer(d), d.Bool()}
	if version >= stateV2 {
		t.used = d.Int()
	}
	if err := d.End(); err != nil {
		return err
	}
	c.transactions[t.id] = t
	delete(c.open, t.id)
	return nil
}

func (c *Coordinator) replayExpire(d *fields.Decoder) error {
	id := d.String()
	t := c.transactions[id]
	if err := d.End(); err != nil || t == nil || t.open {
		return fields.ErrDamaged
	}
	delete(c.transactions, id)
	return nil
}

func (c *Coordinator) replayAdd(d *fields.Decoder) error {
	id, millis := d.String(), d.Int()
	partitions := make([]Partition, d.Count(partitionSize))
	for i := range partitions {
		partitions[i] = Partition{d.ID(), int32(d.Int())}
	}
	group := d.String()
	t := c.transactions[id]
	if err := d.End(); err != nil || t == nil {
		return fields.ErrDamaged
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

func decodeProducer(d *fields.Decoder) Producer { return Producer{d.Int(), int16(d.Int())} }
