package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

const noGeneration = -1

// JoinRequest is JoinGroup.
type JoinRequest struct {
	Group, MemberID, InstanceID string
	// NewMemberID is the id that the member gets if it needs one. It must be unique.
	NewMemberID      string
	ClientID, Host   string
	SessionTimeout   time.Duration
	RebalanceTimeout time.Duration
	ProtocolType     string
	Protocols        []Protocol
	// RequireMemberID makes a dynamic member come back with its id before it counts (version 4, KIP-394).
	RequireMemberID bool
	// SkipAssignment: the client understands it (version 9, KIP-814).
	SkipAssignment bool
}

// JoinResult answers JoinGroup.
type JoinResult struct {
	Err                    *kerr.Error
	Generation             int32
	ProtocolType, Protocol string
	Leader, MemberID       string
	// SkipAssignment tells a static leader that came back that the assignment stands.
	SkipAssignment bool
	// Members is set for the leader only.
	Members []JoinMember
}

// JoinMember is a member as its leader sees it.
type JoinMember struct {
	ID, InstanceID string
	Metadata       []byte
}

// Join handles JoinGroup. The reply comes in these effects or in later ones.
func (c *Coordinator) Join(now time.Time, topics Topics, call Call, r JoinRequest) Effects {
	var e Effects
	if err := c.join(now, topics, call, r, &e); err != nil {
		id := r.MemberID
		if err == kerr.MemberIDRequired {
			id = r.NewMemberID
		} else if g := c.groups[r.Group]; g != nil && g.consumer != nil && err != kerr.InvalidSessionTimeout { // as Kafka
			id = ""
		}
		e.join(call, JoinResult{Err: err, Generation: noGeneration, MemberID: id})
	}
	return e
}

func (c *Coordinator) join(now time.Time, topics Topics, call Call, r JoinRequest, e *Effects) *kerr.Error {
	switch {
	case r.Group == "":
		return kerr.InvalidGroupID
	case r.SessionTimeout < MinSessionTimeout || r.SessionTimeout > MaxSessionTimeout:
		return kerr.InvalidSessionTimeout
	case len(r.Protocols) > maxProtocols:
		return kerr.InvalidRequest
	}
	if g := c.groups[r.Group]; r.MemberID != "" && (g == nil || g.consumer != nil && g.empty()) {
		return kerr.UnknownMemberID
	}
	if r.ProtocolType == "" || len(r.Protocols) == 0 {
		return kerr.InconsistentGroupProtocol
	}
	g, err := c.group(r.Group, true)
	if err != nil {
		return err
	}
	if r.RebalanceTimeout <= 0 {
		r.RebalanceTimeout = r.SessionTimeout // version 0
	}
	if g.consumer != nil && !g.empty() {
		return c.joinConsumers(now, topics, call, g, r, e)
	}
	defer c.arm(g)
	if g.consumer != nil {
		g.consumer = nil
		e.Records = append(e.Records, encodeConsumerEnd(g.name))
	}
	present := r.MemberID // whose place it takes
	if id, ok := g.instances[r.InstanceID]; ok && r.InstanceID != "" {
		present = id
	}
	if !g.supports(r.ProtocolType, r.Protocols, present) {
		return kerr.InconsistentGroupProtocol
	}
	if g.overlong(r.Protocols, present) {
		return kerr.GroupMaxSizeReached
	}
	if r.MemberID == "" {
		return g.joinNew(now, call, r, e)
	}
	if _, ok := g.promised[r.MemberID]; ok {
		delete(g.promised, r.MemberID)
		r.NewMemberID = r.MemberID
		return g.admit(now, call, r, e)
	}
	m, err := g.find(r.MemberID, r.InstanceID)
	if err != nil {
		return err
	}
	g.rejoin(now, call, m, r, e)
	return nil
}

// joinNew handles a join without a member id: a new member, or a static one that was restarted.
func (g *group) joinNew(now time.Time, call Call, r JoinRequest, e *Effects) *kerr.Error {
	if r.InstanceID != "" {
		if id, ok := g.instances[r.InstanceID]; ok {
			g.replace(now, call, g.members[id], r, e)
			return nil
		}
		return g.admit(now, call, r, e)
	}
	if len(g.members)+len(g.promised) >= maxMembers {
		return kerr.GroupMaxSizeReached
	}
	if r.RequireMemberID {
		g.promised[r.NewMemberID] = now.Add(r.SessionTimeout)
		return kerr.MemberIDRequired
	}
	return g.admit(now, call, r, e)
}

// admit adds a new member, which starts a rebalance.
func (g *group) admit(now time.Time, call Call, r JoinRequest, e *Effects) *kerr.Error {
	if len(g.members) >= maxMembers {
		return kerr.GroupMaxSizeReached
	}
	if len(g.members) == 0 {
		g.protocolType = r.ProtocolType
	}
	m := &member{id: r.NewMemberID, instance: r.InstanceID}
	m.update(r)
	m.joining = call
	g.add(m)
	g.prepare(now, e)
	return nil
}

func (m *member) update(r JoinRequest) {
	m.clientID, m.host = r.ClientID, r.Host
	m.session, m.rebalance = r.SessionTimeout, r.RebalanceTimeout
	m.protocols = r.Protocols
}

// replace gives a static member that was restarted a new id and its old place (KIP-345). In a stable generation whose
// protocol would not change nothing else happens: the member gets its old assignment from SyncGroup.
func (g *group) replace(now time.Time, call Call, old *member, r JoinRequest, e *Effects) {
	wasLeader := g.leader == old.id
	m := &member{id: r.NewMemberID, instance: old.instance, assignment: old.assignment, order: old.order}
	m.update(r)
	g.remove(old, kerr.FencedInstanceID, e)
	g.members[m.id] = m
	g.instances[m.instance] = m.id
	if wasLeader || g.leader == "" {
		g.leader = m.id
	}
	if g.state != Stable || g.choose() != g.protocol {
		m.joining = call
		g.prepare(now, e)
		return
	}
	g.touch(m, now)
	e.Records = append(e.Records, g.record())
	res := g.joinResult(m)
	if wasLeader {
		// The leader must not assign anew. A client that knows SkipAssignment is told so; an older one is told that
		// the leader is its past self.
		if r.SkipAssignment {
			res.SkipAssignment = true
		} else {
			res.Leader, res.Members = old.id, nil
		}
	}
	e.join(call, res)
}

// rejoin handles a join of a present member.
func (g *group) rejoin(now time.Time, call Call, m *member, r JoinRequest, e *Effects) {
	unchanged := sameProtocols(m.protocols, r.Protocols)
	if m.joining != 0 { // the client gave up on its earlier request
		e.join(m.joining, JoinResult{Err: kerr.RebalanceInProgress, Generation: noGeneration, MemberID: m.id})
		m.joining = 0
	}
	m.update(r)
	switch {
	case g.state == CompletingRebalance && unchanged, g.state == Stable && unchanged && m.id != g.leader:
		// The answer to the member's join may have been lost; or a follower asks again.
		g.touch(m, now)
		e.join(call, g.joinResult(m))
	default:
		m.joining = call
		g.prepare(now, e)
	}
}

// prepare starts a rebalance, or goes on with the one that is running.
func (g *group) prepare(now time.Time, e *Effects) {
	if g.state == CompletingRebalance {
		for _, m := range g.ordered() {
			m.assignment = nil
			g.answerSync(m, SyncResult{Err: kerr.RebalanceInProgress}, e)
		}
	}
	if g.state != PreparingRebalance {
		g.state = PreparingRebalance
		g.syncDead, g.unsynced = time.Time{}, nil
		g.rebalanceDead = now.Add(g.rebalanceTimeout())
	}
	g.completeJoinIfAll(now, e)
}

// rebalanceTimeout is the longest that any member asks for.
func (g *group) rebalanceTimeout() time.Duration {
	longest := time.Duration(0)
	for _, m := range g.members {
		longest = max(longest, m.rebalance)
	}
	return longest
}

// completeJoinIfAll ends the join phase if everybody is there, also those who were promised an id.
func (g *group) completeJoinIfAll(now time.Time, e *Effects) {
	if g.state != PreparingRebalance || len(g.promised) > 0 {
		return
	}
	for _, m := range g.members {
		if m.joining == 0 {
			return
		}
	}
	g.completeJoin(now, e)
}

// completeJoin starts the next generation with those who have joined. Dynamic members that have not are dropped; static
// ones keep their place until their session expires.
func (g *group) completeJoin(now time.Time, e *Effects) {
	joined := 0
	for _, m := range g.ordered() {
		switch {
		case m.joining != 0:
			joined++
		case m.instance == "":
			g.remove(m, kerr.UnknownMemberID, e)
		}
	}
	if joined == 0 && len(g.members) > 0 { // only absent static members are left: wait for them, or their expiry
		g.rebalanceDead = now.Add(g.rebalanceTimeout())
		return
	}
	g.rebalanceDead = time.Time{}
	g.generation++
	if len(g.members) == 0 {
		g.state, g.protocol, g.leader = Empty, "", ""
		g.emptySince = now.UnixMilli()
		e.Records = append(e.Records, g.record())
		return
	}
	if g.members[g.leader].joining == 0 {
		for _, m := range g.ordered() {
			if m.joining != 0 {
				g.leader = m.id
				break
			}
		}
	}
	g.state, g.protocol, g.emptySince = CompletingRebalance, g.choose(), 0 // assignments are the last generation's until the leader's come
	e.Records = append(e.Records, g.record())
	for _, m := range g.ordered() {
		if m.joining == 0 {
			continue
		}
		e.join(m.joining, g.joinResult(m))
		m.joining = 0
		g.touch(m, now)
	}
	g.awaitSyncs(now)
}

// joinResult is what m is told about the present generation.
func (g *group) joinResult(m *member) JoinResult {
	res := JoinResult{
		Generation: g.generation, ProtocolType: g.protocolType, Protocol: g.protocol, Leader: g.leader, MemberID: m.id,
	}
	if m.id == g.leader {
		for _, o := range g.ordered() {
			res.Members = append(res.Members, JoinMember{ID: o.id, InstanceID: o.instance, Metadata: o.subscription(g.protocol)})
		}
	}
	return res
}
