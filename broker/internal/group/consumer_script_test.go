package group

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// scriptTopics are the topics of a script.
type scriptTopics struct {
	version    uint64
	partitions map[string]int32
}

func (s *scriptTopics) Version() uint64 { return s.version }

func (s *scriptTopics) Topic(name string) (TopicID, int32, bool) {
	n, ok := s.partitions[name]
	return topicNamed(name), n, ok
}

func (s *scriptTopics) Name(id TopicID) (string, bool) {
	name := string(bytes.TrimRight(id[:], "\x00"))
	_, ok := s.partitions[name]
	return name, ok
}

func (s *scriptTopics) Matching(match func(string) bool) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(s.partitions)), func(name string) bool { return !match(name) })
}

// consumerCommand runs a command of KIP-848 groups:
//
//	topic t n=3                    makes a topic, or gives it so many partitions; n=0 deletes it
//	beat g id=m epoch=0 names=t    a heartbeat; names, pattern, assignor, instance, timeout and owned are told if they are given
//	describe g
//	policy upgrade                 the migration policy: both, upgrade, downgrade or none
//	admin g id=m instance=i        LeaveGroup
func (s *script) consumerCommand(command string, a args) {
	switch command {
	case "policy":
		s.c.config.Migration = map[string]Migration{"both": Bidirectional, "upgrade": UpgradeOnly, "downgrade": DowngradeOnly, "none": NoMigration}[a.word(0)]
	case "topic":
		s.topics.version++
		if s.topics.partitions[a.word(0)] = int32(a.int("n", 0)); a.int("n", 0) == 0 {
			delete(s.topics.partitions, a.word(0))
		}
	case "beat":
		e, res := s.c.ConsumerHeartbeat(s.now, &s.topics, beatRequest(a))
		s.perform(e)
		switch {
		case res.Err != nil:
			s.printf("%s: %s", errName(res.Err), res.Message)
		case res.Tell:
			s.printf("%s is in epoch %d, has %v", res.MemberID, res.MemberEpoch, names(res.Assigned))
		default:
			s.printf("%s is in epoch %d", res.MemberID, res.MemberEpoch)
		}
	case "describe":
		d, ok := s.c.DescribeConsumer(a.word(0))
		if !ok {
			s.printf("no such group")
			return
		}
		s.printf("%s %s, epoch %d, target of %d, %s", d.Name, d.State, d.Epoch, d.TargetEpoch, d.Assignor)
		for _, m := range d.Members {
			classic := ""
			if m.Type == Classic {
				classic = ", classic"
			}
			s.printf("  %s in epoch %d has %v of %v%s", m.ID, m.Epoch, names(m.Assigned), names(m.Target), classic)
		}
	case "admin":
		e, results, err := s.c.Leave(s.now, &s.topics, a.word(0), []LeaveMember{{MemberID: a.named["id"], InstanceID: a.named["instance"]}})
		if err != nil {
			results = append(results, err)
		}
		s.perform(e)
		s.printf("%s", errName(results[0]))
	}
}

func beatRequest(a args) ConsumerHeartbeatRequest {
	r := ConsumerHeartbeatRequest{
		Group: a.word(0), MemberID: a.named["id"], NewMemberID: a.named["new"], MemberEpoch: int32(a.int("epoch", 0)),
		ClientID: "client", Host: "/host", May: func(topic string) bool { return topic != "secret" },
	}
	text := func(name string) *string {
		if v, ok := a.named[name]; ok {
			return &v
		}
		return nil
	}
	r.InstanceID, r.Rack, r.Pattern, r.Assignor = text("instance"), text("rack"), text("pattern"), text("assignor")
	if v, ok := a.named["names"]; ok {
		r.Names = strings.FieldsFunc(v, func(r rune) bool { return r == ',' })
	}
	if v, ok := a.named["owned"]; ok || r.MemberEpoch == joinEpoch {
		r.OwnedKnown = true
		for _, p := range strings.FieldsFunc(v, func(r rune) bool { return r == ',' }) {
			r.Owned = append(r.Owned, partitionNamed(p))
		}
	}
	if d := a.duration("timeout", -1); d >= 0 {
		r.RebalanceTimeout = &d
	} else if d = time.Minute; r.MemberEpoch == joinEpoch {
		r.RebalanceTimeout = &d
	}
	return r
}

func names(all []Partition) []string {
	out := []string{}
	for _, p := range all {
		out = append(out, p.name())
	}
	return out
}

// consumerSubscription is the metadata that join g topics=t,u owned=t/0 v=3 rack=r has.
func consumerSubscription(a args) []byte {
	version := a.int("v", 3)
	b := binary.BigEndian.AppendUint16(nil, uint16(version))
	topics := strings.FieldsFunc(a.named["topics"], func(r rune) bool { return r == ',' })
	b = binary.BigEndian.AppendUint32(b, uint32(len(topics)))
	for _, name := range topics {
		b = appendShort(b, name)
	}
	b = binary.BigEndian.AppendUint32(b, ^uint32(0)) // user data
	if version >= 1 {
		assignment := encodeAssignment(0, namedSet(a.named["owned"], ","))
		b = append(b, assignment[2:len(assignment)-4]...) // without version and user data
	}
	if version >= 2 {
		b = binary.BigEndian.AppendUint32(b, 1)
	}
	if version >= 3 {
		b = appendShort(b, a.named["rack"])
	}
	return b
}

func appendShort(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// namedSet returns partitions like t/0, which are in order, by their topics.
func namedSet(list, separator string) (all []namedPartitions) {
	for _, p := range strings.FieldsFunc(list, func(r rune) bool { return string(r) == separator }) {
		topic, index, _ := strings.Cut(p, "/")
		n, _ := strconv.Atoi(index)
		if len(all) == 0 || all[len(all)-1].topic != topic {
			all = append(all, namedPartitions{topic: topic})
		}
		last := &all[len(all)-1]
		last.partitions = append(last.partitions, int32(n))
	}
	return all
}

// consumerAssignments adds what sync g give=a:t/0+t/1,b: says, and custom=a: somebody's user data.
func (s *script) consumerAssignments(a args, to map[string][]byte) {
	for id, partitions := range pairs(a.named["give"]) {
		to[id] = encodeAssignment(3, namedSet(partitions, "+"))
		if a.named["custom"] == id {
			to[id] = append(to[id][:len(to[id])-4], 0, 0, 0, 1, 7)
		}
	}
}

func readable(metadata []byte) string {
	if s, ok := decodeSubscription(metadata); ok {
		return fmt.Sprint(s.topics)
	}
	return string(metadata)
}

func readableAssignment(b []byte) string {
	assigned, _, ok := decodeAssignment(b)
	if !ok {
		return fmt.Sprintf("%q", b)
	}
	out := []string{}
	for _, t := range assigned {
		for _, p := range t.partitions {
			out = append(out, fmt.Sprintf("%s/%d", t.topic, p))
		}
	}
	return fmt.Sprint(out)
}

// printConsumerRecord says what a record of a KIP-848 group is about.
func (s *script) printConsumerRecord(record []byte) {
	if record[0] < recordConsumerGroup {
		return
	}
	it, err := Describe(record)
	if err != nil {
		s.t.Fatal(err)
	}
	value := func(name string) any {
		for _, f := range it.Fields {
			if f.Name == name {
				return f.Value
			}
		}
		return nil
	}
	switch record[0] {
	case recordConsumerGroup, recordConsumerTarget:
		s.printf("record: %s, epoch %v", it.Kind, value("epoch"))
	case recordConsumerMember:
		s.printf("record: %s %v, epoch %v, %v", it.Kind, value("member"), value("epoch"), value("state"))
	default:
		s.printf("record: %s %v", it.Kind, value("member"))
	}
}
