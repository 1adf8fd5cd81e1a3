package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// SyncRequest is SyncGroup.
type SyncRequest struct {
	Group, MemberID, InstanceID string
	Generation                  int32
	// ProtocolType and Protocol are compared if they are set (version 5).
	ProtocolType, Protocol *string
	// Assignments come from the leader, by member id.
	Assignments map[string][]byte
}

// SyncResult answers SyncGroup.
type SyncResult struct {
	Err                    *kerr.Error
	ProtocolType, Protocol string
	Assignment             []byte
}

// Sync handles SyncGroup. The reply comes in these effects or in later ones.
func (c *Coordinator) Sync(now time.Time, topics Topics, call Call, r SyncRequest) Effects {
	var e Effects
	if err := c.sync(now, topics, call, r, &e); err != nil {
		e.sync(call, SyncResult{Err: err})
	}
	return e
}

func (c *Coordinator) sync(now time.Time, topics Topics, call Call, r SyncRequest, e *Effects) *kerr.Error {
	if g := c.groups[r.Group]; g != nil && g.consumer != nil {
		return c.syncConsumers(now, topics, call, g, r, e)
	}
	g, m, err := c.member(r.Group, r.MemberID, r.InstanceID, r.Generation)
	if err != nil {
		return err
	}
	if (r.ProtocolType != nil && *r.ProtocolType != g.protocolType) ||
		(r.Protocol != nil && *r.Protocol != g.protocol && g.state != PreparingRebalance) { // there it may be what it was before a downgrade
		return kerr.InconsistentGroupProtocol
	}
	defer c.arm(g)
	switch g.state {
	case PreparingRebalance:
		return kerr.RebalanceInProgress
	case CompletingRebalance:
		g.touch(m, now)
		g.answerSync(m, SyncResult{Err: kerr.RebalanceInProgress}, e) // the client gave up on its earlier request
		m.syncing = call
		delete(g.unsynced, m.id)
		if m.id == g.leader {
			g.assign(r.Assignments, e)
		}
	case Stable:
		g.touch(m, now)
		e.sync(call, g.syncResult(m))
	default:
		return kerr.UnknownMemberID
	}
	return nil
}

// assign takes the leader's assignment, which makes the generation stable, and answers all who wait for it.
func (g *group) assign(assignments map[string][]byte, e *Effects) {
	g.state = Stable
	for _, m := range g.members {
		m.assignment = assignments[m.id]
	}
	e.Records = append(e.Records, g.record())
	for _, m := range g.ordered() {
		g.answerSync(m, g.syncResult(m), e)
	}
}

func (g *group) syncResult(m *member) SyncResult {
	return SyncResult{ProtocolType: g.protocolType, Protocol: g.protocol, Assignment: m.assignment}
}

// answerSync answers m's waiting SyncGroup, if there is one.
func (g *group) answerSync(m *member, r SyncResult, e *Effects) {
	if m.syncing != 0 {
		e.sync(m.syncing, r)
		m.syncing = 0
	}
}

// awaitSyncs starts the time that members have to follow up a join with a SyncGroup.
func (g *group) awaitSyncs(now time.Time) {
	g.syncDead = now.Add(g.rebalanceTimeout())
	g.unsynced = make(map[string]struct{}, len(g.members))
	for id := range g.members {
		g.unsynced[id] = struct{}{}
	}
}

// member finds the sender of a request in the present generation of its group.
func (c *Coordinator) member(name, id, instance string, generation int32) (*group, *member, *kerr.Error) {
	if name == "" {
		return nil, nil, kerr.InvalidGroupID
	}
	g := c.groups[name]
	if g == nil {
		return nil, nil, kerr.UnknownMemberID
	}
	m, err := g.find(id, instance)
	if err != nil {
		return nil, nil, err
	}
	if generation != g.generation {
		return nil, nil, kerr.IllegalGeneration
	}
	return g, m, nil
}
