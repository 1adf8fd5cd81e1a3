package member

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/assign"
)

var seed = flag.Uint64("seed", 0, "run TestSimulation with this seed only")

// TestSimulation runs members against a model of the group's coordinator, with answers that are late or lost, members that are
// killed, thrown out, or leave. It checks M1 to M4 after each step, and at the end that all tasks are run again.
func TestSimulation(t *testing.T) {
	t.Parallel()
	if *seed != 0 {
		simulate(t, *seed)
		return
	}
	for s := uint64(1); s <= 300; s++ {
		simulate(t, s)
	}
}

// sim is the world: instances, the coordinator, and what is under way between them.
type sim struct {
	t         *testing.T
	seed      uint64
	rng       *rand.Rand
	now       time.Time
	tasks     []assign.Task
	instances []*simInstance
	group     simGroup
	names     int
}

// simInstance is a core with its owner.
type simInstance struct {
	name    string
	core    *core
	runs    map[assign.Task]uint64 // incarnation under which the owner started it
	inbox   []event                // answers under way, in no order
	inside  int                    // commits inside the gate
	closing int                    // number of the closing that waits, 0: none
	shut    bool
	gone    bool
}

// simGroup is the coordinator.
type simGroup struct {
	generation int32
	members    map[string]*simMember
	ids        int
	plan       map[string][]byte // of the leader of this generation, nil until it has synced
}

type simMember struct {
	id      string
	in      *simInstance
	meta    memberState
	joining bool // waits for the others to join
	syncing bool // waits for the plan
}

func simulate(t *testing.T, seed uint64) {
	s := &sim{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 3)), now: epoch}
	s.group.members = make(map[string]*simMember)
	for p := range int32(1 + s.rng.IntN(8)) {
		s.tasks = append(s.tasks, assign.Task{Partition: p})
	}
	s.start()
	for range 400 {
		s.step(true)
		s.check()
	}
	if len(s.alive()) == 0 {
		s.start()
	}
	for i := range 5000 { // without faults, all becomes well
		if s.step(false); s.settled() {
			return
		}
		s.check()
		if i == 4999 {
			s.fail("tasks are not all run after all faults have ended: %s", s.show())
		}
	}
}

func (s *sim) fail(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("go test ./runtime/internal/member -run TestSimulation -seed=%d: %s", s.seed, fmt.Sprintf(format, args...))
}

func (s *sim) show() string {
	out := fmt.Sprintf("generation %d", s.group.generation)
	for _, in := range s.alive() {
		c := in.core
		out += fmt.Sprintf("; %s: %s gen %d tasks [%s] revoked [%s] runs %d inbox %d", in.name, c.state, c.generation, showTasks(c.active), showTasks(c.revoked()), len(in.runs), len(in.inbox))
	}
	return out
}

func (s *sim) start() {
	s.names++
	in := &simInstance{name: fmt.Sprintf("i%d", s.names), core: newCore(time.Second, nil), runs: make(map[assign.Task]uint64)}
	s.instances = append(s.instances, in)
	s.feed(in, event{kind: evTick})
}

func (s *sim) alive() []*simInstance {
	return slices.DeleteFunc(slices.Clone(s.instances), func(in *simInstance) bool { return in.gone })
}

// step does one thing somewhere.
func (s *sim) step(faults bool) {
	alive := s.alive()
	var in *simInstance
	if len(alive) > 0 {
		in = alive[s.rng.IntN(len(alive))]
	}
	switch n := s.rng.IntN(100); {
	case in == nil || faults && n < 2 && len(alive) < 5:
		s.start()
	case faults && n < 3: // leaves
		s.feed(in, event{kind: evLeave})
	case faults && n < 5: // killed: what it ran is fenced by whoever takes over
		in.gone = true
	case faults && n < 7: // thrown out
		s.drop(s.group.member(in))
	case faults && n < 9:
		s.feed(in, event{kind: evRejoin, reason: "simulated"})
	case n < 25:
		s.now = s.now.Add(time.Duration(s.rng.IntN(400)) * time.Millisecond)
		s.expire()
		s.feed(in, event{kind: evTick})
		if at := in.core.wake(); !at.IsZero() && !at.After(s.now) {
			s.fail("%s would be woken without end in state %s: at %v, and it is %v", in.name, in.core.state, at, s.now)
		}
	case n < 50:
		s.own(in)
	case n < 60 && in.core.generation >= 0 && !in.shut && in.closing == 0:
		in.inside++
	case n < 70 && in.inside > 0:
		in.inside--
		s.gate(in)
	case len(in.inbox) > 0:
		i := s.rng.IntN(len(in.inbox))
		ev := in.inbox[i]
		in.inbox = slices.Delete(in.inbox, i, i+1)
		if faults && s.rng.IntN(20) == 0 && ev.kind != evGateClosed && ev.kind != evPlanned {
			ev = event{kind: ev.kind, verdict: tryLater, memberID: ev.memberID, generation: ev.generation} // the answer is lost
		}
		s.feed(in, ev)
	}
}

// own lets the owner do some of what the assignment asks for.
func (s *sim) own(in *simInstance) {
	c := in.core
	var released []assign.Task
	for _, t := range slices.SortedFunc(maps.Keys(in.runs), assign.Compare) {
		if (in.runs[t] != c.incarnation || !contains(c.active, t)) && s.rng.IntN(2) == 0 {
			delete(in.runs, t)
		}
	}
	for _, t := range c.revoked() {
		if _, runs := in.runs[t]; !runs {
			released = append(released, t)
		}
	}
	if len(released) > 0 {
		s.feed(in, event{kind: evReleased, tasks: released})
	}
	for _, t := range c.active {
		if _, runs := in.runs[t]; !runs && s.rng.IntN(2) == 0 {
			in.runs[t] = c.incarnation
		}
	}
}

func (s *sim) feed(in *simInstance, ev event) {
	for _, e := range in.core.step(s.now, ev) {
		s.perform(in, e)
	}
}

func (s *sim) gate(in *simInstance) {
	if in.closing != 0 && in.inside == 0 {
		in.inbox = append(in.inbox, event{kind: evGateClosed, gate: in.closing})
		in.closing = 0
	}
}

func (s *sim) perform(in *simInstance, e effect) {
	switch e.kind {
	case doCloseGate:
		in.shut, in.closing = true, e.gate
		s.gate(in)
	case doOpenGate:
		in.shut, in.closing = false, 0
	case doJoin:
		if in.inside > 0 {
			s.fail("M2: %s joins with %d commits inside", in.name, in.inside)
		}
		for t, incarnation := range in.runs {
			switch {
			case incarnation != in.core.incarnation:
				s.fail("M1: %s joins anew while it runs %v, which is lost", in.name, t)
			case !contains(e.claims, t):
				s.fail("M3: %s runs %v and does not claim it", in.name, t)
			}
		}
		s.join(in, e)
	case doPlan:
		in.inbox = append(in.inbox, event{kind: evPlanned, generation: e.generation, plan: s.plan(e.members)})
	case doSync:
		s.sync(in, e)
	case doHeartbeat:
		ev := event{kind: evHeartbeat, memberID: e.memberID, generation: e.generation}
		switch m := s.group.members[e.memberID]; {
		case m == nil:
			ev.verdict = memberLost
		case e.generation != s.group.generation || s.group.preparing():
			ev.verdict = rebalance
		}
		in.inbox = append(in.inbox, ev)
	case doLeave:
		s.drop(s.group.members[e.memberID])
	case doStop:
		if e.err != nil {
			s.fail("%s stopped: %v", in.name, e.err)
		}
		in.gone = true
	}
}

func (g *simGroup) member(in *simInstance) *simMember {
	for _, m := range g.members {
		if m.in == in {
			return m
		}
	}
	return nil
}

func (g *simGroup) preparing() bool {
	for _, m := range g.members {
		if m.joining {
			return true
		}
	}
	return false
}

func (s *sim) join(in *simInstance, e effect) {
	m := s.group.members[e.memberID]
	if m == nil && e.memberID != "" {
		in.inbox = append(in.inbox, event{kind: evJoined, verdict: memberLost})
		return
	}
	if m == nil {
		s.group.ids++
		m = &simMember{id: fmt.Sprintf("m%02d", s.group.ids), in: in}
		s.group.members[m.id] = m
	}
	m.meta = memberState{id: m.id, subscription: subscription{generation: e.claimed, user: userData{owned: e.claims, previous: e.previous}}}
	s.unsync()
	m.joining = true
	s.complete()
}

// unsync tells those that wait for the plan that they have to join anew.
func (s *sim) unsync() {
	for _, id := range slices.Sorted(maps.Keys(s.group.members)) {
		if m := s.group.members[id]; m.syncing {
			m.syncing = false
			m.in.inbox = append(m.in.inbox, event{kind: evSynced, verdict: rebalance, generation: s.group.generation})
		}
	}
}

// complete ends the joining when all members have joined.
func (s *sim) complete() {
	if !s.group.preparing() {
		return
	}
	ids := slices.Sorted(maps.Keys(s.group.members))
	var metas []memberState
	for _, id := range ids {
		if !s.group.members[id].joining {
			return
		}
		metas = append(metas, s.group.members[id].meta)
	}
	s.group.generation++
	s.group.plan = nil
	for _, id := range ids {
		m := s.group.members[id]
		m.joining = false
		m.in.inbox = append(m.in.inbox, event{kind: evJoined, memberID: id, generation: s.group.generation, leader: id == ids[0], members: metas})
	}
}

func (s *sim) plan(members []memberState) map[string][]byte {
	var instances []assign.Instance
	for _, m := range members {
		instances = append(instances, assign.Instance{ID: m.id, Owned: m.user.owned, Generation: m.generation, Previous: m.user.previous})
	}
	plan := make(map[string][]byte)
	for id, active := range assign.Assign(instances, s.tasks, assign.Config{}).Active {
		a := assignment{tasks: active}
		plan[id] = a.encode(userDataVersion)
	}
	return plan
}

func (s *sim) sync(in *simInstance, e effect) {
	m := s.group.members[e.memberID]
	ev := event{kind: evSynced, generation: e.generation}
	switch {
	case m == nil:
		ev.verdict = memberLost
	case e.generation != s.group.generation || s.group.preparing():
		ev.verdict = rebalance
	default:
		m.syncing = true
		if e.plan != nil && s.group.plan == nil {
			s.group.plan = e.plan
		}
		s.synced()
		return
	}
	in.inbox = append(in.inbox, ev)
}

func (s *sim) synced() {
	if s.group.plan == nil {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(s.group.members)) {
		m := s.group.members[id]
		if !m.syncing {
			continue
		}
		m.syncing = false
		a, err := decodeAssignment(s.group.plan[id])
		if err != nil {
			s.fail("%v", err)
		}
		m.in.inbox = append(m.in.inbox, event{kind: evSynced, generation: s.group.generation, tasks: a.tasks})
	}
}

// drop takes a member out of the group; the others have to join anew.
func (s *sim) drop(m *simMember) {
	if m == nil {
		return
	}
	delete(s.group.members, m.id)
	if m.joining {
		m.in.inbox = append(m.in.inbox, event{kind: evJoined, verdict: memberLost})
	}
	if m.syncing {
		m.in.inbox = append(m.in.inbox, event{kind: evSynced, verdict: memberLost, generation: s.group.generation})
	}
	s.complete()
	if len(s.group.members) > 0 && !s.group.preparing() { // as if the session timer of one of them had begun a rebalance
		s.unsync()
		s.group.generation++
		s.group.plan = nil
	}
}

// expire drops the members of instances that are gone, and those of an earlier life that nobody answers for.
func (s *sim) expire() {
	for _, id := range slices.Sorted(maps.Keys(s.group.members)) {
		m := s.group.members[id]
		orphan := m.in.gone || m.in.core.memberID != id && !m.joining && !slices.ContainsFunc(m.in.inbox, func(ev event) bool { return ev.memberID == id })
		if orphan {
			s.drop(m)
		}
	}
}

// check looks for tasks that two members run at once, each of them in good standing: members whose owner does not know yet
// that it is lost are fenced at their commit (G1), and killed ones by their successors.
func (s *sim) check() {
	s.t.Helper()
	runs := make(map[assign.Task]string)
	for _, in := range s.alive() {
		if s.group.members[in.core.memberID] == nil {
			continue
		}
		for t, incarnation := range in.runs {
			if incarnation != in.core.incarnation {
				continue
			}
			if other, twice := runs[t]; twice {
				s.fail("M4: %v is run by %s and %s: %s", t, other, in.name, s.show())
			}
			runs[t] = in.name
		}
	}
}

func (s *sim) settled() bool {
	runs := 0
	for _, in := range s.alive() {
		if in.core.state != stable || len(in.core.revoked()) > 0 || in.core.generation != s.group.generation {
			return false
		}
		for t, incarnation := range in.runs {
			if incarnation == in.core.incarnation && contains(in.core.active, t) {
				runs++
			}
		}
	}
	return runs == len(s.tasks)
}
