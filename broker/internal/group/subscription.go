package group

import (
	"encoding/binary"
	"slices"
)

// The consumer protocol: what members of protocol type "consumer" tell their leader, and it them. To a classic group these are opaque
// bytes; where members of both protocols meet, the coordinator has to read and write them. See Kafka's ConsumerProtocolSubscription.json
// and ConsumerProtocolAssignment.json.

const (
	// consumerProtocol is the protocol type whose subscriptions can be read.
	consumerProtocol = "consumer"
	// maxAssignmentVersion is the highest version of an assignment. All have the same layout.
	maxAssignmentVersion = 3
)

// namedPartitions are partitions of one topic, by its name.
type namedPartitions struct {
	topic      string
	partitions []int32
}

// subscription is what a member asks for.
type subscription struct {
	version int16
	topics  []string
	owned   []namedPartitions // what it has at this moment; before version 1: nothing
	rack    string
}

// decodeSubscription reads a subscription. Of a version that is not known it reads what version 3 has.
func decodeSubscription(b []byte) (s subscription, ok bool) {
	r := protocolReader{b: b}
	s.version, s.topics = int16(r.uint16()), r.names()
	r.bytes() // user data: for the assignor of the leader
	if s.version >= 1 {
		s.owned = r.partitions()
	}
	if s.version >= 2 {
		r.uint32() // the generation of what it owns
	}
	if s.version >= 3 {
		s.rack = string(r.short())
	}
	return s, !r.bad && s.version >= 0
}

// subscribesTo reads the topics of a subscription, which come first, whatever follows. ok is false if that is not what it is.
func subscribesTo(metadata []byte, topic string) (named, ok bool) {
	r := protocolReader{b: metadata}
	r.uint16()
	topics := r.names()
	return slices.Contains(topics, topic), !r.bad
}

// decodeAssignment reads an assignment. custom says that there is something in it for a client's own assignor.
func decodeAssignment(b []byte) (assigned []namedPartitions, custom, ok bool) {
	r := protocolReader{b: b}
	version := int16(r.uint16())
	assigned = r.partitions()
	userData := r.bytes()
	return assigned, len(userData) > 0, !r.bad && version >= 0
}

// encodeAssignment writes an assignment for a member whose subscription has that version, with null for the user data.
func encodeAssignment(version int16, assigned []namedPartitions) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(min(max(version, 0), maxAssignmentVersion)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(assigned)))
	for _, t := range assigned {
		b = binary.BigEndian.AppendUint16(b, uint16(len(t.topic)))
		b = append(b, t.topic...)
		b = binary.BigEndian.AppendUint32(b, uint32(len(t.partitions)))
		for _, p := range t.partitions {
			b = binary.BigEndian.AppendUint32(b, uint32(p))
		}
	}
	return binary.BigEndian.AppendUint32(b, ^uint32(0))
}

// protocolReader reads what a client sent. It allocates in proportion to the bytes that are there; bad is set once there are too few.
type protocolReader struct {
	b   []byte
	bad bool
}

func (r *protocolReader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.b, r.bad = nil, true
		return nil
	}
	taken := r.b[:n]
	r.b = r.b[n:]
	return taken
}

func (r *protocolReader) uint16() uint16 {
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *protocolReader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// count reads the length of an array whose elements take at least size bytes each. Null is an empty one.
func (r *protocolReader) count(size int) int {
	n := int(int32(r.uint32()))
	if n > len(r.b)/size {
		r.b, r.bad = nil, true
		return 0
	}
	return max(n, 0)
}

// short reads a string, which may be null.
func (r *protocolReader) short() []byte {
	if n := int16(r.uint16()); n >= 0 {
		return r.take(int(n))
	}
	return nil
}

// bytes reads bytes, which may be null.
func (r *protocolReader) bytes() []byte {
	if n := int32(r.uint32()); n >= 0 {
		return r.take(int(n))
	}
	return nil
}

func (r *protocolReader) names() (all []string) {
	for range r.count(2) {
		all = append(all, string(r.short()))
	}
	return all
}

func (r *protocolReader) partitions() (all []namedPartitions) {
	for range r.count(6) {
		t := namedPartitions{topic: string(r.short())}
		for range r.count(4) {
			t.partitions = append(t.partitions, int32(r.uint32()))
		}
		all = append(all, t)
	}
	return all
}

// partitionsOf returns those partitions that there are, sorted.
func partitionsOf(named []namedPartitions, topics Topics) (all []Partition) {
	for _, t := range named {
		id, count, ok := topics.Topic(t.topic)
		if !ok {
			continue
		}
		for _, p := range t.partitions {
			if p >= 0 && p < count {
				all = append(all, Partition{id, p})
			}
		}
	}
	slices.SortFunc(all, comparePartitions)
	return slices.Compact(all)
}

// namesOf returns sorted partitions by the names of their topics. Those of a topic that is gone are left out.
func namesOf(all []Partition, topics Topics) (named []namedPartitions) {
	for i, p := range all {
		if i == 0 || all[i-1].Topic != p.Topic {
			name, ok := topics.Name(p.Topic)
			if !ok {
				name = ""
			}
			named = append(named, namedPartitions{topic: name})
		}
		last := &named[len(named)-1]
		last.partitions = append(last.partitions, p.Index)
	}
	return slices.DeleteFunc(named, func(t namedPartitions) bool { return t.topic == "" })
}
