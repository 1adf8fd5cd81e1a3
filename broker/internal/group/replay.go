package group

import (
	"bytes"
	"cmp"
	"container/heap"
	"fmt"
	"maps"
	"slices"

	"github.com/millrace-io/millrace/broker/internal/fields"
)

// Replay applies one record: after the event that made it, or in recovery. An error means that the record is damaged.
func (c *Coordinator) Replay(record []byte) error {
	d := fields.NewDecoder(record)
	kind := d.Byte()
	var err error
	switch kind {
	case recordGeneration:
		err = c.replayGeneration(d, record)
	case recordOffsets:
		err = c.replayOffsets(d, nil)
	case recordStaged:
		producerID := d.Int()
		err = c.replayOffsets(d, &producerID)
	case recordEnd:
		producerID, commit := d.Int(), d.Bool()
		if err = d.End(); err == nil {
			c.replayEnd(producerID, commit)
		}
	case recordForget:
		id := d.ID()
		if err = d.End(); err == nil {
			c.replayForget(id)
		}
	case recordDelete:
		name := d.String()
		if err = d.End(); err == nil {
			c.replayDelete(name)
		}
	case recordDeleteOffsets:
		err = c.replayDeleteOffsets(d)
	case recordConsumerGroup, recordConsumerMember, recordConsumerTarget, recordConsumerGone, recordConsumerEnd:
		err = c.replayConsumer(kind, d)
	default:
		err = fields.ErrDamaged
	}
	if err != nil {
		return fmt.Errorf("group record of kind %d, %d bytes: %w", kind, len(record), err)
	}
	return nil
}

// replayGeneration puts a recorded generation in place of the present one. What is memory only stays as it is (G1).
func (c *Coordinator) replayGeneration(d *fields.Decoder, record []byte) error {
	next := decodeGeneration(d)
	if err := d.End(); err != nil {
		return err
	}
	g := c.replayedGroup(next.name)
	for id, m := range next.members {
		if now := g.members[id]; now != nil {
			m.joining, m.syncing, m.deadline = now.joining, now.syncing, now.deadline
		}
	}
	g.state, g.generation = next.state, next.generation
	g.protocolType, g.protocol, g.leader = next.protocolType, next.protocol, next.leader
	g.emptySince = next.emptySince
	g.members, g.instances, g.lastOrder = next.members, next.instances, max(g.lastOrder, next.lastOrder)
	g.recorded, g.consumer = bytes.Clone(record), nil
	return nil
}

// replayedGroup is group without the limit: what was recorded is there.
func (c *Coordinator) replayedGroup(name string) *group {
	g := c.groups[name]
	if g == nil {
		g = newGroup(name)
		c.groups[name] = g
		heap.Push(&c.timers, g)
	}
	return g
}

func (c *Coordinator) replayOffsets(d *fields.Decoder, producerID *int64) error {
	name, millis := d.String(), d.Int()
	read := make(map[Partition]offset)
	for range d.Count(1) {
		p := Partition{Topic: d.ID(), Index: int32(d.Int())}
		read[p] = offset{at: d.Int(), leaderEpoch: int32(d.Int()), metadata: d.String(), committed: millis}
	}
	if err := d.End(); err != nil {
		return err
	}
	c.lastSeq++
	target := c.replayedGroup(name).offsets
	if producerID != nil {
		target = c.stagedOffsets(*producerID, name)
	}
	for p, o := range read {
		o.seq = c.lastSeq
		target[p] = o
	}
	return nil
}

func (c *Coordinator) stagedOffsets(producerID int64, name string) map[Partition]offset {
	groups := c.staged[producerID]
	if groups == nil {
		groups = make(map[string]map[Partition]offset)
		c.staged[producerID] = groups
	}
	if groups[name] == nil {
		groups[name] = make(map[Partition]offset)
	}
	return groups[name]
}

// replayEnd applies or drops what a transaction has staged (G4).
func (c *Coordinator) replayEnd(producerID int64, commit bool) {
	if commit {
		for name, staged := range c.staged[producerID] {
			committed := c.replayedGroup(name).offsets
			for p, o := range staged {
				if committed[p].seq < o.seq {
					committed[p] = o
				}
			}
		}
	}
	delete(c.staged, producerID)
}

func (c *Coordinator) replayForget(id TopicID) {
	of := func(p Partition, _ offset) bool { return p.Topic == id }
	for _, g := range c.groups {
		maps.DeleteFunc(g.offsets, of)
	}
	for producerID, groups := range c.staged {
		for name, m := range groups {
			maps.DeleteFunc(m, of)
			if len(m) == 0 {
				delete(groups, name)
			}
		}
		if len(groups) == 0 {
			delete(c.staged, producerID)
		}
	}
}

// Snapshot emits records that rebuild the state: the last recorded generation of each group by name (G2), or what a KIP-848 group has, then all offsets in the order in which they were
// made, so that G4 holds for them again.
func (c *Coordinator) Snapshot(emit func(record []byte) error) error {
	type change struct {
		seq        uint64
		group      string
		producerID *int64
		millis     int64
		offset     Offset
	}
	var changes []change
	collect := func(group string, producerID *int64, m map[Partition]offset) {
		for p, o := range m {
			changes = append(changes, change{o.seq, group, producerID, o.committed, Offset{p, o.at, o.leaderEpoch, o.metadata}})
		}
	}
	for _, name := range sortedKeys(c.groups) {
		g := c.groups[name]
		if g.consumer != nil {
			if err := g.consumer.snapshot(name, emit); err != nil {
				return err
			}
		} else if g.recorded != nil {
			if err := emit(g.recorded); err != nil {
				return err
			}
		}
		collect(name, nil, g.offsets)
	}
	for producerID, groups := range c.staged {
		for name, m := range groups {
			collect(name, &producerID, m)
		}
	}
	slices.SortFunc(changes, func(a, b change) int {
		return cmp.Or(cmp.Compare(a.seq, b.seq), cmp.Compare(a.group, b.group), comparePartitions(a.offset.Partition, b.offset.Partition))
	})
	for _, ch := range changes {
		if err := emit(encodeOffsets(ch.producerID, ch.group, ch.millis, []Offset{ch.offset})); err != nil {
			return err
		}
	}
	return nil
}
