package broker_test

import (
	"github.com/twmb/franz-go/pkg/kmsg"
)

// comparedMigration asks both about a group that has members of both protocols.
type comparedMigration struct {
	comparedGroup
}

type (
	bothJoined = [2]*kmsg.JoinGroupResponse
	bothSynced = [2]*kmsg.SyncGroupResponse
)

const comparedProtocol = "cooperative-sticky"

// migrating returns a group of the name, of which Kafka makes targets at once.
func (g *comparedGroup) migrating(name string) *comparedMigration {
	g.t.Helper()
	m := &comparedMigration{*g}
	m.name = name
	m.atOnce(name)
	same[*kmsg.FindCoordinatorResponse](g.comparison, "coordinator", 3, &kmsg.FindCoordinatorRequest{CoordinatorKey: name})
	return m
}

// join sends a JoinGroup with a subscription to the topic that says that the member has the partitions.
func (m *comparedMigration) join(what string, version int16, ids [2]string, instance string, owned []int32, changes ...func(*kmsg.JoinGroupRequest)) bothJoined {
	m.t.Helper()
	return both[*kmsg.JoinGroupResponse](m.comparison, what, version, func(side int) kmsg.Request {
		req := kmsg.NewPtrJoinGroupRequest()
		req.Group, req.MemberID, req.ProtocolType, req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = m.name, ids[side], "consumer", 30_000, 30_000
		if instance != "" {
			req.InstanceID = &instance
		}
		req.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: comparedProtocol, Metadata: consumerMetadata(3, owned, m.topic)}}
		for _, change := range changes {
			change(req)
		}
		return req
	})
}

// consumerMetadata is a subscription to topics, of which the member has partitions of the first.
func consumerMetadata(version int16, owned []int32, topics ...string) []byte {
	s := kmsg.NewConsumerMemberMetadata()
	s.Version, s.Topics, s.Generation = version, topics, 1
	if len(owned) > 0 {
		s.OwnedPartitions = []kmsg.ConsumerMemberMetadataOwnedPartition{{Topic: topics[0], Partitions: owned}}
	}
	return s.AppendTo(nil)
}

// sync sends a SyncGroup; a leader gives all partitions to itself.
func (m *comparedMigration) sync(what string, ids [2]string, instance string, generation int32, userData []byte, changes ...func(*kmsg.SyncGroupRequest)) bothSynced {
	m.t.Helper()
	return both[*kmsg.SyncGroupResponse](m.comparison, what, 5, func(side int) kmsg.Request {
		req := kmsg.NewPtrSyncGroupRequest()
		req.Group, req.MemberID, req.Generation, req.ProtocolType, req.Protocol = m.name, ids[side], generation, pointerTo("consumer"), pointerTo(comparedProtocol)
		if instance != "" {
			req.InstanceID = &instance
		}
		a := kmsg.NewConsumerMemberAssignment()
		a.Version, a.UserData = 3, userData
		a.Topics = []kmsg.ConsumerMemberAssignmentTopic{{Topic: m.topic, Partitions: []int32{0, 1, 2, 3}}}
		req.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{{MemberID: ids[side], MemberAssignment: a.AppendTo(nil)}}
		for _, change := range changes {
			change(req)
		}
		return req
	})
}

func (m *comparedMigration) heartbeat(what string, ids [2]string, instance string, generation int32) {
	m.t.Helper()
	both[*kmsg.HeartbeatResponse](m.comparison, what, 4, func(side int) kmsg.Request {
		req := kmsg.NewPtrHeartbeatRequest()
		req.Group, req.MemberID, req.Generation = m.name, ids[side], generation
		if instance != "" {
			req.InstanceID = &instance
		}
		return req
	})
}

// leave sends a LeaveGroup that names the members.
func (m *comparedMigration) leave(what string, members ...[2]string) {
	m.t.Helper()
	both[*kmsg.LeaveGroupResponse](m.comparison, what, 5, func(side int) kmsg.Request {
		req := kmsg.NewPtrLeaveGroupRequest()
		req.Group = m.name
		for _, ids := range members {
			rm := kmsg.NewLeaveGroupRequestMember()
			rm.MemberID = ids[side]
			req.Members = append(req.Members, rm)
		}
		return req
	})
}

// given returns the partitions that a SyncGroup has told the member of Kafka's group, which are the same in the other: they were compared.
func (m *comparedMigration) given(synced bothSynced) []int32 {
	m.t.Helper()
	a := kmsg.NewConsumerMemberAssignment()
	if err := a.ReadFrom(synced[kafkas].MemberAssignment); err != nil {
		m.t.Fatal(err)
	}
	if len(a.Topics) == 0 {
		return nil
	}
	return a.Topics[0].Partitions
}

// describeClassic asks with the classic key, which tells all of a classic group, and of another that there is none.
func (m *comparedMigration) describeClassic(what string) {
	m.t.Helper()
	same[*kmsg.DescribeGroupsResponse](m.comparison, what, 5, &kmsg.DescribeGroupsRequest{Groups: []string{m.name}, IncludeAuthorizedOperations: true})
	same[*kmsg.DescribeGroupsResponse](m.comparison, what, 6, &kmsg.DescribeGroupsRequest{Groups: []string{m.name}})
}

func memberIDs(joined bothJoined) [2]string {
	return [2]string{joined[kafkas].MemberID, joined[ours].MemberID}
}

// compareMigrations upgrades and downgrades groups while they have members.
func (g *comparedGroup) compareMigrations(run string) {
	g.t.Helper()
	g.migrating(run + "-migrating").compareDynamic()
	g.migrating(run + "-migrating-static").compareStatic()
	g.compareRefused(run)
}

// compareDynamic: a member of each protocol come and go.
func (m *comparedMigration) compareDynamic() {
	m.t.Helper()
	n := [2]string{"n", "n"}
	a := memberIDs(m.join("the classic member joins", 3, [2]string{}, "", nil))
	m.sync("it leads", a, "", 1, nil)
	m.commitEach("classic commit", 8, a, 1)
	m.beat("a member of the new protocol joins", "n", 0)
	m.describe("upgraded")
	m.describeClassic("upgraded")
	m.heartbeat("the classic one hears of it", a, "", 1)
	m.sync("it has to join", a, "", 1, nil)
	m.commitEach("commit meanwhile", 8, a, 1)
	m.commitEach("commit of the new one", 9, n, 2)
	m.commitEach("commit of the new one, by an old version", 8, n, 2)
	all := []int32{0, 1, 2, 3}
	m.join("it says what it has", 5, a, "", all)
	m.describe("something to give up")
	less := m.sync("it gets less", a, "", 1, nil)
	m.heartbeat("it has to join again", a, "", 1)
	m.join("it has it still", 5, a, "", all)
	m.beat("the new one waits", "n", 2)
	m.join("it has given it up", 5, a, "", m.given(less))
	m.heartbeat("in its last generation", a, "", 1)
	m.sync("in its last generation", a, "", 1, nil)
	m.sync("it keeps the rest", a, "", 2, nil)
	m.heartbeat("it is there", a, "", 2)
	more := m.beat("the new one gets it", "n", 2, m.owns())
	m.describe("settled")
	for generation := range int32(5) {
		m.commitEach("commit", 8, a, generation-1)
		m.commitEach("commit of the new one", 9, n, generation-1)
	}
	m.compareWrong(a)
	m.compareSecond(a)
	m.beat("the new one gives up", "n", 2, m.ownsAssigned(more))
	m.leave("both, and one of them twice, and nobody", a, a, [2]string{"nobody", "nobody"})
	m.beat("the new one is alone", "n", 3)
	m.leave("the new one is taken out", n)
	m.describe("empty")
	m.compareDowngrade()
}

// compareWrong sends what is wrong to a group with a classic member in generation 2.
func (m *comparedMigration) compareWrong(a [2]string) {
	m.t.Helper()
	n, nobody := [2]string{"n", "n"}, [2]string{"nobody", "nobody"}
	m.heartbeat("heartbeat of nobody", nobody, "", 2)
	m.heartbeat("heartbeat of the other protocol", n, "", 2)
	m.heartbeat("heartbeat of a later generation", a, "", 3)
	m.sync("sync of the other protocol", n, "", 2, nil)
	m.sync("sync of nobody", nobody, "", 2, nil)
	m.sync("sync of another protocol", a, "", 2, nil, func(r *kmsg.SyncGroupRequest) { r.Protocol = pointerTo("range") })
	m.sync("sync of another type", a, "", 2, nil, func(r *kmsg.SyncGroupRequest) { r.ProtocolType = pointerTo("connect") })
	m.sync("sync of an unknown instance", a, "i", 2, nil)
	m.join("join of an unknown instance", 5, a, "i", nil)
	m.join("join with another protocol", 5, nobody, "", nil, func(r *kmsg.JoinGroupRequest) { r.Protocols[0].Name = "range" })
	m.join("join with another type", 5, nobody, "", nil, func(r *kmsg.JoinGroupRequest) { r.ProtocolType = "connect" })
	m.join("join that cannot be read", 5, nobody, "", nil, func(r *kmsg.JoinGroupRequest) { r.Protocols[0].Metadata = []byte{0, 1, 2} })
	m.join("join without protocols", 5, nobody, "", nil, func(r *kmsg.JoinGroupRequest) { r.Protocols = nil })
	m.join("join with too long a session", 5, nobody, "", nil, func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 1 << 30 })
	for epoch := int32(1); epoch <= 3; epoch++ {
		both[*kmsg.OffsetFetchResponse](m.comparison, "fetch in an epoch", 9, func(side int) kmsg.Request {
			rg := kmsg.NewOffsetFetchRequestGroup()
			rg.Group, rg.MemberID, rg.MemberEpoch = m.name, &a[side], epoch
			rg.Topics = append(rg.Topics, kmsg.OffsetFetchRequestGroupTopic{Topic: m.topic, Partitions: []int32{0}})
			req := kmsg.NewPtrOffsetFetchRequest()
			req.Groups = append(req.Groups, rg)
			return req
		})
	}
}

// compareSecond has a second classic member join, with which the first shares.
func (m *comparedMigration) compareSecond(a [2]string) {
	m.t.Helper()
	b := memberIDs(m.join("a second one is told its id", 9, [2]string{}, "", nil))
	m.join("it joins", 9, b, "", nil)
	nothing := m.sync("nothing yet", b, "", 3, nil)
	m.heartbeat("it waits", b, "", 3)
	m.join("it waits", 9, b, "", m.given(nothing))
	m.heartbeat("the first hears of it", a, "", 2)
	m.leave("the second leaves", b)
	m.heartbeat("nobody has made a target", a, "", 2)
	m.beat("the new one makes it", "n", 2)
	m.heartbeat("the first hears of that", a, "", 2)
	m.join("the first joins", 9, a, "", []int32{0, 1})
	m.sync("the first knows", a, "", 4, nil)
	m.join("once more", 9, a, "", []int32{0, 1})
	m.join("a classic member may read something else", 9, a, "", []int32{0, 1}, func(r *kmsg.JoinGroupRequest) {
		r.Protocols[0].Metadata = consumerMetadata(1, nil, m.topic, m.topic+"-missing")
	})
	m.sync("with an older subscription", a, "", 5, nil)
	m.join("and again what it did", 9, a, "", nil)
}

// compareDowngrade has the only member of the new protocol leave, in each way.
func (m *comparedMigration) compareDowngrade() {
	m.t.Helper()
	a := memberIDs(m.join("a classic group again", 3, [2]string{}, "", nil))
	m.sync("it leads", a, "", 1, nil)
	m.beat("upgraded again", "n", 0)
	m.beat("downgraded", "n", -1)
	m.describeClassic("downgraded")
	m.describe("downgraded")
	m.beat("there is no such group", "n", 2)
	m.heartbeat("the generation is that of the epoch", a, "", 1)
	m.heartbeat("it has to join", a, "", 2)
	m.sync("it has to join", a, "", 2, nil)
	m.join("it joins", 5, a, "", []int32{0, 1, 2, 3})
	m.sync("it leads again", a, "", 3, nil)
	m.describeClassic("as before")
	m.beat("upgraded once more", "n", 0)
	m.join("the classic one gives up at once", 5, a, "", nil)
	m.sync("it gets the rest", a, "", 4, nil)
	m.beat("the new one gets the other part", "n", 4, m.owns())
	m.leave("the new one is taken out", [2]string{"n", "n"})
	m.heartbeat("it has to join", a, "", 4)
	m.leave("it leaves", a)
	m.describeClassic("empty")
}

// compareStatic: static members come back with the other protocol.
func (m *comparedMigration) compareStatic() {
	m.t.Helper()
	is := func(instance string) func(int, *heartbeatRequest) {
		return changed(func(r *heartbeatRequest) { r.InstanceID = &instance })
	}
	a := memberIDs(m.join("static: the classic one", 5, [2]string{}, "i", nil))
	m.sync("static: it leads", a, "i", 1, nil)
	m.beat("static: it comes back with the new protocol", "x", 0, is("i"))
	m.describe("static: upgraded")
	m.heartbeat("static: its past self", a, "i", 1)
	m.join("static: its past self", 5, a, "i", nil)
	c := memberIDs(m.join("static: another classic one", 5, [2]string{}, "j", nil))
	m.sync("static: nothing for it yet", c, "j", 2, nil)
	m.describe("static: it waits")
	less := m.beat("static: the first gives up", "x", 1, is("i"), m.owns(0, 1, 2, 3))
	m.beat("static: it has", "x", 1, is("i"), m.ownsAssigned(less))
	m.heartbeat("static: the other hears of it", c, "j", 2)
	m.join("static: the other joins", 5, c, "j", nil)
	m.sync("static: the other gets it", c, "j", 2, nil)
	m.describe("static: settled")
	m.beat("static: unreleased", "y", 0, is("i"))
	d := memberIDs(m.join("static: the last comes back with the classic protocol", 5, [2]string{}, "i", nil))
	m.describeClassic("static: downgraded")
	m.heartbeat("static: nothing for the other to do", c, "j", 2)
	m.sync("static: it has what it had", d, "i", 2, nil)
	m.sync("static: so has the other", c, "j", 2, nil)
	m.beat("static: its past self", "x", 2, is("i"))
	m.beat("static: up again", "z", 0, is("j"))
	m.heartbeat("static: nothing for the first to do", d, "i", 2)
	m.join("static: the first", 5, d, "i", m.given(m.sync("static: still", d, "i", 2, nil)))
	m.beat("static: the other", "z", 2, is("j"))
	m.beat("static: it leaves for a while", "z", -2, is("j"))
	m.describe("static: left")
	m.join("static: and comes back with the classic protocol, for something else", 5, [2]string{}, "j", nil, func(r *kmsg.JoinGroupRequest) {
		r.Protocols[0].Metadata = consumerMetadata(3, nil, m.topic, m.topic+"-missing")
	})
	m.describeClassic("static: to be rebalanced")
	both[*kmsg.LeaveGroupResponse](m.comparison, "static: taken out", 5, func(int) kmsg.Request {
		req := kmsg.NewPtrLeaveGroupRequest()
		req.Group = m.name
		for _, instance := range []string{"i", "j"} {
			rm := kmsg.NewLeaveGroupRequestMember()
			rm.InstanceID = &instance
			req.Members = append(req.Members, rm)
		}
		return req
	})
}

// compareRefused asks for what does not go.
func (g *comparedGroup) compareRefused(run string) {
	g.t.Helper()
	for name, f := range map[string]func(m *comparedMigration){
		"of another type": func(m *comparedMigration) {
			m.join("connect", 3, [2]string{}, "", nil, func(r *kmsg.JoinGroupRequest) { r.ProtocolType = "connect" })
		},
		"that cannot be read": func(m *comparedMigration) {
			ids := memberIDs(m.join("opaque", 3, [2]string{}, "", nil, func(r *kmsg.JoinGroupRequest) { r.Protocols[0].Metadata = []byte("x") }))
			m.sync("opaque", ids, "", 1, nil)
		},
		"with user data": func(m *comparedMigration) {
			ids := memberIDs(m.join("user data", 3, [2]string{}, "", nil))
			m.sync("user data", ids, "", 1, []byte("mine"))
		},
		"with a bad assignment": func(m *comparedMigration) {
			ids := memberIDs(m.join("bad assignment", 3, [2]string{}, "", nil))
			m.sync("bad assignment", ids, "", 1, nil, func(r *kmsg.SyncGroupRequest) { r.GroupAssignment[0].MemberAssignment = []byte{0, 1, 0, 0, 0} })
		},
	} {
		m := g.migrating(run + "-refused-" + name)
		f(m)
		m.beat("upgrade of a group "+name, "n", 0)
		m.beat("of a group "+name, "n", 1)
		m.describe("a group " + name)
		m.describeClassic("a group " + name)
	}
	m := g.migrating(run + "-early")
	early := memberIDs(m.join("its leader has not assigned anything", 3, [2]string{}, "", nil))
	m.beat("upgraded all the same", "n", 0, changed(func(r *heartbeatRequest) { r.SubscribedTopicNames = []string{m.topic + "-missing"} }))
	m.describe("upgraded all the same")
	m.sync("its leader assigns", early, "", 1, nil)
	m.join("its leader joins", 3, early, "", nil)
	m.sync("its leader is one no more", early, "", 2, nil)
	m.join("a group that waits for one", 4, [2]string{}, "", nil, func(r *kmsg.JoinGroupRequest) { r.Group = run + "-promised" })
	m.name = run + "-promised"
	m.beat("becomes another", "n", 0)
	m.describe("of the one who was waited for nobody knows")
}
