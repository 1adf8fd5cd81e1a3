package member

import (
	"fmt"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/assign"
	"github.com/millrace-io/millrace/runtime/internal/client"
)

// state is where the membership stands; the drawing is in the package comment.
type state uint8

const (
	idle     state = iota // not a member, lost tasks not all released
	waiting               // for the gate to close, or for a while after a refusal
	joining               // a JoinGroup is in flight
	planning              // leader: the plan is being made
	syncing               // a SyncGroup is in flight, or about to be sent again
	stable
	left
)

var stateNames = [...]string{"idle", "waiting", "joining", "planning", "syncing", "stable", "left"}

func (s state) String() string { return stateNames[s] }

// verdict is what an answer says, apart from its contents.
type verdict uint8

const (
	fine       verdict = iota
	tryLater           // nothing came of it: the coordinator moves, or the network failed
	giveID             // JoinGroup: join again with the member id in the answer
	rebalance          // the group rebalances, or has a newer generation
	memberLost         // the group does not know the member
	fatal
)

// eventKind is what happened.
type eventKind uint8

const (
	evTick       eventKind = iota // time has passed
	evGateClosed                  // no commit is in flight and none begins
	evJoined                      // JoinGroup answered
	evPlanned                     // the plan is there
	evSynced                      // SyncGroup answered
	evHeartbeat                   // Heartbeat answered
	evReleased                    // the owner no longer runs tasks
	evRejoin                      // the owner wants a rebalance
	evStopAll                     // the owner wants all members to stop
	evRefused                     // a commit was refused: find out now
	evLeave                       // the owner leaves
)

// event is an input of the core. Fields are set as the kind needs them.
type event struct {
	kind       eventKind
	verdict    verdict
	err        error // of a fatal verdict or a plan
	memberID   string
	generation int32
	leader     bool                    // evJoined
	members    []memberState           // evJoined of the leader
	tasks      []assign.Task           // evSynced: what this member may run; evReleased
	partitions []client.TopicPartition // evSynced: what those read
	copies     copies                  // evSynced
	stop       bool                    // evSynced: all members are to stop
	plan       map[string][]byte       // evPlanned: what to tell each member
	probe      time.Duration           // evPlanned: look again after that; 0: not
	reason     string                  // evRejoin
	gate       int                     // evGateClosed: which closing
}

// effectKind is what the shell has to do.
type effectKind uint8

const (
	doCloseGate effectKind = iota // let no commit begin, wait for those in flight, then evGateClosed
	doOpenGate
	doJoin      // send JoinGroup, then evJoined
	doPlan      // leader: make the plan, then evPlanned
	doSync      // send SyncGroup, then evSynced
	doHeartbeat // send Heartbeat, then evHeartbeat
	doLeave     // send LeaveGroup
	doStop      // the membership has ended, with err if it failed
)

// effect is an output of the core.
type effect struct {
	kind       effectKind
	memberID   string
	generation int32
	claims     []assign.Task           // doJoin: what it runs
	claimed    int32                   // doJoin: generation in which it was given that
	partitions []client.TopicPartition // doJoin: what it was last given to read
	previous   []assign.Task           // doJoin
	stop       bool                    // doJoin: ask that all members stop
	reason     string                  // doJoin
	members    []memberState           // doPlan
	plan       map[string][]byte       // doSync of the leader
	gate       int                     // doCloseGate: number of this closing
	err        error                   // doStop
}

// memberState is a member as the leader sees it.
type memberState struct {
	id string
	subscription
}

// Waits of the core.
const (
	firstRetry = 50 * time.Millisecond
	maxRetry   = 2 * time.Second
)

// core is the membership as a pure state machine: it reads no clock and does no I/O. The shell performs the effects of
// a step in order and feeds their results back as events. At most one of gate, join, plan and sync is under way at a time, and
// at most one heartbeat.
type core struct {
	interval time.Duration // between heartbeats

	state       state
	memberID    string
	generation  int32 // -1: none
	incarnation uint64
	joined      bool // an assignment is valid

	active     []assign.Task // what the group lets it run, sorted
	held       []assign.Task // what the owner runs or may run: given and not released, sorted
	claimed    int32         // generation in which active was given, -1: none
	partitions []client.TopicPartition
	copies     copies
	previous   []assign.Task // what it ran before, sorted

	stopAll bool              // the owner wants all members to stop
	stopped bool              // the group has been told to
	probe   time.Duration     // leader: after what the plan says so, 0: not
	probeAt time.Time         // of stable: when to join again to see how far warm-ups have come, zero: not at all
	plan    map[string][]byte // leader's, for the sync that is under way
	making  bool              // a plan is being made, maybe of a membership that is over
	reason  string            // of the next join
	again   string            // reason to join again after the present round, empty: none
	tries   int
	retryAt time.Time // of waiting and syncing; zero: nothing to wait for
	beatAt  time.Time
	beating bool // a heartbeat is in flight
	gate    gateState
	gates   int // closings so far; an evGateClosed of an earlier one is stale
}

// gateState is what the core knows of the gate.
type gateState uint8

const (
	gateOpen gateState = iota
	gateClosing
	gateClosed
)

func newCore(interval time.Duration, previous []assign.Task) *core {
	return &core{interval: interval, generation: -1, claimed: -1, incarnation: 1, previous: sorted(previous), reason: "first join"}
}

// step applies one event and says what must be done.
func (c *core) step(now time.Time, ev event) []effect {
	if c.state == left {
		return nil
	}
	switch ev.kind {
	case evTick:
		return c.tick(now)
	case evGateClosed:
		if c.gate != gateClosing || ev.gate != c.gates {
			return nil
		}
		c.gate = gateClosed
		return c.tick(now)
	case evJoined:
		return c.onJoined(now, ev)
	case evPlanned:
		return c.onPlanned(now, ev)
	case evSynced:
		return c.onSynced(now, ev)
	case evHeartbeat:
		return c.onHeartbeat(now, ev)
	case evReleased:
		return c.onReleased(now, ev.tasks)
	case evRejoin:
		return c.rejoin(now, ev.reason)
	case evStopAll:
		c.stopAll = true
		return c.rejoin(now, "the application is to stop")
	case evRefused:
		c.beatAt = now
		return c.tick(now)
	case evLeave:
		return c.leave()
	}
	panic(fmt.Sprintf("member: event %d", ev.kind))
}

// tick does what time, the gate or the last event have made due.
func (c *core) tick(now time.Time) []effect {
	var effects []effect
	switch c.state {
	case idle:
		if len(c.held) == 0 {
			c.state = waiting
			return c.tick(now)
		}
	case waiting:
		if now.Before(c.retryAt) {
			break
		}
		c.retryAt = time.Time{}
		if c.making {
			break // a plan makes topics and asks the application's assignor: one at a time
		}
		switch c.gate {
		case gateClosed:
			c.state, c.again = joining, ""
			return append(effects, c.join())
		case gateOpen:
			c.gates++
			c.gate = gateClosing
			effects = append(effects, effect{kind: doCloseGate, gate: c.gates})
		case gateClosing:
		}
	case syncing:
		if !c.retryAt.IsZero() && !now.Before(c.retryAt) {
			c.retryAt = time.Time{}
			return append(effects, c.sync())
		}
	case stable:
		if !c.probeAt.IsZero() && !now.Before(c.probeAt) {
			return c.rejoin(now, "to see how far warm-ups have come")
		}
	case joining, planning, left:
	}
	return append(effects, c.beat(now)...)
}

// beat sends a heartbeat if one is due. While joining or syncing the coordinator waits for us, not for heartbeats.
func (c *core) beat(now time.Time) []effect {
	if c.beating || c.generation < 0 || now.Before(c.beatAt) || c.state == joining || c.state == syncing {
		return nil
	}
	c.beating = true
	c.beatAt = now.Add(c.interval)
	return []effect{{kind: doHeartbeat, memberID: c.memberID, generation: c.generation}}
}

// wake is when tick should be called next, zero for never. It lies after the last tick.
func (c *core) wake() time.Time {
	var at time.Time
	if c.state == waiting || c.state == syncing { // in idle the owner is waited for, however long that takes
		at = c.retryAt
	}
	if c.state == stable && !c.probeAt.IsZero() {
		at = c.probeAt
	}
	if c.generation >= 0 && !c.beating && c.state != joining && c.state != syncing && (at.IsZero() || c.beatAt.Before(at)) {
		at = c.beatAt
	}
	return at
}

// rejoin begins another round, at once or, if one is under way, after it.
func (c *core) rejoin(now time.Time, reason string) []effect {
	switch c.state {
	case stable:
		c.state, c.reason, c.retryAt = waiting, reason, time.Time{}
		return c.tick(now)
	case planning, syncing, joining:
		c.again = reason
	case idle, waiting, left: // it will join anyway
	}
	return nil
}

func (c *core) join() effect {
	c.probe, c.probeAt = 0, time.Time{}
	return effect{kind: doJoin, memberID: c.memberID, claims: c.held, claimed: c.claimed,
		partitions: c.partitions, previous: c.previous, stop: c.stopAll, reason: c.reason}
}

func (c *core) onJoined(now time.Time, ev event) []effect {
	if c.state != joining {
		return nil
	}
	switch ev.verdict {
	case fine:
	case giveID:
		c.memberID = ev.memberID
		return []effect{c.join()}
	case memberLost:
		return c.lose(now)
	case fatal:
		return c.stop(ev.err)
	default:
		c.state = waiting
		c.backOff(now)
		return append(c.openGate(), c.tick(now)...)
	}
	c.memberID, c.generation = ev.memberID, ev.generation
	c.beatAt = now.Add(c.interval)
	effects := c.openGate() // commits go on under the new generation (G2)
	if ev.leader {
		c.state, c.making = planning, true
		return append(effects, effect{kind: doPlan, memberID: c.memberID, generation: c.generation, members: ev.members})
	}
	c.plan = nil
	c.state = syncing
	return append(effects, c.sync())
}

func (c *core) onPlanned(now time.Time, ev event) []effect {
	c.making = false
	if c.state != planning || ev.generation != c.generation {
		return c.tick(now) // of a round that is over
	}
	if ev.err != nil {
		return c.stop(ev.err)
	}
	c.plan, c.probe, c.state = ev.plan, ev.probe, syncing
	return []effect{c.sync()}
}

func (c *core) sync() effect {
	return effect{kind: doSync, memberID: c.memberID, generation: c.generation, plan: c.plan}
}

func (c *core) onSynced(now time.Time, ev event) []effect {
	if c.state != syncing || ev.generation != c.generation {
		return nil
	}
	switch ev.verdict {
	case fine:
	case memberLost:
		return c.lose(now)
	case fatal:
		return c.stop(ev.err)
	case tryLater:
		c.backOff(now)
		return nil
	default:
		c.state, c.reason = waiting, "rebalance while syncing"
		return c.tick(now)
	}
	c.state, c.tries, c.plan = stable, 0, nil
	c.joined, c.claimed = true, c.generation
	c.active, c.partitions, c.copies = sorted(ev.tasks), ev.partitions, ev.copies
	c.stopped = c.stopped || ev.stop
	if c.probe > 0 {
		c.probeAt = now.Add(c.probe)
	}
	c.held = union(c.held, c.active)
	c.previous = minus(c.previous, c.active)
	c.beatAt = now.Add(c.interval)
	if c.again != "" {
		reason := c.again
		c.again = ""
		return c.rejoin(now, reason)
	}
	return c.tick(now)
}

func (c *core) onHeartbeat(now time.Time, ev event) []effect {
	c.beating = false
	if ev.generation != c.generation || ev.memberID != c.memberID {
		return c.tick(now) // of an earlier generation
	}
	switch ev.verdict {
	case memberLost:
		if c.state == joining || c.state == syncing {
			return nil // the answer to the request under way will say so too
		}
		return c.lose(now)
	case fatal:
		return c.stop(ev.err)
	case rebalance:
		if c.state == stable {
			return c.rejoin(now, "the group rebalances")
		}
		return nil
	case fine, tryLater, giveID:
	}
	return c.tick(now)
}

// onReleased takes tasks that the owner has given up. When all that was revoked or lost is released, the member joins to
// let the others have it (M3).
func (c *core) onReleased(now time.Time, tasks []assign.Task) []effect {
	released := intersect(c.revoked(), sorted(tasks))
	if len(released) == 0 {
		return nil
	}
	c.held = minus(c.held, released)
	c.previous = union(c.previous, released)
	switch {
	case c.state == idle:
		return c.tick(now)
	case len(c.revoked()) == 0:
		return c.rejoin(now, "revoked tasks are released")
	}
	return nil
}

// revoked are the tasks that the owner has to give up.
func (c *core) revoked() []assign.Task { return minus(c.held, c.active) }

// lose ends the membership under the present id; what runs is lost (M1). The member joins anew when it is all released.
func (c *core) lose(now time.Time) []effect {
	c.incarnation++
	c.memberID, c.generation, c.claimed, c.joined = "", -1, -1, false
	c.previous = union(c.previous, c.held)
	c.active, c.partitions, c.plan, c.again, c.retryAt = nil, nil, nil, "", time.Time{}
	c.copies, c.probeAt = copies{}, time.Time{}
	c.state, c.reason = idle, "membership lost"
	if c.tries > 0 { // lost again before it was stable
		c.backOff(now)
	}
	c.tries++
	return append(c.openGate(), c.tick(now)...)
}

func (c *core) leave() []effect {
	id, generation := c.memberID, c.generation
	c.state, c.joined, c.active, c.copies, c.memberID, c.generation = left, false, nil, copies{}, "", -1
	effects := c.openGate()
	if id != "" {
		effects = append(effects, effect{kind: doLeave, memberID: id, generation: generation})
	}
	return append(effects, effect{kind: doStop})
}

func (c *core) stop(err error) []effect {
	effects := c.leave()
	effects[len(effects)-1].err = err
	return effects
}

func (c *core) openGate() []effect {
	if c.gate == gateOpen {
		return nil
	}
	c.gate = gateOpen
	return []effect{{kind: doOpenGate}}
}

func (c *core) backOff(now time.Time) {
	c.tries++
	c.retryAt = now.Add(min(firstRetry<<min(c.tries-1, 10), maxRetry))
}
