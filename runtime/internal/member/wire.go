package member

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/millrace-io/millrace/runtime/internal/assign"
	"github.com/millrace-io/millrace/runtime/internal/client"
)

// Versions that are written. Later versions of our user data only append fields, and what follows the known ones is read over: so
// members of all versions read each other. The leader writes assignments in the lowest version of all members, and uses nothing that
// some of them do not know (version probing, R-51).
const (
	subscriptionVersion = 3 // ConsumerProtocolSubscription
	assignmentVersion   = 3 // ConsumerProtocolAssignment

	userDataFirst   = 1
	userDataVersion = 2 // lags, tags, endpoint; standbys, warm-ups, hosts
)

// subscription is what a member says of itself when it joins.
type subscription struct {
	topics     []string
	partitions []client.TopicPartition // those of owned tasks, for the tools
	generation int32                   // in which it was given what it owns, -1 if nothing
	rack       string                  // empty: not known, as of members of versions before this was written
	user       userData
}

// userData is our part of a subscription:
//
//	byte     version
//	bytes    instance id
//	uvarint  capacity
//	8 bytes  fingerprint of the topology, big endian
//	tasks    owned
//	tasks    previous
//	         version 2:
//	         for each previous task: uvarint 0 if its lag is not known, else 1 + lag
//	tags     where the instance is
//	bytes    endpoint, host:port, for queries
//	         may be missing:
//	uvarint  flags: 1 if all members are to stop
//
// bytes is a uvarint length and as many bytes; tasks is a uvarint count and, for each, uvarint sub-topology and partition;
// tags is a uvarint count and, for each, bytes key and value, by key.
type userData struct {
	version     byte // as read
	instanceID  string
	capacity    int
	fingerprint uint64
	owned       []assign.Task
	previous    []assign.Task
	lags        map[assign.Task]int64 // of previous tasks
	tags        map[string]string
	endpoint    string
	stop        bool // the member wants the application to stop
}

// assignment is what the leader tells a member. Its user data is a version byte and the tasks; from version 2 on the standby tasks,
// the warm-up tasks, and a uvarint count of hosts, for each of which bytes endpoint, tasks that it runs, tasks that it keeps copies of.
// Behind that there may be a uvarint of flags: 1 if the application is to stop. Who does not know of flags reads over them.
type assignment struct {
	partitions []client.TopicPartition
	tasks      []assign.Task
	stop       bool
	copies
}

// copies are what version 2 of an assignment adds.
type copies struct {
	standby []assign.Task
	warmup  []assign.Task
	hosts   []Host
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
	if s.rack == "" {
		return binary.BigEndian.AppendUint16(b, 0xffff)
	}
	return appendString(b, s.rack)
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
	if version >= 3 {
		s.rack = r.nullableString()
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
	b := appendText([]byte{userDataVersion}, u.instanceID)
	b = binary.AppendUvarint(b, uint64(max(0, u.capacity)))
	b = binary.BigEndian.AppendUint64(b, u.fingerprint)
	b = appendTasks(b, u.owned)
	b = appendTasks(b, u.previous)
	for _, t := range u.previous {
		if lag, known := u.lags[t]; known && lag >= 0 {
			b = binary.AppendUvarint(b, 1+uint64(lag))
		} else {
			b = append(b, 0)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(u.tags)))
	for _, k := range slices.Sorted(maps.Keys(u.tags)) {
		b = appendText(appendText(b, k), u.tags[k])
	}
	return appendFlags(appendText(b, u.endpoint), u.stop)
}

// flagStop says that all members are to stop.
const flagStop = 1

// appendFlags leaves out what says nothing.
func appendFlags(b []byte, stop bool) []byte {
	if !stop {
		return b
	}
	return binary.AppendUvarint(b, flagStop)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func decodeUserData(src []byte) (userData, error) {
	r := reader{src: src}
	version := r.byte()
	if r.err == nil && version < userDataFirst {
		return userData{}, fmt.Errorf("user data has version %d", version)
	}
	u := userData{
		version:     version,
		instanceID:  r.text(),
		capacity:    int(min(r.uvarint(), 1<<20)),
		fingerprint: r.uint64(),
		owned:       r.tasks(),
		previous:    r.tasks(),
	}
	if version >= 2 {
		for _, t := range u.previous {
			if lag := r.uvarint(); lag > 0 {
				if u.lags == nil {
					u.lags = make(map[assign.Task]int64)
				}
				u.lags[t] = int64(min(lag-1, math.MaxInt64))
			}
		}
		u.tags, u.endpoint = r.tags(), r.text()
		u.stop = r.flags()&flagStop != 0
	}
	if r.err != nil {
		return userData{}, fmt.Errorf("user data: %w", r.err)
	}
	return u, nil
}

// encode writes the assignment with user data of a version.
func (a *assignment) encode(version byte) []byte {
	var b []byte
	b = binary.BigEndian.AppendUint16(b, assignmentVersion)
	b = appendPartitions(b, a.partitions)
	user := appendTasks([]byte{version}, a.tasks)
	if version >= 2 {
		user = appendTasks(appendTasks(user, a.standby), a.warmup)
		user = binary.AppendUvarint(user, uint64(len(a.hosts)))
		for _, h := range a.hosts {
			user = appendTasks(appendTasks(appendText(user, h.Endpoint), h.Tasks), h.Standby)
		}
		user = appendFlags(user, a.stop)
	}
	return appendBytes(b, user)
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
	if version >= 2 {
		a.standby, a.warmup, a.hosts = user.tasks(), user.tasks(), user.hosts()
		a.stop = user.flags()&flagStop != 0
	}
	if err := cmp.Or(r.err, user.err); err != nil || version < userDataFirst {
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

func (r *reader) nullableString() string {
	n := r.int16()
	if n < 0 {
		return ""
	}
	return string(r.take(int(n)))
}

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

// text reads a string after its length in a uvarint.
func (r *reader) text() string { return string(r.take(int(min(r.uvarint(), math.MaxInt32)))) }

func (r *reader) tags() map[string]string {
	n := r.uvarint()
	if n > uint64(len(r.src)/2) {
		r.take(len(r.src) + 1)
		return nil
	}
	var tags map[string]string
	for range n {
		if tags == nil {
			tags = make(map[string]string)
		}
		k := r.text()
		tags[k] = r.text()
	}
	return tags
}

// flags reads the flags, 0 where there are none.
func (r *reader) flags() uint64 {
	if len(r.src) == 0 {
		return 0
	}
	return r.uvarint()
}

func (r *reader) hosts() []Host {
	n := r.uvarint()
	if n > uint64(len(r.src)/3) {
		r.take(len(r.src) + 1)
		return nil
	}
	var hosts []Host
	for range n {
		hosts = append(hosts, Host{Endpoint: r.text(), Tasks: r.tasks(), Standby: r.tasks()})
	}
	return hosts
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
