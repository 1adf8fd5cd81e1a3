package sim

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/runtime/internal/client"
)

// group is the coordinator of the one group: the classic protocol.
type group struct {
	generation int32
	state      groupState
	members    map[string]*groupMember
	leader     string
	names      int
	deadline   time.Time // of joining
	now        time.Time
}

type groupState uint8

const (
	groupEmpty groupState = iota
	groupJoining
	groupSyncing
	groupStable
)

type groupMember struct {
	id, instance string
	meta         []byte
	session      time.Duration
	rebalance    time.Duration
	seen         time.Time
	joined       int // number of the round in which it joined
	waiting      bool
	plan         []byte
}

func newGroup(now time.Time) *group {
	return &group{members: make(map[string]*groupMember), now: now}
}

// find returns the member that an identity names.
func (g *group) find(memberID, instance string) (*groupMember, error) {
	m := g.members[memberID]
	switch {
	case m != nil:
		return m, nil
	case instance != "" && g.ofInstance(instance) != nil:
		return nil, kerr.FencedInstanceID
	default:
		return nil, kerr.UnknownMemberID
	}
}

func (g *group) ofInstance(instance string) *groupMember {
	for _, m := range g.members {
		if m.instance == instance {
			return m
		}
	}
	return nil
}

// validate checks who commits offsets in a transaction. One who names neither member nor generation is let through, as a
// producer without a group always was.
func (g *group) validate(id client.Identity) error {
	if id.MemberID == "" && id.Generation < 0 {
		return nil
	}
	if _, err := g.find(id.MemberID, id.InstanceID); err != nil {
		return err
	}
	if id.Generation != g.generation {
		return kerr.IllegalGeneration
	}
	return nil
}

// join registers a member for the next generation. The answer comes when all have joined.
func (g *group) join(r client.JoinRequest) (*groupMember, error) {
	m, err := g.find(r.MemberID, r.InstanceID)
	if r.MemberID == "" {
		if old := g.ofInstance(r.InstanceID); old != nil { // its past is fenced
			delete(g.members, old.id)
		}
		g.names++
		m, err = &groupMember{id: fmt.Sprintf("m%02d", g.names), instance: r.InstanceID}, nil
		g.members[m.id] = m
	}
	if err != nil {
		return nil, err
	}
	m.meta, m.session, m.rebalance, m.seen, m.waiting = r.Metadata, r.SessionTimeout, r.RebalanceTimeout, g.now, true
	if g.state != groupJoining {
		g.begin()
	}
	m.joined = int(g.generation) + 1
	g.complete()
	return m, nil
}

// begin begins a round of joining.
func (g *group) begin() {
	g.state, g.deadline = groupJoining, g.now
	for _, m := range g.members {
		if at := g.now.Add(m.rebalance); at.After(g.deadline) {
			g.deadline = at
		}
	}
}

// complete ends the round when all have joined.
func (g *group) complete() {
	if g.state != groupJoining {
		return
	}
	for _, m := range g.members {
		if m.joined != int(g.generation)+1 {
			return
		}
	}
	g.state = groupSyncing
	if len(g.members) == 0 {
		g.state = groupEmpty
	}
	g.generation++
	if g.members[g.leader] == nil && len(g.members) > 0 {
		g.leader = slices.Min(slices.Collect(maps.Keys(g.members)))
	}
	for _, m := range g.members {
		m.seen, m.waiting, m.plan = g.now, false, nil
	}
}

// joinAnswer returns the answer to a member that has joined; false while the round goes on.
func (g *group) joinAnswer(m *groupMember) (client.JoinAnswer, bool, error) {
	if g.members[m.id] != m {
		return client.JoinAnswer{}, true, kerr.UnknownMemberID
	}
	if m.waiting {
		return client.JoinAnswer{}, false, nil
	}
	a := client.JoinAnswer{MemberID: m.id, Generation: g.generation, Leader: g.leader == m.id}
	if a.Leader {
		for _, id := range slices.Sorted(maps.Keys(g.members)) {
			a.Members = append(a.Members, client.JoinMember{MemberID: id, Metadata: g.members[id].meta})
		}
	}
	return a, true, nil
}

// sync takes the leader's plan and returns a member's share; false while there is none.
func (g *group) sync(id client.Identity, plan map[string][]byte) ([]byte, bool, error) {
	m, err := g.find(id.MemberID, id.InstanceID)
	switch {
	case err != nil:
		return nil, true, err
	case id.Generation != g.generation:
		return nil, true, kerr.IllegalGeneration
	case g.state == groupJoining:
		return nil, true, kerr.RebalanceInProgress
	}
	m.seen = g.now
	if g.state == groupSyncing && plan != nil {
		for _, m := range g.members {
			m.plan = plan[m.id]
		}
		g.state = groupStable
	}
	if g.state == groupSyncing {
		m.waiting = true
		return nil, false, nil
	}
	m.waiting = false
	return m.plan, true, nil
}

func (g *group) heartbeat(id client.Identity) error {
	m, err := g.find(id.MemberID, id.InstanceID)
	switch {
	case err != nil:
		return err
	case id.Generation != g.generation:
		return kerr.IllegalGeneration
	}
	m.seen = g.now
	if g.state == groupJoining {
		return kerr.RebalanceInProgress
	}
	return nil
}

// drop takes a member out.
func (g *group) drop(id string) {
	if g.members[id] == nil {
		return
	}
	delete(g.members, id)
	if g.state != groupJoining {
		g.begin()
	}
	g.complete()
}

// expire drops those that have not been heard of, and in a round that takes too long those that have not joined.
func (g *group) expire(now time.Time) {
	g.now = now
	for _, id := range slices.Sorted(maps.Keys(g.members)) {
		m := g.members[id]
		late := g.state == groupJoining && now.After(g.deadline) && m.joined != int(g.generation)+1
		if late || !m.waiting && now.Sub(m.seen) >= m.session {
			g.drop(id)
		}
	}
}
