package main

import (
	"os"
	"path/filepath"
	"time"
)

// slot is the place of one instance: its directory, and the process that runs in it, if any.
type slot struct {
	segment *segment
	name    string
	role    *instanceRole
	proc    *process
	paused  bool
	leaving bool // told to stop in order
	cutOff  bool // the broker was away while it was leaving
	waiting bool // killed, and to start again later
}

func (s *segment) newSlot(name string) *slot {
	return &slot{segment: s, name: name, role: &instanceRole{
		Names: s.names, Brokers: s.addresses, Dir: filepath.Join(s.dir, name), Accounts: s.accounts, Workers: s.workers, Standbys: s.standbys,
		Session: s.session, Transaction: s.transaction, Commit: s.commit,
	}}
}

// start starts the instance, with an order to obey if first is not nil.
func (sl *slot) start(first *order) error {
	if err := os.MkdirAll(sl.role.Dir, 0o755); err != nil {
		return err
	}
	sl.paused, sl.leaving, sl.cutOff, sl.waiting = false, false, false, false
	sl.role.Order = first
	// What the last process said must not be taken for what this one says.
	if err := os.RemoveAll(sl.role.statusPath()); err != nil {
		return err
	}
	r := role{Instance: sl.role}
	var err error
	sl.proc, err = r.start(sl.name, sl.segment.dir)
	return err
}

// healthy reports whether the instance runs and can be hit.
func (sl *slot) healthy() bool {
	return sl.proc != nil && !sl.proc.gone() && !sl.paused && !sl.leaving
}

// canLeave reports whether the instance can be told to end in order: it has said something, so it hears signals.
func (sl *slot) canLeave() bool {
	_, err := os.Stat(sl.role.statusPath())
	return sl.healthy() && err == nil
}

// status returns what the instance last said of itself.
func (sl *slot) status() status { return readStatus(sl.role.statusPath()) }

// stop ends the instance in order, if it runs.
func (sl *slot) stop() error {
	if sl.proc == nil {
		return nil
	}
	defer sl.ended()
	return sl.proc.stop()
}

// ended books a process that has ended.
func (sl *slot) ended() {
	r := sl.segment.report
	st := sl.status()
	r.Rebalances += st.Joins
	r.Restores.Stores += st.Stores
	r.Restores.Records += st.Records
	r.Promotions += st.Promotions
	r.MaxRSS = max(r.MaxRSS, maxRSS(sl.proc.cmd.ProcessState))
	sl.proc = nil
}

// patience is how long an instance that was given an order may take to pass its point, and then how long to pass any.
const patience = time.Second

// hit orders an instance to act at a point, and waits until it has. One that does not come by may act anywhere inside a
// transaction; one that has none, because it has no tasks, say, is told to forget it.
func (sl *slot) hit(a act, at point, after, pid int, done func() bool) {
	if at == "" {
		return
	}
	sl.proc.order(order{Act: a, Point: at, After: after, Pid: pid})
	if wait(patience, done) {
		return
	}
	sl.proc.order(order{Act: a, Point: inside, Pid: pid})
	if !wait(patience, done) {
		sl.proc.order(order{Act: nothing})
	}
}

// wait waits until done, or false.
func wait(d time.Duration, done func() bool) bool {
	for began := time.Now(); time.Since(began) < d; time.Sleep(2 * time.Millisecond) {
		if done() {
			return true
		}
	}
	return false
}

// killNow kills the instance, if it has not killed itself, and counts the phase that it was in.
func (sl *slot) killNow() {
	s := sl.segment
	sl.proc.kill()
	if !sl.proc.killed() {
		s.verdict.add(oracleLive, sl.name, "it stopped by itself: %s", sl.proc.lastWords())
		sl.ended()
		return
	}
	st := sl.status()
	s.report.Kills.add(st.deepest(), st.At[killSelf])
	s.say("killed %s: %s", sl.name, st.said())
	sl.ended()
}

// said puts a status into words.
func (s status) said() string {
	if s.Acted == "" {
		return s.deepest().String()
	}
	return s.deepest().String() + ", " + s.Acted
}
