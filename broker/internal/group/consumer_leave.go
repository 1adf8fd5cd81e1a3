package group

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// leaveConsumer handles a heartbeat by which a member leaves. A static one may come back: it keeps its place until its session ends.
func (c *Coordinator) leaveConsumer(r ConsumerHeartbeatRequest, e *Effects) (ConsumerHeartbeatResult, *fault) {
	g, f := c.consumerGroup(r.Group, false)
	if f != nil {
		return ConsumerHeartbeatResult{}, f
	}
	m := g.consumer.members[r.MemberID]
	var err *kerr.Error
	if r.InstanceID != nil {
		m, err = g.consumer.static(*r.InstanceID, r.MemberID)
	} else if m == nil {
		err = kerr.UnknownMemberID
	}
	if err != nil {
		return ConsumerHeartbeatResult{}, &fault{err, "Member " + r.MemberID + " is not a member of group " + r.Group + "."}
	}
	if r.MemberEpoch == leaveStaticEpoch {
		m.epoch, m.revoking, m.revokeDead = leaveStaticEpoch, nil, time.Time{}
		e.Records = append(e.Records, m.record(g.name))
	} else {
		g.fence(e, m)
	}
	return ConsumerHeartbeatResult{MemberID: r.MemberID, MemberEpoch: r.MemberEpoch}, nil
}

// fence takes members out. The next heartbeat of another one makes a target without them.
func (g *group) fence(e *Effects, members ...*consumerMember) {
	for _, m := range members {
		g.consumer.remove(m)
		e.Records = append(e.Records, encodeConsumerGone(g.name, m.id))
	}
	k := g.consumer
	k.epoch++
	e.Records = append(e.Records, k.record(g.name))
	if len(k.members) == 0 { // nobody is left who would make a target
		k.targetEpoch = k.epoch
		e.Records = append(e.Records, k.targetRecord(g.name))
	}
}

// leaveByAdmin handles LeaveGroup, by which an administrator takes members out.
func (g *group) leaveByAdmin(members []LeaveMember, results []*kerr.Error, e *Effects) {
	var gone []*consumerMember
	for i, lm := range members {
		m := g.consumer.members[lm.MemberID]
		var err *kerr.Error
		if lm.InstanceID != "" {
			m, err = g.consumer.static(lm.InstanceID, lm.MemberID)
		} else if m == nil {
			err = kerr.UnknownMemberID
		}
		if err == nil && slices.Contains(gone, m) { // named twice
			err = kerr.UnknownMemberID
		}
		if results[i] = err; err == nil {
			gone = append(gone, m)
		}
	}
	if len(gone) > 0 {
		g.fence(e, gone...)
	}
}

// expireConsumers fences the members that were not heard of, or have not given up what they had to.
func (g *group) expireConsumers(now time.Time, e *Effects) {
	due := func(t time.Time) bool { return !t.IsZero() && !t.After(now) }
	var gone []*consumerMember
	for _, id := range sortedKeys(g.consumer.members) {
		if m := g.consumer.members[id]; due(m.deadline) || due(m.revokeDead) {
			gone = append(gone, m)
		}
	}
	if len(gone) > 0 {
		g.fence(e, gone...)
	}
}

// recovered starts the timers of what was replayed (G2).
func (k *consumerGroup) recovered(now time.Time, session time.Duration) {
	for _, m := range k.members {
		m.deadline = now.Add(session)
		if m.state == unrevoked && m.epoch != leaveStaticEpoch {
			m.revokeDead = now.Add(m.rebalance)
		}
	}
}
