package group

import (
	"encoding/binary"
	"errors"
	"time"
)

// A record is one byte of kind and its fields: integers as zigzag varints, strings and bytes with their length before
// them, topic ids as 16 bytes.
const (
	recordGeneration    byte = 1 // version, then a group's present generation, whole
	recordOffsets       byte = 2 // group, offsets, time: committed
	recordStaged        byte = 3 // producer id, then as recordOffsets: of an open transaction
	recordEnd           byte = 4 // producer id, 1 for commit or 0: the end of a transaction
	recordForget        byte = 5 // topic id: its offsets are void
	recordDelete        byte = 6 // group: it is gone, with its offsets
	recordDeleteOffsets byte = 7 // group, partitions: their offsets are gone

	generationVersion = 1
)

var errRecord = errors.New("damaged group record")

// record encodes the present generation. PreparingRebalance is never recorded (G2).
func (g *group) record() []byte {
	b := []byte{recordGeneration, generationVersion}
	b = appendString(b, g.name)
	b = append(b, byte(g.state))
	b = binary.AppendVarint(b, int64(g.generation))
	b = appendString(b, g.protocolType)
	b = appendString(b, g.protocol)
	b = appendString(b, g.leader)
	members := g.ordered()
	b = binary.AppendVarint(b, int64(len(members)))
	for _, m := range members {
		for _, s := range []string{m.id, m.instance, m.clientID, m.host} {
			b = appendString(b, s)
		}
		b = binary.AppendVarint(b, m.session.Milliseconds())
		b = binary.AppendVarint(b, m.rebalance.Milliseconds())
		b = binary.AppendVarint(b, int64(m.order))
		b = appendString(b, string(m.assignment))
		b = binary.AppendVarint(b, int64(len(m.protocols)))
		for _, p := range m.protocols {
			b = appendString(b, p.Name)
			b = appendString(b, string(p.Metadata))
		}
	}
	return b
}

// decodeGeneration reads a record, without kind, into a new group.
func decodeGeneration(d *decoder) *group {
	if d.byte() != generationVersion {
		d.bad = true
		return nil
	}
	g := newGroup(d.string())
	g.state = State(d.byte())
	g.generation = int32(d.int())
	g.protocolType, g.protocol, g.leader = d.string(), d.string(), d.string()
	for range d.count() {
		m := &member{id: d.string(), instance: d.string(), clientID: d.string(), host: d.string()}
		m.session = time.Duration(d.int()) * time.Millisecond
		m.rebalance = time.Duration(d.int()) * time.Millisecond
		m.order = int(d.int())
		m.assignment = d.bytes()
		for range d.count() {
			m.protocols = append(m.protocols, Protocol{Name: d.string(), Metadata: d.bytes()})
		}
		g.members[m.id] = m
		if m.instance != "" {
			g.instances[m.instance] = m.id
		}
		g.lastOrder = max(g.lastOrder, m.order)
	}
	if g.state > Stable || g.state == PreparingRebalance || (len(g.members) > 0) != (g.members[g.leader] != nil) {
		d.bad = true
	}
	return g
}

// encodeOffsets encodes committed offsets, or staged ones if producerID is set.
func encodeOffsets(producerID *int64, group string, millis int64, offsets []Offset) []byte {
	b := []byte{recordOffsets}
	if producerID != nil {
		b = binary.AppendVarint([]byte{recordStaged}, *producerID)
	}
	b = appendString(b, group)
	b = binary.AppendVarint(b, millis)
	b = binary.AppendVarint(b, int64(len(offsets)))
	for _, o := range offsets {
		b = append(b, o.Topic[:]...)
		b = binary.AppendVarint(b, int64(o.Index))
		b = binary.AppendVarint(b, o.At)
		b = binary.AppendVarint(b, int64(o.LeaderEpoch))
		b = appendString(b, o.Metadata)
	}
	return b
}

func encodeEnd(producerID int64, commit bool) []byte {
	b := binary.AppendVarint([]byte{recordEnd}, producerID)
	if commit {
		return append(b, 1)
	}
	return append(b, 0)
}

func encodeForget(id TopicID) []byte { return append([]byte{recordForget}, id[:]...) }

func appendString(b []byte, s string) []byte {
	return append(binary.AppendVarint(b, int64(len(s))), s...)
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

// count reads a number of elements; each takes at least one byte, so that loops are bounded by the input.
func (d *decoder) count() int64 {
	n := d.int()
	if d.bad || n < 0 || n > int64(len(d.src)) {
		d.bad = true
		return 0
	}
	return n
}

func (d *decoder) string() string { return string(d.take(d.int())) }

// bytes returns a copy, nil if empty.
func (d *decoder) bytes() []byte { return append([]byte(nil), d.take(d.int())...) }

func (d *decoder) topic() (id TopicID) {
	copy(id[:], d.take(int64(len(id))))
	return id
}

// end reports whether the record was read whole and sound.
func (d *decoder) end() error {
	if d.bad || len(d.src) != 0 {
		return errRecord
	}
	return nil
}
