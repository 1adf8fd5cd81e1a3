package member

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/runtime/internal/assign"
	"github.com/millrace-io/millrace/runtime/internal/client"
)

// Versions that are written. Later versions may append fields; what follows the known ones is read over.
const (
	subscriptionVersion = 3 // ConsumerProtocolSubscription
	assignmentVersion   = 3 // ConsumerProtocolAssignment
	userDataVersion     = 1
)

// subscription is what a member says of itself when it joins.
type subscription struct {
	topics     []string
	partitions []client.TopicPartition // those of owned tasks, for the tools
	generation int32                   // in which it was given what it owns, -1 if nothing
	user       userData
}

// userData is our part of a subscription:
//
//	byte     version, 1
//	bytes    instance id
//	uvarint  capacity
//	8 bytes  fingerprint of the topology, big endian
//	tasks    owned
//	tasks    previous
//
// bytes is a uvarint length and as many bytes; tasks is a uvarint count and, for each, uvarint sub-topology and partition.
type userData struct {
	instanceID  string
	capacity    int
	fingerprint uint64
	owned       []assign.Task
	previous    []assign.Task
}

// assignment is what the leader tells a member. Its user data is a version byte, 1, and the tasks.
type assignment struct {
	partitions []client.TopicPartition
	tasks      []assign.Task
}

var errShort = errors.New("shorter than what it says it holds")

func (s *subscription) encode() []byte {
	var b []byte
	b = binary.BigEndian.AppendUint16(b, subscriptionVersion)
	b = binary.BigEndian.AppendUint32(b, uint32(len(s.topics)))
	for _, t := range s.topics {
		b = appendString(b, t)
	}
	b = appendBytes(b, s.user.encode())
	b = appendPartitions(b, s.partitions)
	b = binary.BigEndian.AppendUint32(b, uint32(s.generation))
	return binary.BigEndian.AppendUint16(b, 0xffff) // no rack
}

func decodeSubscription(src []byte) (subscription, error) {
	r := reader{src: src}
	var s subscription
	version := r.int16()
	for range r.count(2) {
		s.topics = append(s.topics, r.string())
	}
	user := r.bytes()
	s.generation = -1
	if version >= 1 {
		s.partitions = r.partitions()
	}
	if version >= 2 {
		s.generation = r.int32()
	}
	if r.err != nil || version < 0 {
		return s, fmt.Errorf("subscription: %w", cmp.Or(r.err, errShort))
	}
	var err error
	if s.user, err = decodeUserData(user); err != nil {
		return s, fmt.Errorf("subscription: %w", err)
	}
	return s, nil
}

func (u *userData) encode() []byte {
	b := []byte{userDataVersion}
	b = binary.AppendUvarint(b, uint64(len(u.instanceID)))
	b = append(b, u.instanceID...)
	b = binary.AppendUvarint(b, uint64(max(0, u.capacity)))
	b = binary.BigEndian.AppendUint64(b, u.fingerprint)
	b = appendTasks(b, u.owned)
	return appendTasks(b, u.previous)
}

func decodeUserData(src []byte) (userData, error) {
	r := reader{src: src}
	if v := r.byte(); r.err == nil && v < userDataVersion {
		return userData{}, fmt.Errorf("user data has version %d", v)
	}
	u := userData{
		instanceID:  string(r.take(int(min(r.uvarint(), 1<<16)))),
		capacity:    int(min(r.uvarint(), 1<<20)),
		fingerprint: r.uint64(),
		owned:       r.tasks(),
		previous:    r.tasks(),
	}
	if r.err != nil {
		return userData{}, fmt.Errorf("user data: %w", r.err)
	}
	return u, nil
}

func (a *assignment) encode() []byte {
	var b []byte
	b = binary.BigEndian.AppendUint16(b, assignmentVersion)
	b = appendPartitions(b, a.partitions)
	return appendBytes(b, appendTasks([]byte{userDataVersion}, a.tasks))
}

// decodeAssignment reads an assignment; an empty one is that of a member to which the leader gave nothing.
func decodeAssignment(src []byte) (assignment, error) {
	if len(src) == 0 {
		return assignment{}, nil
	}
	r := reader{src: src}
	r.int16()
	a := assignment{partitions: r.partitions()}
	user := reader{src: r.bytes()}
	version := user.byte()
	a.tasks = user.tasks()
	if err := cmp.Or(r.err, user.err); err != nil || version < userDataVersion {
		return a, fmt.Errorf("assignment: %w", cmp.Or(err, errShort))
	}
	return a, nil
}

func appendString(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
	return append(b, s...)
}

func appendBytes(b, v []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(v)))
	return append(b, v...)
}

// appendPartitions writes topics with their partitions; equal sets give equal bytes.
func appendPartitions(b []byte, partitions []client.TopicPartition) []byte {
	sorted := slices.SortedFunc(slices.Values(partitions), func(x, y client.TopicPartition) int {
		return cmp.Or(cmp.Compare(x.Topic, y.Topic), cmp.Compare(x.Partition, y.Partition))
	})
	at, topics := len(b), uint32(0)
	b = append(b, 0, 0, 0, 0)
	for i := 0; i < len(sorted); topics++ {
		n := 1
		for i+n < len(sorted) && sorted[i+n].Topic == sorted[i].Topic {
			n++
		}
		b = appendString(b, sorted[i].Topic)
		b = binary.BigEndian.AppendUint32(b, uint32(n))
		for _, p := range sorted[i : i+n] {
			b = binary.BigEndian.AppendUint32(b, uint32(p.Partition))
		}
		i += n
	}
	binary.BigEndian.PutUint32(b[at:], topics)
	return b
}

func appendTasks(b []byte, tasks []assign.Task) []byte {
	b = binary.AppendUvarint(b, uint64(len(tasks)))
	for _, t := range tasks {
		b = binary.AppendUvarint(b, uint64(uint32(t.Subtopology)))
		b = binary.AppendUvarint(b, uint64(uint32(t.Partition)))
	}
	return b
}

// reader reads fields one after the other. After the first error it returns zero values. Counts are checked against the
// bytes that are left, since they come from other processes.
type reader struct {
	src []byte
	err error
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.src) {
		r.err = errShort
		r.src = nil
		return nil
	}
	b := r.src[:n]
	r.src = r.src[n:]
	return b
}

func (r *reader) fixed(n int) []byte {
	if b := r.take(n); len(b) == n {
		return b
	}
	return make([]byte, n)
}

func (r *reader) byte() byte     { return r.fixed(1)[0] }
func (r *reader) int16() int16   { return int16(binary.BigEndian.Uint16(r.fixed(2))) }
func (r *reader) int32() int32   { return int32(binary.BigEndian.Uint32(r.fixed(4))) }
func (r *reader) uint64() uint64 { return binary.BigEndian.Uint64(r.fixed(8)) }
func (r *reader) string() string { return string(r.take(int(r.int16()))) }

func (r *reader) bytes() []byte {
	n := r.int32()
	if n < 0 {
		return nil
	}
	return r.take(int(n))
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.src)
	if n <= 0 {
		r.take(len(r.src) + 1)
		return 0
	}
	r.src = r.src[n:]
	return v
}

// count reads a number of elements that take at least size bytes each. A negative one is none.
func (r *reader) count(size int) int {
	n := int(r.int32())
	if n > len(r.src)/size {
		r.take(len(r.src) + 1)
		return 0
	}
	return max(0, n)
}

func (r *reader) partitions() []client.TopicPartition {
	var ps []client.TopicPartition
	for range r.count(6) {
		topic := r.string()
		for range r.count(4) {
			ps = append(ps, client.TopicPartition{Topic: topic, Partition: r.int32()})
		}
	}
	return ps
}

func (r *reader) tasks() []assign.Task {
	n := r.uvarint()
	if n > uint64(len(r.src)/2) {
		r.take(len(r.src) + 1)
		return nil
	}
	var ts []assign.Task
	for range n {
		ts = append(ts, assign.Task{Subtopology: int32(uint32(r.uvarint())), Partition: int32(uint32(r.uvarint()))})
	}
	return ts
}
