package group

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// leaveConsumer handles a heartbeat by which a member leaves. A static one may come back: it keeps its place until its session ends.
func (c *Coordinator) leaveConsumer(now time.Time, topics Topics, r ConsumerHeartbeatRequest, e *Effects) (ConsumerHeartbeatResult, *fault) {
	g, _, f := c.consumerGroup(r.Group, topics, false)
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
		c.fence(now, topics, g, e, m)
		c.arm(g)
	}
	return ConsumerHeartbeatResult{MemberID: r.MemberID, MemberEpoch: r.MemberEpoch}, nil
}

// fence takes members out. The next heartbeat of another one makes a target without them. If only members of the classic protocol are left,
// the group becomes a classic one.
func (c *Coordinator) fence(now time.Time, topics Topics, g *group, e *Effects, members ...*consumerMember) {
	k := g.consumer
	for _, m := range members {
		k.remove(m)
	}
	onlyClassic := k.onlyClassic()
	if onlyClassic && c.config.Migration.downgrades() {
		g.downgrade(now, topics, "", k.epoch, true, e)
		return
	}
	for _, m := range members {
		e.Records = append(e.Records, encodeConsumerGone(g.name, m.id))
	}
	k.epoch++
	e.Records = append(e.Records, k.record(g.name))
	if onlyClassic { // no heartbeat of theirs makes a target
		k.assign(topics)
	}
	if len(k.members) == 0 { // nobody is left who would make a target
		k.targetEpoch = k.epoch
	}
	if k.targetEpoch == k.epoch {
		e.Records = append(e.Records, k.targetRecord(g.name))
	}
}

// leaveConsumers handles LeaveGroup, by which members of the classic protocol leave, and an administrator takes members out.
func (c *Coordinator) leaveConsumers(now time.Time, topics Topics, g *group, members []LeaveMember, results []*kerr.Error, e *Effects) {
	var gone []*consumerMember
	for i, lm := range members {
		m := g.consumer.members[lm.MemberID]
		var err *kerr.Error
		if lm.InstanceID != "" {
			m, err = g.consumer.static(lm.InstanceID, lm.MemberID)
		} else if m == nil {
			err = kerr.UnknownMemberID
		}
		if results[i] = err; err == nil && !slices.Contains(gone, m) {
			gone = append(gone, m)
		}
	}
	if len(gone) > 0 {
		c.fence(now, topics, g, e, gone...)
	}
}

// expireConsumers fences the members that were not heard of, or have not done in time what they had to.
func (c *Coordinator) expireConsumers(now time.Time, topics Topics, g *group, e *Effects) {
	var gone []*consumerMember
	for _, id := range sortedKeys(g.consumer.members) {
		m, due := g.consumer.members[id], false
		m.deadlines(func(t time.Time) { due = due || !t.IsZero() && !t.After(now) })
		if due {
			gone = append(gone, m)
		}
	}
	if len(gone) > 0 {
		c.fence(now, topics, g, e, gone...)
	}
}

// recovered starts the timers of what was replayed (G2).
func (k *consumerGroup) recovered(now time.Time, session time.Duration) {
	for _, m := range k.members {
		m.deadline = now.Add(session)
		if m.classic != nil {
			m.deadline = now.Add(m.classic.session)
		} else if m.state == unrevoked && m.epoch != leaveStaticEpoch {
			m.revokeDead = now.Add(m.rebalance)
		}
	}
}
