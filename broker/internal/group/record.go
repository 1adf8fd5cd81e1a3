package group

import (
	"encoding/binary"
	"time"

	"github.com/millrace-io/millrace/broker/internal/fields"
)

// The kinds of record, and their fields, encoded as package fields says.
const (
	recordGeneration    byte = 1 // version, then a group's present generation, whole
	recordOffsets       byte = 2 // group, offsets, time: committed
	recordStaged        byte = 3 // producer id, then as recordOffsets: of an open transaction
	recordEnd           byte = 4 // producer id, 1 for commit or 0: the end of a transaction
	recordForget        byte = 5 // topic id: its offsets are void
	recordDelete        byte = 6 // group: it is gone, with its offsets
	recordDeleteOffsets byte = 7 // group, partitions: their offsets are gone

	// Of KIP-848 groups. Those with a version have it first.
	recordConsumerGroup  byte = 8  // version, group, epoch, digest of the topics: it is one, or its epoch was raised
	recordConsumerMember byte = 9  // version, group, member, whole
	recordConsumerTarget byte = 10 // version, group, epoch, what all members are to have
	recordConsumerGone   byte = 11 // group, member id: it is no member any more
	recordConsumerEnd    byte = 12 // group: it is a classic one from now on

	generationVersion = 2 // 1 does not say since when a group has been empty
)

// record encodes the present generation. PreparingRebalance is recorded by a downgrade only (G2).
func (g *group) record() []byte {
	b := []byte{recordGeneration, generationVersion}
	b = fields.AppendString(b, g.name)
	b = append(b, byte(g.state))
	b = binary.AppendVarint(b, int64(g.generation))
	b = fields.AppendString(b, g.protocolType)
	b = fields.AppendString(b, g.protocol)
	b = fields.AppendString(b, g.leader)
	b = binary.AppendVarint(b, g.emptySince)
	members := g.ordered()
	b = binary.AppendVarint(b, int64(len(members)))
	for _, m := range members {
		for _, s := range []string{m.id, m.instance, m.clientID, m.host} {
			b = fields.AppendString(b, s)
		}
		b = binary.AppendVarint(b, m.session.Milliseconds())
		b = binary.AppendVarint(b, m.rebalance.Milliseconds())
		b = binary.AppendVarint(b, int64(m.order))
		b = fields.AppendString(b, string(m.assignment))
		b = binary.AppendVarint(b, int64(len(m.protocols)))
		for _, p := range m.protocols {
			b = fields.AppendString(b, p.Name)
			b = fields.AppendString(b, string(p.Metadata))
		}
	}
	return b
}

// decodeGeneration reads a record, without kind, into a new group.
func decodeGeneration(d *fields.Decoder) *group {
	version := d.Byte()
	if version < 1 || version > generationVersion {
		d.Fail()
		return nil
	}
	g := newGroup(d.String())
	g.state = State(d.Byte())
	g.generation = int32(d.Int())
	g.protocolType, g.protocol, g.leader = d.String(), d.String(), d.String()
	if version >= 2 {
		g.emptySince = d.Int()
	}
	for range d.Count(1) {
		m := &member{id: d.String(), instance: d.String(), clientID: d.String(), host: d.String()}
		m.session = time.Duration(d.Int()) * time.Millisecond
		m.rebalance = time.Duration(d.Int()) * time.Millisecond
		m.order = int(d.Int())
		m.assignment = d.Bytes()
		for range d.Count(1) {
			m.protocols = append(m.protocols, Protocol{Name: d.String(), Metadata: d.Bytes()})
		}
		g.members[m.id] = m
		if m.instance != "" {
			g.instances[m.instance] = m.id
		}
		g.lastOrder = max(g.lastOrder, m.order)
	}
	if g.state > Stable || g.state == PreparingRebalance && len(g.members) == 0 || (len(g.members) > 0) != (g.members[g.leader] != nil) {
		d.Fail()
	}
	return g
}

// encodeOffsets encodes committed offsets, or staged ones if producerID is set.
func encodeOffsets(producerID *int64, group string, millis int64, offsets []Offset) []byte {
	b := []byte{recordOffsets}
	if producerID != nil {
		b = binary.AppendVarint([]byte{recordStaged}, *producerID)
	}
	b = fields.AppendString(b, group)
	b = binary.AppendVarint(b, millis)
	b = binary.AppendVarint(b, int64(len(offsets)))
	for _, o := range offsets {
		b = append(b, o.Topic[:]...)
		b = binary.AppendVarint(b, int64(o.Index))
		b = binary.AppendVarint(b, o.At)
		b = binary.AppendVarint(b, int64(o.LeaderEpoch))
		b = fields.AppendString(b, o.Metadata)
	}
	return b
}

func encodeEnd(producerID int64, commit bool) []byte {
	return fields.AppendBool(binary.AppendVarint([]byte{recordEnd}, producerID), commit)
}

func encodeForget(id TopicID) []byte { return append([]byte{recordForget}, id[:]...) }
