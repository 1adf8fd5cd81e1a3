package group

import (
	"maps"
	"slices"
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

func (s *scriptTopics) Matching(match func(string) bool) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(s.partitions)), func(name string) bool { return !match(name) })
}

// consumerCommand runs a command of KIP-848 groups:
//
//	topic t n=3                    makes a topic, or gives it so many partitions; n=0 deletes it
//	beat g id=m epoch=0 names=t    a heartbeat; names, pattern, assignor, instance, timeout and owned are told if they are given
//	describe g
//	admin g id=m instance=i        LeaveGroup
func (s *script) consumerCommand(command string, a args) {
	switch command {
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
			s.printf("  %s in epoch %d has %v of %v", m.ID, m.Epoch, names(m.Assigned), names(m.Target))
		}
	case "admin":
		e, results, err := s.c.Leave(s.now, a.word(0), []LeaveMember{{MemberID: a.named["id"], InstanceID: a.named["instance"]}})
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
