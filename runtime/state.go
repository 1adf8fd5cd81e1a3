package runtime

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// State is where an App stands (Kafka Streams' client states, R-06).
type State uint8

// The states.
//
//	Created ──► Starting ──► Rebalancing ◄──► Running
//	                │              │             │
//	                └──────────────┴─────────────┴──► Closing ──► Closed | Failed
const (
	Created     State = iota // by New
	Starting                 // connects, opens its state, loads global tables
	Rebalancing              // waits for its tasks, or makes them ready
	Running                  // all its tasks run; there may be none
	Closing                  // commits and closes
	Closed                   // Run has returned without an error
	Failed                   // Run has returned an error
)

var stateNames = [...]string{"created", "starting", "rebalancing", "running", "closing", "closed", "failed"}

// String names the state.
func (s State) String() string { return stateNames[s] }

// StateChange is one step of an App.
type StateChange struct {
	From, To State
	At       time.Time
	Err      error // of Failed
}

// next lists the states that may follow.
var next = map[State][]State{
	Created:     {Starting},
	Starting:    {Rebalancing, Closing},
	Rebalancing: {Running, Closing},
	Running:     {Rebalancing, Closing},
	Closing:     {Closed, Failed},
}

// lifecycle holds the state and tells the listener. Only the goroutine of Run changes it.
type lifecycle struct {
	now      func() time.Time
	listener func(StateChange)
	mu       struct {
		sync.Mutex
		state State
	}
}

func (l *lifecycle) state() State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.state
}

// begin moves from Created to Starting, and reports false if Run was called before.
func (l *lifecycle) begin() bool { return l.step(Starting, nil) }

// enter changes the state, if it is another one. The listener is called without the lock.
func (l *lifecycle) enter(to State, err error) {
	if from := l.state(); !l.step(to, err) && from != to {
		panic(fmt.Sprintf("runtime: state %s after %s", to, from))
	}
}

// step changes the state if it may follow on the present one, and reports that.
func (l *lifecycle) step(to State, err error) bool {
	l.mu.Lock()
	from := l.mu.state
	if !slices.Contains(next[from], to) {
		l.mu.Unlock()
		return false
	}
	l.mu.state = to
	l.mu.Unlock()
	if l.listener != nil {
		l.listener(StateChange{From: from, To: to, At: l.now(), Err: err})
	}
	return true
}
