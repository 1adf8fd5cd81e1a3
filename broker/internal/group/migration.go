package group

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Migration says which groups may change their protocol while they have members (group.consumer.migration.policy).
type Migration uint8

// The policies. An empty group becomes what the next one that joins asks for in any case.
const (
	// Bidirectional: both of the others.
	Bidirectional Migration = iota
	// UpgradeOnly: a classic group becomes one of KIP-848 when a member of that protocol joins.
	UpgradeOnly
	// DowngradeOnly: a group of KIP-848 becomes a classic one when only members of that protocol are left in it.
	DowngradeOnly
	// NoMigration: neither, and a group of KIP-848 has no members of the classic protocol.
	NoMigration
)

func (m Migration) upgrades() bool   { return m == Bidirectional || m == UpgradeOnly }
func (m Migration) downgrades() bool { return m == Bidirectional || m == DowngradeOnly }

// upgraded returns what a classic group with members would be as one of KIP-848: they are where their last assignment has put them, in the
// epoch of their generation. The group is not changed.
func (g *group) upgraded(topics Topics) (*consumerGroup, *fault) {
	if g.protocolType != consumerProtocol {
		return nil, notUpgraded(g.name, "its members do not use the consumer protocol.")
	}
	protocol := g.protocol
	if g.state == PreparingRebalance { // whoever has joined since may not support that of the last generation
		protocol = g.choose()
	}
	k := newConsumerGroup()
	k.epoch, k.targetEpoch = g.generation, g.generation
	taken := make(map[Partition]struct{})
	for _, m := range g.ordered() {
		x, why := m.upgraded(protocol, g.state, topics)
		if why != "" {
			return nil, notUpgraded(g.name, why)
		}
		// A client may claim what another has been given meanwhile (G6).
		x.assigned = slices.DeleteFunc(x.assigned, func(p Partition) bool { _, ok := taken[p]; return ok })
		for _, p := range x.assigned {
			taken[p] = struct{}{}
		}
		x.epoch, x.previous = g.generation, g.generation
		x.noteEpochs()
		k.add(x)
		k.target[x.id] = x.assigned
	}
	k.topics, k.checked = k.digest(topics), topics.Version()
	return k, nil
}

func notUpgraded(name, why string) *fault {
	return &fault{kerr.GroupIDNotFound, "Classic group " + name + " cannot become a consumer group: " + why}
}

// upgraded returns what a member would be in a KIP-848 group, or why it cannot be in one. In a rebalance it may have what it was given before,
// or, if that rebalance was begun anew, what it has said that it has.
func (m *member) upgraded(protocol string, state State, topics Topics) (x *consumerMember, why string) {
	s, ok := decodeSubscription(m.subscription(protocol))
	if !ok {
		return nil, "the subscription of member " + m.id + " cannot be read."
	}
	assigned := s.owned
	if len(m.assignment) > 0 {
		var custom bool
		switch assigned, custom, ok = decodeAssignment(m.assignment); {
		case !ok:
			return nil, "the assignment of member " + m.id + " cannot be read."
		case custom:
			return nil, "its assignor has user data, which would be lost. Switch to an assignor without before."
		}
	} else if state == Stable {
		assigned = nil
	}
	return &consumerMember{
		id: m.id, instance: m.instance, rack: s.rack, clientID: m.clientID, host: m.host, rebalance: m.rebalance,
		names: sortedSet(s.topics), assigned: partitionsOf(assigned, topics),
		classic: &classicProtocol{session: m.session, protocols: m.protocols},
	}, ""
}

// upgrade puts k in the place of the classic group. Who waits there is told to join again.
func (g *group) upgrade(now time.Time, k *consumerGroup, e *Effects) {
	for _, m := range g.ordered() {
		if m.joining != 0 {
			e.join(m.joining, JoinResult{Err: kerr.RebalanceInProgress, MemberID: m.id, Generation: noGeneration})
		}
		g.answerSync(m, SyncResult{Err: kerr.RebalanceInProgress}, e)
	}
	g.becomeConsumer(k)
	if len(k.members) == 0 { // it was empty: the member that joins is recorded, and the group with it
		return
	}
	e.Records = append(e.Records, k.record(g.name))
	for _, id := range sortedKeys(k.members) {
		m := k.members[id]
		m.deadline = now.Add(m.classic.session)
		e.Records = append(e.Records, m.record(g.name))
	}
	e.Records = append(e.Records, k.targetRecord(g.name))
}

// onlyClassic reports whether all members, without some, speak the classic protocol. There has to be one.
func (k *consumerGroup) onlyClassic(except ...*consumerMember) bool {
	left := 0
	for _, m := range k.members {
		if slices.Contains(except, m) {
			continue
		}
		if m.classic == nil {
			return false
		}
		left++
	}
	return left > 0
}

// settled reports whether all members but one have what the target gives them, and know it.
func (k *consumerGroup) settled(except *consumerMember) bool {
	for _, m := range k.members {
		if m != except && (m.state != reconciled || m.epoch != k.targetEpoch) {
			return false
		}
	}
	return k.epoch == k.targetEpoch
}

// downgrade makes the group a classic one again, of those who are left in it, which all speak that protocol. If it is settled they have what
// the target gives them. Else they are told to join again, and until then have what they had: should the group be upgraded before, nobody else
// must get that (G6), where Kafka goes by the target that they have not heard of. So are they if somebody but joins, who is told the group's
// protocol with the answer, believes in another one: its SyncGroup may be on its way, and would be refused for good.
func (g *group) downgrade(now time.Time, topics Topics, joins string, generation int32, rebalance bool, e *Effects) {
	k := g.consumer
	g.consumer = nil
	g.state, g.generation, g.protocolType, g.emptySince = Stable, generation, consumerProtocol, 0
	for _, id := range sortedKeys(k.members) {
		x := k.members[id]
		g.add(&member{
			id: id, instance: x.instance, clientID: x.clientID, host: x.host, session: x.classic.session, rebalance: x.rebalance,
			protocols: x.classic.protocols, deadline: now.Add(x.classic.session),
		})
	}
	g.protocol = g.choose()
	for id, m := range g.members {
		rebalance = rebalance || id != joins && m.protocols[0].Name != g.protocol
	}
	for id, m := range g.members {
		has := k.target[id]
		if rebalance {
			has = k.members[id].has()
		}
		version := protocolReader{b: m.subscription(g.protocol)}
		m.assignment = encodeAssignment(int16(version.uint16()), namesOf(has, topics))
	}
	if rebalance {
		g.prepare(now, e)
	}
	e.Records = append(e.Records, g.record())
}
