package broker_test

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// comparedGroup asks both about one KIP-848 group.
type comparedGroup struct {
	*comparison
	name, topic string
	ids         [2][16]byte // of the topic
}

// newComparedGroup makes the topic, early: Kafka's coordinators hear of it later than those who ask for its leaders.
func newComparedGroup(c *comparison, run string) *comparedGroup {
	c.t.Helper()
	g := &comparedGroup{comparison: c, name: run + "-consumers", topic: run + "-consumed"}
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = g.topic, 4, 1
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.TimeoutMillis, req.Topics = 7, 10_000, append(req.Topics, rt)
	for side, resp := range same[*kmsg.CreateTopicsResponse](c, "create", 7, req) {
		g.ids[side] = resp.Topics[0].TopicID
	}
	awaitTopic(c, g.topic)
	for _, name := range []string{g.name, run + "-static"} {
		g.atOnce(name)
	}
	same[*kmsg.FindCoordinatorResponse](c, "coordinator", 3, &kmsg.FindCoordinatorRequest{CoordinatorKey: g.name})
	return g
}

// atOnce has Kafka make targets in the heartbeat that asks for one, and not in the background, a second later.
func (g *comparedGroup) atOnce(name string) {
	g.t.Helper()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeGroupConfig, name
	for key, value := range map[string]string{"consumer.assignment.interval.ms": "0", "consumer.assignor.offload.enable": "false"} {
		r.Configs = append(r.Configs, kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: key, Value: &value})
	}
	req.Resources = append(req.Resources, r)
	if resp := ask[*kmsg.IncrementalAlterConfigsResponse](g.t, g.conns[kafkas], 1, req); resp.Resources[0].ErrorCode != 0 {
		g.t.Logf("Kafka's group %s is as it is: %v", name, kerr.ErrorForCode(resp.Resources[0].ErrorCode)) // before 4.2 it has no such configs, and no need
	}
}

// beat sends a heartbeat. Epoch 0 joins, with the topic as its subscription.
func (g *comparedGroup) beat(what, member string, epoch int32, changes ...func(side int, r *kmsg.ConsumerGroupHeartbeatRequest)) [2]*kmsg.ConsumerGroupHeartbeatResponse {
	g.t.Helper()
	return g.beatAt(1, what, member, epoch, changes...)
}

func (g *comparedGroup) beatAt(version int16, what, member string, epoch int32, changes ...func(side int, r *kmsg.ConsumerGroupHeartbeatRequest)) [2]*kmsg.ConsumerGroupHeartbeatResponse {
	g.t.Helper()
	return both[*kmsg.ConsumerGroupHeartbeatResponse](g.comparison, what, version, func(side int) kmsg.Request {
		req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
		req.Group, req.MemberID, req.MemberEpoch = g.name, member, epoch
		if epoch == 0 {
			req.RebalanceTimeoutMillis, req.Topics, req.SubscribedTopicNames = 60_000, []kmsg.ConsumerGroupHeartbeatRequestTopic{}, []string{g.topic}
		}
		for _, change := range changes {
			change(side, req)
		}
		return req
	})
}

// owns says which partitions the member has.
func (g *comparedGroup) owns(partitions ...int32) func(int, *kmsg.ConsumerGroupHeartbeatRequest) {
	return func(side int, r *kmsg.ConsumerGroupHeartbeatRequest) {
		r.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
		if len(partitions) > 0 {
			r.Topics = append(r.Topics, kmsg.ConsumerGroupHeartbeatRequestTopic{TopicID: g.ids[side], Partitions: partitions})
		}
	}
}

// ownsAssigned says that the member has what an answer has given it.
func (g *comparedGroup) ownsAssigned(of [2]*kmsg.ConsumerGroupHeartbeatResponse) func(int, *kmsg.ConsumerGroupHeartbeatRequest) {
	return func(side int, r *kmsg.ConsumerGroupHeartbeatRequest) {
		r.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
		if a := of[side].Assignment; a != nil {
			for _, t := range a.Topics {
				r.Topics = append(r.Topics, kmsg.ConsumerGroupHeartbeatRequestTopic{TopicID: t.TopicID, Partitions: t.Partitions})
			}
		}
	}
}

func (g *comparedGroup) describe(what string) {
	g.t.Helper()
	for version := range int16(2) {
		same[*kmsg.ConsumerGroupDescribeResponse](g.comparison, what, version, &kmsg.ConsumerGroupDescribeRequest{Groups: []string{g.name}, IncludeAuthorizedOperations: true})
	}
}

// changed is a change of a request that is the same for both.
func changed(f func(r *kmsg.ConsumerGroupHeartbeatRequest)) func(int, *kmsg.ConsumerGroupHeartbeatRequest) {
	return func(_ int, r *kmsg.ConsumerGroupHeartbeatRequest) { f(r) }
}

type heartbeatRequest = kmsg.ConsumerGroupHeartbeatRequest

// compare has members of a KIP-848 group join, share, be fenced and leave.
func (g *comparedGroup) compare(run string) {
	g.t.Helper()
	g.describe("not there")
	g.compareInvalid()
	one := g.beat("the first joins", "a", 0)
	g.describe("one member")
	g.beat("alive", "a", 2)
	g.beat("a full request", "a", 2, g.ownsAssigned(one), changed(func(r *heartbeatRequest) {
		r.RebalanceTimeoutMillis, r.SubscribedTopicNames = 60_000, []string{g.topic}
	}))
	g.beat("an epoch of the future", "a", 6)
	g.beat("an unknown member", "nobody", 2)
	g.beat("again", "a", 0)
	g.compareOffsets("a", 2)
	g.beat("the second joins", "b", 0)
	g.beat("the second waits", "b", 3)
	less := g.beat("the first has to give up", "a", 2, g.ownsAssigned(one))
	g.beat("it has not yet", "a", 2, g.ownsAssigned(one))
	g.compareEpochs("a", 2)
	g.describe("something to give up")
	g.beat("it does not say", "a", 2)
	g.beat("it has", "a", 2, g.ownsAssigned(less))
	more := g.beat("the second gets them", "b", 3, g.owns())
	g.beat("its answer was lost", "a", 2, g.ownsAssigned(less))
	g.beat("an old epoch, with what is not its own", "a", 2, g.ownsAssigned(one))
	g.beat("an old epoch, without what it has", "a", 2)
	g.beat("epoch 0 in the group", "b", 0)
	g.beat("after it", "b", 3, g.ownsAssigned(more))
	g.compareEpochs("a", 3)
	g.compareEpochs("b", 3)
	g.compareClassic()
	g.beat("the first was taken out", "a", -1)
	g.beat("the second is raised", "b", 3, g.ownsAssigned(more))
	g.describe("one is left")
	g.beat("a topic more", "b", 4, changed(func(r *heartbeatRequest) { r.SubscribedTopicNames = []string{g.topic, run + "-missing"} }))
	g.beat("another assignor", "b", 5, changed(func(r *heartbeatRequest) { r.ServerAssignor = pointerTo("range") }))
	g.beat("a topic less", "b", 6, changed(func(r *heartbeatRequest) { r.SubscribedTopicNames = []string{g.topic} }))
	g.describe("with range")
	g.compareStatic(run)
	g.compareChain(run)
	same[*kmsg.DeleteGroupsResponse](g.comparison, "delete, with members", 2, &kmsg.DeleteGroupsRequest{Groups: []string{g.name}})
	g.beat("the last leaves", "b", -1)
	g.describe("empty")
	g.compareConversion()
	same[*kmsg.DeleteGroupsResponse](g.comparison, "delete", 2, &kmsg.DeleteGroupsRequest{Groups: []string{g.name}})
	g.describe("deleted")
}

// compareInvalid sends requests that are wrong as they stand.
func (g *comparedGroup) compareInvalid() {
	g.t.Helper()
	for what, f := range map[string]func(r *heartbeatRequest){
		"no group":       func(r *heartbeatRequest) { r.Group = "" },
		"no member":      func(r *heartbeatRequest) { r.MemberID = "" },
		"epoch -3":       func(r *heartbeatRequest) { r.MemberEpoch = -3 },
		"epoch -2":       func(r *heartbeatRequest) { r.MemberEpoch = -2 },
		"epoch 7":        func(r *heartbeatRequest) { r.MemberEpoch = 7 },
		"leaves":         func(r *heartbeatRequest) { r.MemberEpoch = -1 },
		"no time-out":    func(r *heartbeatRequest) { r.RebalanceTimeoutMillis = -1 },
		"nothing owned":  func(r *heartbeatRequest) { r.Topics = nil },
		"no names":       func(r *heartbeatRequest) { r.SubscribedTopicNames = nil },
		"empty instance": func(r *heartbeatRequest) { r.InstanceID = pointerTo("") },
		"empty rack":     func(r *heartbeatRequest) { r.RackID = pointerTo("") },
		"assignor":       func(r *heartbeatRequest) { r.ServerAssignor = pointerTo("sticky") },
		"pattern":        func(r *heartbeatRequest) { r.SubscribedTopicRegex = pointerTo("(") },
	} {
		g.beat(what, "a", 0, changed(f))
	}
}

// compareEpochs commits in epochs before and after that of a member.
func (g *comparedGroup) compareEpochs(member string, epoch int32) {
	g.t.Helper()
	for before := int32(-1); before <= epoch+1; before++ {
		g.commitEach(fmt.Sprintf("commit by %s in epoch %d", member, before), 10, [2]string{member, member}, before)
	}
}

// commitEach commits each partition by itself, and all at once: one that the member may not commit has all refused.
func (g *comparedGroup) commitEach(what string, version int16, ids [2]string, generation int32) {
	g.t.Helper()
	for _, partitions := range [][]int32{{0}, {1}, {2}, {3}, {0, 1, 2, 3}} {
		both[*kmsg.OffsetCommitResponse](g.comparison, fmt.Sprintf("%s of %d", what, partitions), version, func(side int) kmsg.Request {
			req := kmsg.NewPtrOffsetCommitRequest()
			req.Group, req.MemberID, req.Generation = g.name, ids[side], generation
			topic := kmsg.OffsetCommitRequestTopic{Topic: g.topic, TopicID: g.ids[side]} // by id from version 10 on
			for _, partition := range partitions {
				rp := kmsg.NewOffsetCommitRequestTopicPartition()
				rp.Partition, rp.Offset = partition, 3
				topic.Partitions = append(topic.Partitions, rp)
			}
			req.Topics = append(req.Topics, topic)
			return req
		})
	}
}

// compareOffsets commits and fetches as member, and as who is none.
func (g *comparedGroup) compareOffsets(member string, epoch int32) {
	g.t.Helper()
	commit := func(what string, version int16, group, member string, epoch int32) {
		g.t.Helper()
		req := kmsg.NewPtrOffsetCommitRequest()
		req.Group, req.MemberID, req.Generation = group, member, epoch
		rp := kmsg.NewOffsetCommitRequestTopicPartition()
		rp.Offset, rp.Metadata = 3, pointerTo("m")
		req.Topics = append(req.Topics, kmsg.OffsetCommitRequestTopic{Topic: g.topic, Partitions: []kmsg.OffsetCommitRequestTopicPartition{rp}})
		same[*kmsg.OffsetCommitResponse](g.comparison, what, version, req)
	}
	commit("commit", 9, g.name, member, epoch)
	commit("commit, by an old client", 8, g.name, member, epoch)
	commit("commit in another epoch", 9, g.name, member, epoch+1)
	commit("commit by nobody", 9, g.name, "nobody", epoch)
	commit("commit from outside", 9, g.name, "", -1)
	commit("commit from outside, by an old client", 8, g.name, "", -1)
	commit("commit to no group", 9, g.name+"-missing", member, epoch)
	commit("commit to no group, by an old client", 8, g.name+"-missing", member, epoch)
	fetch := func(what string, member *string, epoch int32) {
		g.t.Helper()
		rg := kmsg.NewOffsetFetchRequestGroup()
		rg.Group, rg.MemberID, rg.MemberEpoch = g.name, member, epoch
		rg.Topics = append(rg.Topics, kmsg.OffsetFetchRequestGroupTopic{Topic: g.topic, Partitions: []int32{0, 1}})
		req := kmsg.NewPtrOffsetFetchRequest()
		req.Groups = append(req.Groups, rg)
		same[*kmsg.OffsetFetchResponse](g.comparison, what, 9, req)
	}
	fetch("fetch", &member, epoch)
	fetch("fetch in another epoch", &member, epoch+1)
	fetch("fetch by nobody", pointerTo("nobody"), epoch)
	fetch("fetch from outside", nil, -1)
	fetch("fetch from outside, with an epoch", nil, epoch)
}

// compareClassic asks of the group what is for classic ones.
func (g *comparedGroup) compareClassic() {
	g.t.Helper()
	same[*kmsg.DescribeGroupsResponse](g.comparison, "describe, as a classic group", 5, &kmsg.DescribeGroupsRequest{Groups: []string{g.name}})
	same[*kmsg.DescribeGroupsResponse](g.comparison, "describe, as a classic group", 6, &kmsg.DescribeGroupsRequest{Groups: []string{g.name}})
	same[*kmsg.HeartbeatResponse](g.comparison, "classic heartbeat", 4, &kmsg.HeartbeatRequest{Group: g.name, MemberID: "a", Generation: 2})
	same[*kmsg.SyncGroupResponse](g.comparison, "classic sync", 5, &kmsg.SyncGroupRequest{Group: g.name, MemberID: "a", Generation: 2})
	same[*kmsg.SyncGroupResponse](g.comparison, "classic sync of nobody", 5, &kmsg.SyncGroupRequest{Group: g.name, MemberID: "nobody", Generation: 2})
	for version, m := range []kmsg.LeaveGroupRequestMember{3: {MemberID: "a"}, 4: {MemberID: "nobody"}, 5: {InstanceID: pointerTo("nobody")}} {
		if version >= 3 {
			same[*kmsg.LeaveGroupResponse](g.comparison, "classic leave", int16(version), &kmsg.LeaveGroupRequest{Group: g.name, Members: []kmsg.LeaveGroupRequestMember{m}})
		}
	}
	join := kmsg.NewPtrJoinGroupRequest()
	join.Group, join.SessionTimeoutMillis, join.RebalanceTimeoutMillis, join.ProtocolType = g.name, 10_000, 10_000, "other"
	join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "p"}}
	same[*kmsg.JoinGroupResponse](g.comparison, "join, of another type", 3, join)
	same[*kmsg.OffsetDeleteResponse](g.comparison, "delete offsets of what is read", 0, &kmsg.OffsetDeleteRequest{Group: g.name,
		Topics: []kmsg.OffsetDeleteRequestTopic{{Topic: g.topic, Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 0}}}}})
}

// compareStatic has a static member come back, in a group of its own.
func (g *comparedGroup) compareStatic(run string) {
	g.t.Helper()
	s := *g
	s.name = run + "-static"
	same[*kmsg.FindCoordinatorResponse](g.comparison, "coordinator", 3, &kmsg.FindCoordinatorRequest{CoordinatorKey: s.name})
	is := func(instance string) func(int, *heartbeatRequest) {
		return changed(func(r *heartbeatRequest) { r.InstanceID = &instance })
	}
	first := s.beat("static: joins", "a", 0, is("i"))
	s.beat("static: another with its instance", "b", 0, is("i"))
	s.beat("static: itself again", "a", 0, is("i"))
	s.beat("static: an unknown instance", "a", 2, is("j"))
	s.beat("static: another's instance", "b", 2, is("i"))
	s.beat("static: without its instance", "a", 2)
	s.beat("static: leaves for a while, unnamed", "a", -2)
	s.beat("static: leaves for a while", "a", -2, is("i"))
	s.describe("static: left")
	s.beat("static: late", "a", 2, is("i"), s.ownsAssigned(first))
	s.beat("static: comes back", "b", 0, is("i"))
	s.describe("static: is back")
	s.beat("static: its past self", "a", 2, is("i"))
	s.beat("static: alive", "b", 2, is("i"), s.ownsAssigned(first))
	s.beat("static: leaves as another", "a", -1, is("i"))
	same[*kmsg.LeaveGroupResponse](g.comparison, "static: taken out as another", 5, &kmsg.LeaveGroupRequest{Group: s.name, Members: []kmsg.LeaveGroupRequestMember{{MemberID: "a", InstanceID: pointerTo("i")}}})
	same[*kmsg.LeaveGroupResponse](g.comparison, "static: taken out", 5, &kmsg.LeaveGroupRequest{Group: s.name, Members: []kmsg.LeaveGroupRequestMember{{InstanceID: pointerTo("i")}}})
	s.describe("static: empty")
}

// compareChain has targets change while a member has still to give something up, in a group of its own. Which of the others gets what is for
// the assignor to say, and not compared.
func (g *comparedGroup) compareChain(run string) {
	g.t.Helper()
	s := *g
	s.name = run + "-chain"
	s.atOnce(s.name)
	same[*kmsg.FindCoordinatorResponse](g.comparison, "coordinator", 3, &kmsg.FindCoordinatorRequest{CoordinatorKey: s.name})
	all := s.beat("chain: the first has all", "a", 0)
	s.beat("chain: the second joins", "b", 0)
	less := s.beat("chain: the first gives up", "a", 2, s.ownsAssigned(all))
	s.beat("chain: the third joins", "c", 0)
	s.beat("chain: the fourth joins", "d", 0)
	s.beat("chain: the first has still all", "a", 2, s.ownsAssigned(all))
	least := s.beat("chain: it has given up the first part", "a", 2, s.ownsAssigned(less))
	s.beat("chain: and the other", "a", 2, s.ownsAssigned(least))
	for epoch := int32(1); epoch <= 5; epoch++ {
		s.beat("chain: in another epoch", "a", epoch, s.owns(0, 1, 2, 3))
	}
	other := changed(func(r *heartbeatRequest) { r.SubscribedTopicNames = []string{run + "-missing"} })
	s.beat("chain: the first reads something else", "a", 5, s.ownsAssigned(least), other)
	s.beat("chain: it has given up all", "a", 5, s.owns())
	s.beat("chain: the first leaves", "a", -1)
	for _, member := range []string{"b", "c", "d"} {
		s.beat("chain: they leave", member, -1)
	}
	two := s.beat("chain: one has all", "a", 0)
	s.beat("chain: another joins", "b", 0)
	epoch := two[kafkas].MemberEpoch
	part := s.beat("chain: it has to give up a part", "a", epoch, s.ownsAssigned(two))
	s.beat("chain: it reads something else now, and has all still", "a", epoch, s.ownsAssigned(two), other)
	s.beat("chain: it has given up the first part", "a", epoch, s.ownsAssigned(part))
	s.beat("chain: in another epoch", "a", epoch+1, s.ownsAssigned(part))
	s.beat("chain: it has nothing", "a", epoch, s.owns())
}

// compareConversion makes an empty group a classic one, and one of KIP-848 again.
func (g *comparedGroup) compareConversion() {
	g.t.Helper()
	join := kmsg.NewPtrJoinGroupRequest()
	join.Group, join.SessionTimeoutMillis, join.RebalanceTimeoutMillis, join.ProtocolType = g.name, 10_000, 10_000, "other"
	join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "p"}}
	joined := same[*kmsg.JoinGroupResponse](g.comparison, "an empty group becomes a classic one", 3, join)
	g.describe("a classic group")
	g.beat("to a classic group with members", "a", 0)
	g.beat("of a classic group", "a", 1)
	both[*kmsg.LeaveGroupResponse](g.comparison, "the classic member leaves", 3, func(side int) kmsg.Request {
		return &kmsg.LeaveGroupRequest{Group: g.name, Members: []kmsg.LeaveGroupRequestMember{{MemberID: joined[side].MemberID}}}
	})
	g.beat("and becomes one of KIP-848 again", "a", 0)
	g.describe("again")
	for version := int16(3); version <= 5; version++ {
		list := kmsg.NewPtrListGroupsRequest()
		if version >= 5 {
			list.TypesFilter = []string{"consumer"}
		}
		listed := [2]string{}
		for side, conn := range g.conns {
			for _, x := range ask[*kmsg.ListGroupsResponse](g.t, conn, version, list).Groups {
				if x.Group == g.name {
					listed[side] = fmt.Sprintf("%+v", x)
				}
			}
		}
		if listed[kafkas] != listed[ours] {
			g.t.Errorf("listed, version %d: %s, Kafka says %s", version, listed[ours], listed[kafkas])
		}
	}
	g.beat("it leaves", "a", -1)
}
