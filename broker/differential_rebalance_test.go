package broker_test

import "github.com/twmb/franz-go/pkg/kmsg"

// comparedClassic asks both about a classic group of two static members. Each goes by its instance.
type comparedClassic struct {
	*comparison
	name, topic string
	ids         map[string][2]string // by instance
}

func (g *comparedClassic) joining(instance string, changes ...func(*kmsg.JoinGroupRequest)) func(side int) kmsg.Request {
	return func(side int) kmsg.Request {
		req := kmsg.NewPtrJoinGroupRequest()
		req.Group, req.InstanceID, req.ProtocolType, req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = g.name, &instance, "consumer", 60_000, 60_000
		req.MemberID = g.ids[instance][side]
		req.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: subscriptionOf(g.topic)}}
		for _, change := range changes {
			change(req)
		}
		return req
	}
}

func (g *comparedClassic) syncing(instance string, generation int32) func(side int) kmsg.Request {
	return func(side int) kmsg.Request {
		req := kmsg.NewPtrSyncGroupRequest()
		req.Group, req.InstanceID, req.MemberID, req.Generation = g.name, &instance, g.ids[instance][side], generation
		req.ProtocolType, req.Protocol = pointerTo("consumer"), pointerTo("range")
		for name, ids := range g.ids {
			req.GroupAssignment = append(req.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{MemberID: ids[side], MemberAssignment: []byte("of " + name)})
		}
		return req
	}
}

func (g *comparedClassic) heartbeat(what, instance string, ids [2]string, generation int32) {
	g.t.Helper()
	both[*kmsg.HeartbeatResponse](g.comparison, what, 4, func(side int) kmsg.Request {
		return &kmsg.HeartbeatRequest{Group: g.name, InstanceID: &instance, MemberID: ids[side], Generation: generation}
	})
}

func (g *comparedClassic) commit(what, instance string, ids [2]string, generation int32) {
	g.t.Helper()
	both[*kmsg.OffsetCommitResponse](g.comparison, what, 8, func(side int) kmsg.Request {
		req := kmsg.NewPtrOffsetCommitRequest()
		req.Group, req.InstanceID, req.MemberID, req.Generation = g.name, &instance, ids[side], generation
		rp := kmsg.NewOffsetCommitRequestTopicPartition()
		rp.Offset = 5
		req.Topics = append(req.Topics, kmsg.OffsetCommitRequestTopic{Topic: g.topic, Partitions: []kmsg.OffsetCommitRequestTopicPartition{rp}})
		return req
	})
}

func (g *comparedClassic) describe(what string) {
	g.t.Helper()
	same[*kmsg.DescribeGroupsResponse](g.comparison, what, 5, &kmsg.DescribeGroupsRequest{Groups: []string{g.name}})
}

// awaitState waits until both groups are in a state: what waits on the other connection need not have arrived.
func (g *comparedClassic) awaitState(state string) {
	g.t.Helper()
	for _, conn := range g.conns {
		eventually(g.t, "the group is "+state, func() bool {
			resp := ask[*kmsg.DescribeGroupsResponse](g.t, conn, 5, &kmsg.DescribeGroupsRequest{Groups: []string{g.name}})
			return resp.Groups[0].State == state
		})
	}
}

// joined notes the ids of a member.
func (g *comparedClassic) joined(instance string, answers bothJoined) {
	g.ids[instance] = memberIDs(answers)
}

// compareRebalances has two static members of a classic group go through rebalances, one of which a restart causes and another does not.
func compareRebalances(c *comparison, run string) {
	c.t.Helper()
	g := &comparedClassic{c, run + "-rebalances", run + "-a", map[string][2]string{}}
	same[*kmsg.FindCoordinatorResponse](c, "coordinator", 3, &kmsg.FindCoordinatorRequest{CoordinatorKey: g.name})
	g.joined("i", both[*kmsg.JoinGroupResponse](c, "the first joins", 5, g.joining("i")))
	both[*kmsg.SyncGroupResponse](c, "it leads", 5, g.syncing("i", 1))
	second := begin[*kmsg.JoinGroupResponse](c, "the second joins", 5, g.joining("j"))
	g.awaitState("PreparingRebalance")
	g.describe("preparing")
	g.heartbeat("the first hears of it", "i", g.ids["i"], 1)
	g.commit("commit while it is prepared", "i", g.ids["i"], 1)
	both[*kmsg.SyncGroupResponse](c, "sync while it is prepared", 5, g.syncing("i", 1))
	both[*kmsg.JoinGroupResponse](c, "the first joins again", 5, g.joining("i"))
	g.joined("j", second())
	g.describe("completing")
	g.heartbeat("completing", "i", g.ids["i"], 2)
	g.commit("commit before sync", "i", g.ids["i"], 2)
	follower := begin[*kmsg.SyncGroupResponse](c, "the follower's sync waits", 5, g.syncing("j", 2))
	both[*kmsg.JoinGroupResponse](c, "the leader asks again", 5, g.joining("i"))
	both[*kmsg.SyncGroupResponse](c, "the leader's sync", 5, g.syncing("i", 2))
	follower()
	g.describe("stable")
	both[*kmsg.JoinGroupResponse](c, "the follower asks again", 5, g.joining("j"))
	g.compareReplaced()
	g.compareMembership()
}

// compareReplaced has members come back under new ids.
func (g *comparedClassic) compareReplaced() {
	g.t.Helper()
	unnamed := func(r *kmsg.JoinGroupRequest) { r.MemberID = "" }
	for _, instance := range []string{"i", "j"} {
		for _, version := range []int16{5, 8, 9} {
			was := g.ids[instance]
			g.joined(instance, both[*kmsg.JoinGroupResponse](g.comparison, instance+" comes back", version, g.joining(instance, unnamed)))
			g.heartbeat("its past self", instance, was, 2)
			g.commit("commit of its past self", instance, was, 2)
			g.heartbeat("its present self", instance, g.ids[instance], 2)
			both[*kmsg.SyncGroupResponse](g.comparison, "it has what it had", 5, g.syncing(instance, 2))
			both[*kmsg.LeaveGroupResponse](g.comparison, "its past self leaves", 5, func(side int) kmsg.Request {
				return &kmsg.LeaveGroupRequest{Group: g.name, Members: []kmsg.LeaveGroupRequestMember{{MemberID: was[side], InstanceID: &instance}}}
			})
		}
	}
	g.describe("nothing has moved")
	back := begin[*kmsg.JoinGroupResponse](g.comparison, "it comes back with another subscription", 5, g.joining("j", unnamed, func(r *kmsg.JoinGroupRequest) {
		r.Protocols[0].Name = "range"
		r.Protocols = append([]kmsg.JoinGroupRequestProtocol{{Name: "sticky", Metadata: subscriptionOf(g.topic)}}, r.Protocols...)
	}))
	// A protocol that the leader does not support does not make another of the group's: the answer comes at once.
	g.joined("j", back())
	g.heartbeat("nobody needs to join", "i", g.ids["i"], 2)
}

// compareMembership joins wrongly, and leaves.
func (g *comparedClassic) compareMembership() {
	g.t.Helper()
	nobody := func(r *kmsg.JoinGroupRequest) { r.MemberID = "nobody" }
	g.ids["k"] = [2]string{}
	both[*kmsg.JoinGroupResponse](g.comparison, "another's id", 5, g.joining("i", nobody))
	both[*kmsg.JoinGroupResponse](g.comparison, "an unknown id and instance", 5, g.joining("k", nobody))
	both[*kmsg.JoinGroupResponse](g.comparison, "an unknown id", 5, g.joining("k", nobody, func(r *kmsg.JoinGroupRequest) { r.InstanceID = nil }))
	both[*kmsg.JoinGroupResponse](g.comparison, "a protocol that nobody supports", 5, g.joining("k", func(r *kmsg.JoinGroupRequest) { r.Protocols[0].Name = "other" }))
	both[*kmsg.JoinGroupResponse](g.comparison, "another type", 5, g.joining("k", func(r *kmsg.JoinGroupRequest) { r.ProtocolType = "connect" }))
	both[*kmsg.JoinGroupResponse](g.comparison, "too short a session", 5, g.joining("k", func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 1 }))
	leave := func(what string, members ...kmsg.LeaveGroupRequestMember) {
		g.t.Helper()
		same[*kmsg.LeaveGroupResponse](g.comparison, what, 4, &kmsg.LeaveGroupRequest{Group: g.name, Members: members})
	}
	leave("nobody", kmsg.LeaveGroupRequestMember{MemberID: "nobody"})
	leave("no instance", kmsg.LeaveGroupRequestMember{InstanceID: pointerTo("nobody")})
	leave("the second is taken out", kmsg.LeaveGroupRequestMember{InstanceID: pointerTo("j")})
	g.heartbeat("the first hears of it", "i", g.ids["i"], 2)
	g.heartbeat("the second is none", "j", g.ids["j"], 2)
	both[*kmsg.JoinGroupResponse](g.comparison, "the first joins alone", 5, g.joining("i"))
	leave("the first is taken out", kmsg.LeaveGroupRequestMember{InstanceID: pointerTo("i")})
	g.describe("empty")
	both[*kmsg.SyncGroupResponse](g.comparison, "sync of what is gone", 5, g.syncing("i", 3))
}
