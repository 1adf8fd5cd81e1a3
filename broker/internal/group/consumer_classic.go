package group

import (
	"bytes"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// classicProtocol is what a member of a KIP-848 group has besides, if it speaks the classic protocol. It takes part by JoinGroup, which
// says what it has and takes it to its next epoch, by SyncGroup, which tells it what it may have, and by Heartbeat, which tells it to join
// again when there is a new target, or something to give up or to take. Its epochs are its generations; nobody leads.
type classicProtocol struct {
	session   time.Duration
	protocols []Protocol // at least one; it is told that the first is the group's

	// Memory only (G2).
	joinDead time.Time // it was told to join again, and has until then
	syncDead time.Time // it has joined, and has until then to ask what it may have
}

// protocolName returns Kafka's name of the protocol that a member speaks.
func (m *consumerMember) protocolName() string {
	if m.classic != nil {
		return Classic
	}
	return Consumer
}

// joinConsumers handles JoinGroup to a KIP-848 group that has members. It is answered at once: nobody waits for others there.
func (c *Coordinator) joinConsumers(now time.Time, topics Topics, call Call, g *group, r JoinRequest, e *Effects) *kerr.Error {
	k := g.consumer
	switch {
	case c.config.Migration == NoMigration:
		return kerr.InconsistentGroupProtocol
	case k.full(r.MemberID, r.InstanceID) || k.overlong(r):
		return kerr.GroupMaxSizeReached
	case !k.supports(r.ProtocolType, r.Protocols):
		return kerr.InconsistentGroupProtocol
	case r.MemberID == "" && r.InstanceID == "" && r.RequireMemberID:
		return kerr.MemberIDRequired // it is not noted: a member may come with any id
	}
	m, replaced, err := k.joining(r)
	if err != nil {
		return err
	}
	s, ok := decodeSubscription(r.Protocols[0].Metadata)
	if !ok {
		return kerr.InconsistentGroupProtocol
	}
	defer c.arm(g)
	// The last static member of the new protocol comes back with the old one.
	last := k.members[k.instances[r.InstanceID]]
	downgrade := r.InstanceID != "" && last != nil && last.classic == nil && c.config.Migration.downgrades() && (len(k.members) == 1 || k.onlyClassic(last))
	generation := k.epoch
	raise := g.enter(m, replaced, e)
	raise = m.resubscribe(g.name, r, s) || raise
	m.classic.syncDead = now.Add(m.rebalance)
	m.deadline = now.Add(m.classic.session)
	owned, protocol := partitionsOf(s.owned, topics), m.classic.protocols[0].Name
	if downgrade {
		k.raise(raise, topics, g.name, &Effects{}) // not recorded: the group's own record would, replayed, make it one of KIP-848 again (G1)
		settled := k.settled(m)
		if settled {
			m.reconcile(k, owned, true)
		}
		g.downgrade(now, topics, m.id, generation, !settled, e)
		protocol = g.protocol // where Kafka tells the member's first, which its SyncGroup is refused with
	} else {
		g.settle(now, topics, m, settling{raise: raise, retarget: replaced != nil, owned: owned, known: true}, e)
	}
	e.join(call, JoinResult{Generation: m.epoch, ProtocolType: consumerProtocol, Protocol: protocol, MemberID: m.id})
	return nil
}

// full reports whether there is no room for a member that is not there yet.
func (k *consumerGroup) full(id, instance string) bool {
	_, there := k.members[id]
	_, static := k.instances[instance]
	return len(k.members) >= maxMembers && !there && !(static && instance != "")
}

// overlong reports whether there is no room for what a member of the classic protocol says of itself.
func (k *consumerGroup) overlong(r JoinRequest) bool {
	n := protocolBytes(r.Protocols)
	for _, m := range k.members {
		if m.classic != nil && m.id != r.MemberID && (r.InstanceID == "" || m.instance != r.InstanceID) {
			n += protocolBytes(m.classic.protocols)
		}
	}
	return n > maxProtocolBytes
}

// supports reports whether all members of the classic protocol support one of these protocols.
func (k *consumerGroup) supports(protocolType string, protocols []Protocol) bool {
	return protocolType == consumerProtocol && slices.ContainsFunc(protocols, func(p Protocol) bool {
		for _, m := range k.members {
			if m.classic != nil && !slices.ContainsFunc(m.classic.protocols, func(o Protocol) bool { return o.Name == p.Name }) {
				return false
			}
		}
		return true
	})
}

// joining returns the member that a JoinGroup is from, as sender does for a heartbeat.
func (k *consumerGroup) joining(r JoinRequest) (m, replaced *consumerMember, err *kerr.Error) {
	id := r.MemberID
	if id == "" {
		id = r.NewMemberID
	}
	if r.InstanceID != "" {
		current, there := k.instances[r.InstanceID]
		switch {
		case r.MemberID == "" && there:
			replaced = k.members[current]
			return replaced.successor(id), replaced, nil
		case r.MemberID == "":
		case !there:
			return nil, nil, kerr.UnknownMemberID
		case current != r.MemberID:
			return nil, nil, kerr.FencedInstanceID
		}
	}
	if m = k.members[id]; m == nil {
		m = &consumerMember{id: id, instance: r.InstanceID, dirty: true}
	}
	return m, nil, nil
}

// resubscribe takes what a JoinGroup says of the member, and reports whether it subscribes to something else now.
func (m *consumerMember) resubscribe(group string, r JoinRequest, s subscription) (resubscribed bool) {
	before := m.record(group)
	names := sortedSet(s.topics)
	resubscribed = m.pattern != "" || !slices.Equal(names, m.names)
	m.names, m.pattern, m.matched, m.compiled = names, "", nil, nil
	m.clientID, m.host, m.rebalance = r.ClientID, r.Host, r.RebalanceTimeout
	if s.rack != "" {
		m.rack = s.rack
	}
	m.classic, m.revokeDead = &classicProtocol{session: r.SessionTimeout, protocols: r.Protocols}, time.Time{}
	m.dirty = m.dirty || !bytes.Equal(before, m.record(group))
	return resubscribed
}

// classicMember finds the sender of a request of the classic protocol, in the epoch that it takes for the generation.
func (k *consumerGroup) classicMember(id, instance string, generation int32) (m *consumerMember, err *kerr.Error) {
	if instance != "" {
		if m, err = k.static(instance, id); err == nil && m.id != id {
			err = kerr.FencedInstanceID
		}
	} else if m = k.members[id]; m == nil {
		err = kerr.UnknownMemberID
	}
	switch {
	case err != nil:
		return nil, err
	case m.classic == nil:
		return nil, kerr.UnknownMemberID
	case m.epoch != generation:
		return nil, kerr.IllegalGeneration
	}
	return m, nil
}

// syncConsumers handles SyncGroup of a member of a KIP-848 group.
func (c *Coordinator) syncConsumers(now time.Time, topics Topics, call Call, g *group, r SyncRequest, e *Effects) *kerr.Error {
	m, err := g.consumer.classicMember(r.MemberID, r.InstanceID, r.Generation)
	if err != nil {
		return err
	}
	protocol := m.classic.protocols[0]
	if r.Protocol != nil { // perhaps the one that the group had before its upgrade: it is told what it believes in
		i := slices.IndexFunc(m.classic.protocols, func(p Protocol) bool { return p.Name == *r.Protocol })
		if i < 0 {
			return kerr.InconsistentGroupProtocol
		}
		protocol = m.classic.protocols[i]
	}
	if r.ProtocolType != nil && *r.ProtocolType != consumerProtocol {
		return kerr.InconsistentGroupProtocol
	}
	defer c.arm(g)
	if m.epoch < g.consumer.targetEpoch && m.state != unrevoked {
		m.rejoin(now)
		return kerr.RebalanceInProgress
	}
	m.classic.syncDead = time.Time{}
	m.deadline = now.Add(m.classic.session)
	version := protocolReader{b: protocol.Metadata}
	e.sync(call, SyncResult{
		ProtocolType: consumerProtocol, Protocol: protocol.Name,
		Assignment: encodeAssignment(int16(version.uint16()), namesOf(m.assigned, topics)),
	})
	return nil
}

// rejoin starts the time that a member has to join again, unless it runs already.
func (m *consumerMember) rejoin(now time.Time) {
	if m.classic.joinDead.IsZero() {
		m.classic.joinDead = now.Add(m.rebalance)
	}
}

// heartbeatConsumers handles Heartbeat of a member of a KIP-848 group. It has to join again if there is a target that it has not heard of, if
// it has still to give something up, or if what it waits for is free. Where all members speak the classic protocol, as the policy may leave it,
// it is by their heartbeats that topics which come, go or grow are noticed: nobody leads who would. Kafka waits for the next join.
func (c *Coordinator) heartbeatConsumers(now time.Time, topics Topics, g *group, r HeartbeatRequest, e *Effects) *kerr.Error {
	k := g.consumer
	m, err := k.classicMember(r.MemberID, r.InstanceID, r.Generation)
	if err != nil {
		return err
	}
	defer c.arm(g)
	m.deadline = now.Add(m.classic.session)
	if k.checked != topics.Version() && k.onlyClassic() {
		if k.raise(false, topics, g.name, e); k.epoch > k.targetEpoch {
			k.assign(topics)
			e.Records = append(e.Records, k.targetRecord(g.name))
		}
	}
	if m.epoch < k.targetEpoch || m.state == unrevoked || m.state == unreleased && !k.waits(m) {
		m.rejoin(now)
		return kerr.RebalanceInProgress
	}
	return nil
}

// waits reports whether others still have something that the member is to get.
func (k *consumerGroup) waits(m *consumerMember) bool {
	_, missing := split(k.target[m.id], m.assigned)
	taken := k.taken(m.id, len(missing))
	return slices.ContainsFunc(missing, func(p Partition) bool { _, ok := taken[p]; return ok })
}

// deadlines calls f with every time at which the member is fenced unless something happens before; zero: none.
func (m *consumerMember) deadlines(f func(time.Time)) {
	f(m.deadline)
	f(m.revokeDead)
	if m.classic != nil {
		f(m.classic.joinDead)
		f(m.classic.syncDead)
	}
}
