package commit

import (
	"errors"
	"fmt"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/planted"
)

// ErrInstanceInUse stops an instance that is fenced again and again: another process has the same instance id.
var ErrInstanceInUse = errors.New("another process uses this instance id")

// State is where a worker's transaction stands.
type State uint8

// The states; the drawing is in the package comment.
const (
	Idle State = iota
	Open
	Flushing
	Producing
	Entering
	Offering
	Ending
	Applying
	Recovering
	Stopped
)

var stateNames = [...]string{"idle", "open", "flushing", "producing", "entering", "offering", "ending", "applying", "recovering", "stopped"}

// String names the state.
func (s State) String() string { return stateNames[s] }

// Membership is under what a worker commits: a member of the group in one generation.
type Membership struct {
	MemberID   string
	Generation int32
}

// EventKind is what happened.
type EventKind uint8

// The events. All but Dirty, Due, Failed and MemberLost answer the effect of the state they are named in.
const (
	Dirty       EventKind = iota // records were processed or positions moved; Member is the present one
	Due                          // the policy says commit
	Flushed                      // tasks are flushed
	Produced                     // every batch is answered
	Entered                      // the gate let us in; Member is the present one
	OffsetsSent                  // the offsets are answered
	Ended                        // the end of the transaction is answered
	Applied                      // committed layers have it
	Recovered                    // the recovery went through
	Failed                       // something outside a commit failed: a fetch, a step, a send
	MemberLost                   // the group has forgotten the member: its tasks are not ours any more
)

var eventNames = [...]string{"dirty", "due", "flushed", "produced", "entered", "offsets", "ended", "applied", "recovered", "failed", "lost"}

// String names the event.
func (k EventKind) String() string { return eventNames[k] }

// Event is an input of the machine. Err is the failure of the step that it answers, nil if it went well.
type Event struct {
	Kind   EventKind
	Member Membership
	Err    error
}

// EffectKind is what the worker has to do.
type EffectKind uint8

// The effects. Every one but None, Stop is answered by the event of the same place in the drawing.
const (
	None           EffectKind = iota
	Flush                     // flush the tasks in topological order until nothing is dirty, and send every open batch
	Produce                   // wait for the answers to all batches
	Enter                     // ask the membership gate in
	SendOffsets               // commit the offsets, in the transaction under exactly-once; then leave the gate
	EndTransaction            // commit the transaction
	Apply                     // hand the transaction layers to the committed layers
	Recover                   // after Wait: close tasks, drop layers, new session, offsets, changelog tails, tasks anew
	Stop                      // give up; Err says why
)

var effectNames = [...]string{"-", "flush", "produce", "enter gate", "send offsets", "end transaction", "apply", "recover", "stop"}

// String names the effect.
func (k EffectKind) String() string { return effectNames[k] }

// Effect is an output of the machine.
type Effect struct {
	Kind   EffectKind
	Member Membership    // of SendOffsets
	Wait   time.Duration // of Recover: back-off before it
	Lost   bool          // of Recover: the member was lost, so no task may be built again before a new assignment
	Err    error         // of Recover, Stop: the cause
}

// Config parameterises a Machine.
type Config struct {
	// Transactional is false for at-least-once: offsets are committed without a transaction.
	Transactional bool
	// TransactionTimeout is after what the coordinator aborts an open transaction. A fencing after that is no sign of
	// another process.
	TransactionTimeout time.Duration
	// GiveUpAfter ends recoveries that follow each other without a commit between them (task.timeout.ms, R-23).
	GiveUpAfter time.Duration
}

// Bounds of the recovery.
const (
	fenceWindow = time.Minute
	firstWait   = 50 * time.Millisecond
	maxWait     = 5 * time.Second
	// calm is how long after a recovery a failure counts as the first of its kind: an idle worker has nothing to commit.
	calm = time.Minute
	// maxRenewals bounds how often one commit follows a renewed generation before it counts as failed.
	maxRenewals = 10
)

// Machine is the commit state machine of one worker. It belongs to the worker's goroutine.
type Machine struct {
	cfg      Config
	state    State
	member   Membership // under which the transaction was begun
	begun    time.Time
	renewals int

	lost      bool      // it holds until a recovery goes through, however many it takes, and restarts between them
	failures  int       // recoveries since the last commit, or since a minute went well
	failing   time.Time // time of the first of them
	recovered time.Time // when the last of them went through
	fencedAt  time.Time // last fencing, zero if none
}

// New returns a machine in state Idle.
func New(cfg Config) *Machine { return &Machine{cfg: cfg} }

// State returns the present state.
func (m *Machine) State() State { return m.state }

// transition says, of a step of a commit, which event answers it, and what comes next.
type transition struct {
	event  EventKind
	next   State
	effect EffectKind
}

// exactlyOnce are the steps of a transaction: the offsets are sent while the log still writes the batches, and its end when all of them are
// answered.
var exactlyOnce = map[State]transition{
	Open:      {Due, Flushing, Flush},
	Flushing:  {Flushed, Entering, Enter},
	Entering:  {Entered, Offering, SendOffsets},
	Offering:  {OffsetsSent, Producing, Produce},
	Producing: {Produced, Ending, EndTransaction},
	Ending:    {Ended, Applying, Apply},
	Applying:  {Applied, Idle, None},
}

// atLeastOnce are the steps without a transaction: offsets say that everything before them is in the log.
var atLeastOnce = map[State]transition{
	Open:      {Due, Flushing, Flush},
	Flushing:  {Flushed, Producing, Produce},
	Producing: {Produced, Entering, Enter},
	Entering:  {Entered, Offering, SendOffsets},
	Offering:  {OffsetsSent, Applying, Apply},
	Applying:  {Applied, Idle, None},
}

// Step applies one event and says what to do next. An event that the state cannot meet is a bug of the worker and
// panics.
func (m *Machine) Step(now time.Time, ev Event) Effect {
	switch {
	case m.state == Stopped:
		return Effect{}
	case ev.Kind == MemberLost:
		return m.recover(now, fmt.Errorf("%w: %w", ErrMemberLost, errOr(ev.Err, errForgotten)), true)
	case m.state == Recovering:
		return m.recovering(now, ev)
	case ev.Kind == Dirty && (m.state == Idle || m.state == Open):
		if m.state == Idle {
			m.state, m.member, m.begun, m.renewals = Open, ev.Member, now, 0
		}
		return Effect{}
	case ev.Kind == Failed:
		return m.fail(now, ev.Err)
	}
	steps := atLeastOnce
	if m.cfg.Transactional {
		steps = exactlyOnce
	}
	t, ok := steps[m.state]
	if !ok || t.event != ev.Kind {
		panic(fmt.Sprintf("commit: event %s in state %s", ev.Kind, m.state))
	}
	if ev.Err != nil {
		return m.failedStep(now, ev)
	}
	if ev.Kind == Entered && ev.Member.MemberID != m.member.MemberID { // C3
		return m.recover(now, fmt.Errorf("%w: the transaction was begun as member %q, which is now %q",
			ErrMemberLost, m.member.MemberID, ev.Member.MemberID), true)
	}
	m.state = t.next
	effect := Effect{Kind: t.effect}
	switch {
	case t.effect == SendOffsets:
		effect.Member = ev.Member
	case ev.Kind == Applied:
		m.failures = 0
	}
	return effect
}

// failedStep takes the failure of a step of the commit.
func (m *Machine) failedStep(now time.Time, ev Event) Effect {
	if ev.Kind == OffsetsSent && client.ClassOf(ev.Err) == client.ClassGeneration && m.renewals < maxRenewals {
		m.renewals++
		m.state = Entering
		return Effect{Kind: Enter}
	}
	return m.fail(now, ev.Err)
}

// fail turns a failure into a recovery or a stop, by its class.
func (m *Machine) fail(now time.Time, err error) Effect {
	switch class := Classify(err); class {
	case ClassFatal:
		return m.stop(err)
	case ClassFenced:
		return m.fenced(now, err)
	default:
		return m.recover(now, err, class == ClassLost)
	}
}

// fenced counts a fencing (C5).
func (m *Machine) fenced(now time.Time, err error) Effect {
	if m.state != Idle && m.state != Recovering && now.Sub(m.begun) >= m.cfg.TransactionTimeout {
		return m.recover(now, fmt.Errorf("transaction was open for %v and timed out: %w", now.Sub(m.begun).Round(time.Millisecond), err), false)
	}
	again := now.Sub(m.fencedAt) < fenceWindow
	m.fencedAt = now
	if again {
		return m.stop(fmt.Errorf("%w: fenced twice within %v: %w", ErrInstanceInUse, fenceWindow, err))
	}
	return m.recover(now, err, false)
}

func (m *Machine) recovering(now time.Time, ev Event) Effect {
	switch {
	case ev.Kind == Failed, ev.Kind == Recovered && ev.Err != nil:
		return m.fail(now, ev.Err)
	case ev.Kind == Recovered:
		m.state, m.recovered, m.lost = Idle, now, false
		return Effect{}
	}
	panic(fmt.Sprintf("commit: event %s in state %s", ev.Kind, m.state))
}

func (m *Machine) recover(now time.Time, cause error, lost bool) Effect {
	m.lost = lost || m.lost && !planted.Is(planted.LossForgotten)
	if m.state != Recovering && m.well(now).Sub(m.recovered) >= calm {
		m.failures = 0
	}
	if m.failures == 0 {
		m.failing = now
	}
	if m.cfg.GiveUpAfter > 0 && now.Sub(m.failing) >= m.cfg.GiveUpAfter {
		return m.stop(fmt.Errorf("no commit for %v after %d recoveries: %w", now.Sub(m.failing).Round(time.Second), m.failures, cause))
	}
	var wait time.Duration
	if m.failures > 0 {
		wait = min(firstWait<<min(m.failures-1, 10), maxWait)
	}
	m.failures++
	m.state = Recovering
	return Effect{Kind: Recover, Wait: wait, Lost: m.lost, Err: cause}
}

// well returns until when nothing was wrong: a transaction that is lost after a long time has not gone well for so long.
func (m *Machine) well(now time.Time) time.Time {
	if m.state == Idle {
		return now
	}
	return m.begun
}

// Restart takes a machine that has stopped into a recovery: somebody has decided to go on in spite of the failure. However often that
// happens, it does not give up; failures that follow each other wait longer and longer. What was lost when it stopped stays lost.
func (m *Machine) Restart(now time.Time, cause error) Effect {
	if m.state != Stopped {
		panic(fmt.Sprintf("commit: restart in state %s", m.state))
	}
	m.state = Idle
	m.failing = now // the budget begins anew
	return m.recover(now, cause, m.lost)
}

func (m *Machine) stop(err error) Effect {
	m.state = Stopped
	return Effect{Kind: Stop, Err: err}
}

func errOr(err, fallback error) error {
	if err != nil {
		return err
	}
	return fallback
}
