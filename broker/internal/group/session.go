package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// HeartbeatRequest is Heartbeat.
type HeartbeatRequest struct {
	Group, MemberID, InstanceID string
	Generation                  int32
}

// Heartbeat handles Heartbeat. Only in PreparingRebalance does it tell the member to rejoin: in CompletingRebalance the
// member already belongs to the new generation.
func (c *Coordinator) Heartbeat(now time.Time, topics Topics, r HeartbeatRequest) (e Effects, err *kerr.Error) {
	if g := c.groups[r.Group]; g != nil && g.consumer != nil {
		err = c.heartbeatConsumers(now, topics, g, r, &e)
		return e, err
	}
	g, m, err := c.member(r.Group, r.MemberID, r.InstanceID, r.Generation)
	if err != nil {
		return e, err
	}
	g.touch(m, now)
	if g.state == PreparingRebalance {
		return e, kerr.RebalanceInProgress
	}
	return e, nil
}

// touch starts m's session anew. The session of a member that waits for a join does not run.
func (g *group) touch(m *member, now time.Time) {
	if m.joining == 0 {
		m.deadline = now.Add(m.session)
	}
}

// LeaveMember is one member of a LeaveGroup request: by its id, or by its instance id alone (an administrator's removal
// of a static member).
type LeaveMember struct{ MemberID, InstanceID string }

// Leave handles LeaveGroup, and returns one result for each of members. groupErr is set if the group itself is refused.
func (c *Coordinator) Leave(now time.Time, topics Topics, name string, members []LeaveMember) (e Effects, results []*kerr.Error, groupErr *kerr.Error) {
	if name == "" {
		return e, nil, kerr.InvalidGroupID
	}
	results = make([]*kerr.Error, len(members))
	g := c.groups[name]
	if g == nil {
		for i := range results {
			results[i] = kerr.UnknownMemberID
		}
		return e, results, nil
	}
	defer c.arm(g)
	if g.consumer != nil {
		c.leaveConsumers(now, topics, g, members, results, &e)
		return e, results, nil
	}
	left := false
	for i, lm := range members {
		if _, ok := g.promised[lm.MemberID]; ok {
			delete(g.promised, lm.MemberID)
			left = true
			continue
		}
		id := lm.MemberID
		if current, ok := g.instances[lm.InstanceID]; ok && lm.InstanceID != "" && id == "" {
			id = current
		}
		m, err := g.find(id, lm.InstanceID)
		if err != nil {
			results[i] = err
			continue
		}
		g.remove(m, kerr.UnknownMemberID, &e)
		left = true
	}
	if left {
		g.shrunk(now, &e)
	}
	return e, results, nil
}

// shrunk goes on after members, or promised ones, have gone.
func (g *group) shrunk(now time.Time, e *Effects) {
	switch g.state {
	case PreparingRebalance:
		g.completeJoinIfAll(now, e)
	case CompletingRebalance, Stable:
		g.prepare(now, e)
	case Empty:
	}
}

// expire lets everything of a classic group pass that is due by now.
func (g *group) expire(now time.Time, e *Effects) {
	due := func(t time.Time) bool { return !t.IsZero() && !t.After(now) }
	changed := false
	for _, id := range sortedKeys(g.promised) {
		if due(g.promised[id]) {
			delete(g.promised, id)
			changed = true
		}
	}
	late := g.state == CompletingRebalance && due(g.syncDead)
	for _, m := range g.ordered() {
		_, unsynced := g.unsynced[m.id]
		if m.joining == 0 && (due(m.deadline) || late && unsynced) {
			g.remove(m, kerr.UnknownMemberID, e)
			changed = true
		}
	}
	if late {
		g.syncDead = time.Time{}
	}
	if changed {
		g.shrunk(now, e)
	}
	if g.state == PreparingRebalance && due(g.rebalanceDead) {
		g.completeJoin(now, e)
	}
}

// earliest returns when expire has something to do, or zero for never.
func (g *group) earliest() time.Time {
	var first time.Time
	consider := func(t time.Time) {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	if g.consumer != nil {
		for _, m := range g.consumer.members {
			m.deadlines(consider)
		}
		return first
	}
	for _, m := range g.members {
		if m.joining == 0 {
			consider(m.deadline)
		}
	}
	for _, t := range g.promised {
		consider(t)
	}
	if g.state == PreparingRebalance {
		consider(g.rebalanceDead)
	}
	if g.state == CompletingRebalance {
		consider(g.syncDead)
	}
	return first
}
