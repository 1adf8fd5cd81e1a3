package group

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/millrace-io/millrace/broker/internal/fields"
	"github.com/millrace-io/millrace/broker/internal/inspect"
)

// The versions of the records of KIP-848 groups, behind their kind.
const (
	consumerVersion = 1
	memberVersion   = 2 // 1 has neither the epochs of partitions nor members of the classic protocol
)

// record encodes all of the group but members and target.
func (k *consumerGroup) record(name string) []byte {
	b := fields.AppendString([]byte{recordConsumerGroup, consumerVersion}, name)
	b = binary.AppendVarint(b, int64(k.epoch))
	return binary.AppendVarint(b, int64(k.topics))
}

// record encodes a member, whole.
func (m *consumerMember) record(name string) []byte {
	b := fields.AppendString([]byte{recordConsumerMember, memberVersion}, name)
	for _, s := range []string{m.id, m.instance, m.rack, m.clientID, m.host, m.assignor, m.pattern} {
		b = fields.AppendString(b, s)
	}
	b = binary.AppendVarint(b, m.rebalance.Milliseconds())
	for _, names := range [][]string{m.names, m.matched} {
		b = binary.AppendVarint(b, int64(len(names)))
		for _, s := range names {
			b = fields.AppendString(b, s)
		}
	}
	b = binary.AppendVarint(b, int64(m.epoch))
	b = binary.AppendVarint(b, int64(m.previous))
	b = append(b, byte(m.state))
	for _, all := range [][]Partition{m.assigned, m.revoking} {
		b = appendPartitions(b, all)
		for _, p := range all {
			since, known := m.since[p]
			if !known {
				since = sinceUnknown
			}
			b = binary.AppendVarint(b, int64(since))
		}
	}
	return m.classic.append(b)
}

// append encodes what a member of the classic protocol has, or that it is none.
func (x *classicProtocol) append(b []byte) []byte {
	if b = fields.AppendBool(b, x != nil); x == nil {
		return b
	}
	b = binary.AppendVarint(b, x.session.Milliseconds())
	b = binary.AppendVarint(b, int64(len(x.protocols)))
	for _, p := range x.protocols {
		b = fields.AppendString(fields.AppendString(b, p.Name), p.Metadata)
	}
	return b
}

// sinceUnknown stands in a record for the epoch of a partition that is not known.
const sinceUnknown = -1

// targetRecord encodes what all members are to have.
func (k *consumerGroup) targetRecord(name string) []byte {
	b := fields.AppendString([]byte{recordConsumerTarget, consumerVersion}, name)
	b = binary.AppendVarint(b, int64(k.targetEpoch))
	b = binary.AppendVarint(b, int64(len(k.target)))
	for _, id := range sortedKeys(k.target) {
		b = appendPartitions(fields.AppendString(b, id), k.target[id])
	}
	return b
}

func encodeConsumerGone(name, id string) []byte {
	return fields.AppendString(fields.AppendString([]byte{recordConsumerGone}, name), id)
}

func encodeConsumerEnd(name string) []byte {
	return fields.AppendString([]byte{recordConsumerEnd}, name)
}

// appendPartitions encodes a sorted set: topic by topic, each with its partitions.
func appendPartitions(b []byte, all []Partition) []byte {
	b = binary.AppendVarint(b, int64(len(all)))
	for i := 0; i < len(all); {
		n := i
		for n < len(all) && all[n].Topic == all[i].Topic {
			n++
		}
		b = append(b, all[i].Topic[:]...)
		b = binary.AppendVarint(b, int64(n-i))
		for ; i < n; i++ {
			b = binary.AppendVarint(b, int64(all[i].Index))
		}
	}
	return b
}

func decodePartitions(d *fields.Decoder) []Partition {
	var all []Partition
	for left := d.Count(1); left > 0; {
		topic, n := d.ID(), d.Int()
		if n < 1 || n > left {
			d.Fail()
			return nil
		}
		for range n {
			all = append(all, Partition{topic, int32(d.Int())})
		}
		left -= n
	}
	return all
}

func decodeNames(d *fields.Decoder) []string {
	var all []string
	for range d.Count(1) {
		all = append(all, d.String())
	}
	return all
}

func decodeConsumerMember(d *fields.Decoder) (group string, m *consumerMember) {
	version := d.Byte()
	if version < 1 || version > memberVersion {
		d.Fail()
	}
	group = d.String()
	m = &consumerMember{id: d.String(), instance: d.String(), rack: d.String(), clientID: d.String(), host: d.String(), assignor: d.String(), pattern: d.String()}
	m.rebalance = time.Duration(d.Int()) * time.Millisecond
	m.names, m.matched = decodeNames(d), decodeNames(d)
	m.epoch, m.previous, m.state = int32(d.Int()), int32(d.Int()), memberState(d.Byte())
	m.since = make(map[Partition]int32)
	for _, to := range []*[]Partition{&m.assigned, &m.revoking} {
		*to = decodePartitions(d)
		if version >= 2 {
			decodeSince(d, *to, m.since)
		}
	}
	if version >= 2 && d.Bool() {
		m.classic = decodeClassic(d)
	}
	if m.state > unreleased {
		d.Fail()
	}
	return group, m
}

func decodeSince(d *fields.Decoder, all []Partition, since map[Partition]int32) {
	for _, p := range all {
		if at := int32(d.Int()); at != sinceUnknown {
			since[p] = at
		}
	}
}

func decodeClassic(d *fields.Decoder) *classicProtocol {
	x := &classicProtocol{session: time.Duration(d.Int()) * time.Millisecond}
	for range d.Count(1) {
		x.protocols = append(x.protocols, Protocol{Name: d.String(), Metadata: d.Bytes()})
	}
	if len(x.protocols) == 0 {
		d.Fail()
	}
	return x
}

func checkConsumerVersion(d *fields.Decoder) {
	if d.Byte() != consumerVersion {
		d.Fail()
	}
}

// replayConsumer applies a record of a KIP-848 group. What is memory only stays as it is (G1).
func (c *Coordinator) replayConsumer(kind byte, d *fields.Decoder) error {
	switch kind {
	case recordConsumerGroup:
		checkConsumerVersion(d)
		name, epoch, topics := d.String(), int32(d.Int()), uint64(d.Int())
		if err := d.End(); err != nil {
			return err
		}
		k := c.replayedConsumer(name)
		k.epoch, k.topics = epoch, topics
	case recordConsumerMember:
		name, m := decodeConsumerMember(d)
		if err := d.End(); err != nil {
			return err
		}
		k := c.replayedConsumer(name)
		if now := k.members[m.id]; now != nil {
			m.deadline, m.revokeDead, m.checked, m.compiled, m.dirty = now.deadline, now.revokeDead, now.checked, now.compiled, now.dirty
			if m.classic != nil && now.classic != nil {
				m.classic.joinDead, m.classic.syncDead = now.classic.joinDead, now.classic.syncDead
			}
		}
		k.add(m)
	case recordConsumerTarget:
		return c.replayConsumerTarget(d)
	case recordConsumerGone:
		name, id := d.String(), d.String()
		if err := d.End(); err != nil {
			return err
		}
		if g := c.groups[name]; g != nil && g.consumer != nil && g.consumer.members[id] != nil {
			g.consumer.remove(g.consumer.members[id])
		}
	case recordConsumerEnd:
		name := d.String()
		if err := d.End(); err != nil {
			return err
		}
		c.replayedGroup(name).consumer = nil
	}
	return nil
}

func (c *Coordinator) replayConsumerTarget(d *fields.Decoder) error {
	checkConsumerVersion(d)
	name, epoch := d.String(), int32(d.Int())
	target := make(map[string][]Partition)
	for range d.Count(1) {
		id := d.String()
		target[id] = decodePartitions(d)
	}
	if err := d.End(); err != nil {
		return err
	}
	k := c.replayedConsumer(name)
	k.targetEpoch, k.target = epoch, target
	return nil
}

// replayedConsumer returns the KIP-848 group of a name. What was recorded is there.
func (c *Coordinator) replayedConsumer(name string) *consumerGroup {
	g := c.replayedGroup(name)
	if g.consumer == nil {
		g.becomeConsumer(newConsumerGroup())
	}
	return g.consumer
}

// snapshot emits the records that rebuild a KIP-848 group.
func (k *consumerGroup) snapshot(name string, emit func([]byte) error) error {
	if err := emit(k.record(name)); err != nil {
		return err
	}
	for _, id := range sortedKeys(k.members) {
		if err := emit(k.members[id].record(name)); err != nil {
			return err
		}
	}
	return emit(k.targetRecord(name))
}

// describeConsumer says what a record of a KIP-848 group means.
func describeConsumer(kind byte, d *fields.Decoder) inspect.Item {
	switch kind {
	case recordConsumerGroup:
		checkConsumerVersion(d)
		return inspect.New("group.consumer", "group", d.String(), "epoch", d.Int(), "topics", fmt.Sprintf("%016x", uint64(d.Int())))
	case recordConsumerMember:
		name, m := decodeConsumerMember(d)
		if d.End() != nil {
			return inspect.Item{}
		}
		return inspect.New("group.consumerMember", "group", name, "member", m.id, "instance", m.instance, "client", m.clientID, "host", m.host,
			"epoch", m.epoch, "state", m.state.String(), "subscribed", m.names, "pattern", m.pattern,
			"assigned", partitionNames(m.assigned), "revoking", partitionNames(m.revoking), "protocol", m.protocolName())
	case recordConsumerTarget:
		checkConsumerVersion(d)
		it := inspect.New("group.consumerTarget", "group", d.String(), "epoch", d.Int())
		for range d.Count(1) {
			id := d.String()
			it.Add(id, partitionNames(decodePartitions(d)))
		}
		return it
	case recordConsumerGone:
		return inspect.New("group.consumerGone", "group", d.String(), "member", d.String())
	default:
		return inspect.New("group.consumerEnd", "group", d.String())
	}
}

func partitionNames(all []Partition) []string {
	names := make([]string, 0, len(all))
	for _, p := range all {
		names = append(names, fmt.Sprintf("%s-%d", inspect.ID(p.Topic), p.Index))
	}
	return names
}
