package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/runtime"
)

// status is what an instance says of itself, in a file that survives it. The driver reads it when it has killed the instance.
type status struct {
	Phases map[string]phase // of each transactional id
	Joins  int              // JoinGroup requests sent
	Ends   int              // transactions whose end was answered
	Acted  string           // the last order to act upon itself that was obeyed, and where
	Obeyed int              // orders obeyed
	At     map[act]point    // where the last order of each kind was obeyed
	Ready  bool             // every application runs

	Restores       // of stores
	Promotions int // of standbys and warm-ups to tasks
}

// Restores counts stores that have been brought to where their changelogs end.
type Restores struct {
	Stores  int   `json:"stores"`
	Records int64 `json:"records"` // that were read for it
}

// deepest returns the phase of the transaction that has come farthest among the open ones, else the farthest of all.
func (s status) deepest() phase {
	deepest := idle
	for _, p := range s.Phases {
		deepest = deeper(deepest, p)
	}
	return deepest
}

// order tells an instance to act the next times that it passes a point.
type order struct {
	Act   act
	Point point
	After int // how often the point is passed before
	Pid   int // of the broker, for killBroker
}

// act is what an order asks for.
type act string

const (
	killSelf   act = "kill"
	pauseSelf  act = "pause"
	killBroker act = "kill-broker"
	cutOff     act = "cut"     // the connection on which the point was passed
	nothing    act = "nothing" // the order before is void
)

// watch follows the transactions of an instance by its requests, keeps its status file, and obeys one order at a time.
type watch struct {
	file *os.File
	mu   struct {
		sync.Mutex
		status
		order   order
		running map[string]bool // by application
	}
}

func newWatch(path string, applications ...string) (*watch, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	w := &watch{file: f}
	w.mu.Phases, w.mu.At, w.mu.running = make(map[string]phase), make(map[act]point), make(map[string]bool)
	for _, a := range applications {
		w.mu.running[a] = false
	}
	return w, nil
}

func (w *watch) Close() error { return w.file.Close() }

// obey takes an order, in place of the one before.
func (w *watch) obey(o order) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mu.order = o
}

// runs notes whether an application is running.
func (w *watch) runs(application string, running bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mu.running[application] = running
	w.mu.Ready = !slices.Contains(slices.Collect(maps.Values(w.mu.running)), false)
	w.saveLocked()
}

// restored notes what becomes of stores.
func (w *watch) restored(e runtime.RestoreEvent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case e.Kind == runtime.RestoreEnded:
		w.mu.Stores++
		w.mu.Records += e.Records
	case e.Kind == runtime.RestoreSuspended && e.Promoted:
		w.mu.Promotions++
	default:
		return
	}
	w.saveLocked()
}

// sent notes a request that has been written. It reports whether the connection is to be cut.
func (w *watch) sent(r request) (cut bool) {
	switch r.key {
	case kmsg.Produce:
		return r.txn != "" && w.enter(r.txn, producing)
	case kmsg.TxnOffsetCommit:
		return w.enter(r.txn, offsets)
	case kmsg.EndTxn:
		return w.enter(r.txn, ending)
	case kmsg.InitProducerID:
		return w.pass(opening)
	case kmsg.JoinGroup:
		return w.pass(joining)
	case kmsg.SyncGroup:
		return w.pass(syncing)
	}
	return false
}

// answered notes an answer that the client does not know of yet. It reports whether the connection is to be cut, so that the
// client never knows.
func (w *watch) answered(r request) (cut bool) {
	switch r.key {
	case kmsg.Produce:
		return r.txn != "" && w.enter(r.txn, produced)
	case kmsg.TxnOffsetCommit:
		return w.enter(r.txn, offered)
	case kmsg.EndTxn:
		return w.enter(r.txn, ended)
	case kmsg.InitProducerID:
		return w.enter(r.txn, idle)
	}
	return false
}

// enter moves a transaction on. A phase does not go back within a transaction: a second Produce is still producing, but the
// answer to an early one does not undo the offsets.
func (w *watch) enter(txn string, to phase) (cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if at := w.mu.Phases[txn]; to == produced && at > produced || to == offered && at > offered {
		return false
	}
	w.mu.Phases[txn] = to
	if to == ended {
		w.mu.Ends++
	}
	w.saveLocked()
	return w.actLocked(point(to.String())) || to.open() && w.actLocked(inside)
}

func (w *watch) pass(at point) (cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if at == joining {
		w.mu.Joins++
		w.saveLocked()
	}
	return w.actLocked(at)
}

// actLocked obeys the order if this is its point. It reports whether the connection is to be cut.
func (w *watch) actLocked(at point) (cut bool) {
	o := &w.mu.order
	if o.Point != at {
		return false
	}
	if o.After > 0 {
		o.After--
		return false
	}
	obeyed := *o
	*o = order{}
	w.mu.Obeyed++
	w.mu.At[obeyed.Act] = at
	if obeyed.Act == killSelf || obeyed.Act == pauseSelf {
		w.mu.Acted = fmt.Sprintf("%s at %s", obeyed.Act, at)
	}
	w.saveLocked()
	var err error
	switch obeyed.Act {
	case killSelf:
		err = signalKill(os.Getpid())
	case pauseSelf:
		err = signalStop(os.Getpid())
	case killBroker:
		err = signalKill(obeyed.Pid)
	}
	if err != nil {
		w.mu.Acted = err.Error()
		w.saveLocked()
	}
	return obeyed.Act == cutOff
}

// statusBytes is the fixed size of a status file, so that one write replaces all of it.
const statusBytes = 4096

// saveLocked replaces the status file. Its loss would blur a count in the report and nothing else, so errors are let go.
func (w *watch) saveLocked() {
	b, err := json.Marshal(w.mu.status)
	if err != nil || len(b) > statusBytes {
		return
	}
	for len(b) < statusBytes {
		b = append(b, ' ')
	}
	_, _ = w.file.WriteAt(b, 0)
}

// readStatus reads the status file of an instance. One that has not begun to write is in no phase.
func readStatus(path string) (s status) {
	if b, err := os.ReadFile(path); err == nil {
		_ = json.Unmarshal(b, &s) // torn: as if it had not been written
	}
	return s
}
