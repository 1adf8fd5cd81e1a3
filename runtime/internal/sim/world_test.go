package sim

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/topology"
)

// settings are drawn from the seed.
type settings struct {
	partitions  int32
	instances   int
	workers     int
	records     int
	steps       int
	commit      time.Duration
	session     time.Duration
	transaction time.Duration
	applyBytes  int64 // committed bytes that are applied to the engine at once
	every       int   // steps from one fault to the next, on average
	losses      int   // one request or answer in so many is lost
	standbys    int   // copies of each state
	warmups     int   // states that are made ready at once
	lag         int64 // up to how many missing records a state counts as caught up
	probe       time.Duration
	weights     [faultKinds]int
}

// draw draws settings: small and large ones, and some kinds of faults not at all (swarm testing).
func draw(rng *rand.Rand) settings {
	s := settings{
		partitions:  int32(1 + rng.IntN(4)),
		instances:   1 + rng.IntN(4),
		workers:     1 + rng.IntN(2),
		records:     60 + rng.IntN(200),
		steps:       3000 + rng.IntN(4000),
		commit:      time.Duration(1+rng.IntN(60)) * time.Millisecond,
		session:     time.Duration(1000+rng.IntN(1000)) * time.Millisecond,
		transaction: time.Duration(1000+rng.IntN(2000)) * time.Millisecond,
		applyBytes:  int64(1 + rng.IntN(3000)),
		every:       60 + rng.IntN(300),
		losses:      40 << rng.IntN(6),
		standbys:    max(0, rng.IntN(4)-1),
		warmups:     1 + rng.IntN(2),
		lag:         int64(1 + rng.IntN(30)),
		probe:       time.Duration(200+rng.IntN(1500)) * time.Millisecond,
	}
	for i := range s.weights {
		s.weights[i] = max(0, rng.IntN(12)-3)
	}
	s.weights[armPoint] += 10
	return s
}

// The kinds of faults.
const (
	killNow = iota
	armPoint
	pauseFor
	stopInOrder
	throwOut
	askRebalance
	killHost
	faultKinds
)

// world is one simulation. Everything in it is guarded by mu: between two steps of the scheduler the goroutines of the
// instances run, and leave their calls here.
type world struct {
	settings
	t    *testing.T
	rng  *rand.Rand
	job  *topology.Topology
	next int64 // number of the next input record
	done int   // steps

	mu        sync.Mutex
	log       *logModel
	instances []*instance
	arrived   []*call // since the last step, in no order
	calls     []*call
	due       []due
	result    result
	owners    map[topology.TaskID]*instance // where a task has become ready last
	trace     uint64
	verbose   bool
	calm      bool // no faults any more
	finished  bool // who ends stays away
}

// result is what a simulation has shown.
type result struct {
	violations []string
	points     map[string]int // crashes by the point that was hit
	faults     map[string]int
	copies     map[string]int // what copies have come to
	committed  int            // transactions
	trace      uint64
}

// due is something that happens at a time.
type due struct {
	at time.Time
	do func()
}

// call is a request on its way to the log, or its answer on the way back.
type call struct {
	in   *instance
	name string
	// apply carries the request out at the log; false: not yet.
	apply func() (done bool, err error)
	local bool  // it waits for something in the process: nothing can be lost
	lane  *lane // of a produced batch: those of a lane are carried out in order
	twice bool  // it may arrive twice
	ends  bool  // whoever waits has a deadline
	reply chan error

	applied bool
	gone    bool // nobody waits
	err     error
}

// lane keeps the batches of one producer session for one partition in order.
type lane struct{ queue []*call }

// errCut is what a client gets to know of a request or an answer that was lost.
var errCut = errors.New("connection was cut")

// violate notes a broken promise.
func (w *world) violate(oracle, format string, args ...any) {
	w.result.violations = append(w.result.violations, oracle+": "+fmt.Sprintf(format, args...))
}

// note makes the trace: what two runs of one seed must have in common.
func (w *world) note(format string, args ...any) {
	h := fnv.New64a()
	line := fmt.Sprintf(format, args...)
	_, _ = fmt.Fprintf(h, "%x %s", w.trace, line) // a hash never fails to be written
	w.trace = h.Sum64()
	if w.verbose {
		w.t.Logf("%8v %s", time.Since(epoch).Round(time.Millisecond), line)
	}
}

// epoch is when time begins in a bubble.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// ask sends a request and waits for the answer. A paused instance does not get as far as sending it.
func (in *instance) ask(ctx context.Context, c *call) error {
	w := in.world
	c.in, c.reply = in, make(chan error, 1)
	_, c.ends = ctx.Deadline()
	if !in.arrive(c) {
		return errCrashed
	}
	select {
	case err := <-c.reply:
		return err
	case <-in.died:
		return errCrashed
	case <-ctx.Done():
		w.mu.Lock()
		defer w.mu.Unlock()
		c.gone = true
		if in.dead {
			return errCrashed
		}
		return ctx.Err()
	}
}

// arrive hands a call to the scheduler, once the instance is not paused. It reports false if the instance is dead.
func (in *instance) arrive(c *call) bool {
	w := in.world
	for {
		w.mu.Lock()
		if in.dead {
			w.mu.Unlock()
			return false
		}
		resumed := in.resumed
		if resumed == nil {
			w.arrived = append(w.arrived, c)
			w.mu.Unlock()
			return true
		}
		w.mu.Unlock()
		select {
		case <-resumed:
		case <-in.died:
		}
	}
}

// collect takes over what has arrived, in an order that does not depend on how the goroutines ran. Of an instance that was killed meanwhile
// nothing has: which of its goroutines were faster than that is chance.
func (w *world) collect() {
	w.arrived = slices.DeleteFunc(w.arrived, func(c *call) bool { return c.in.dead })
	slices.SortStableFunc(w.arrived, func(a, b *call) int { return strings.Compare(a.name, b.name) })
	for _, c := range w.arrived {
		w.note("sent %s", c.name)
		if c.lane != nil {
			c.lane.queue = append(c.lane.queue, c)
		}
	}
	w.calls = append(w.calls, w.arrived...)
	w.arrived = nil
	w.bury()
}

// step lets everything come to rest and then does one thing. Faults are left out if calm. Each step has a time of its own, so that what waits
// since different steps is not due at the same moment, when chance would say who is first.
func (w *world) step(calm bool) {
	time.Sleep(time.Microsecond)
	synctest.Wait()
	w.mu.Lock()
	w.done++
	w.calm = calm
	w.collect()
	w.log.group.now = time.Now()
	if !calm && w.rng.IntN(w.every) == 0 {
		w.fault()
		w.mu.Unlock()
		return
	}
	for {
		n := w.rng.IntN(100)
		if n < 40 && w.deliver(calm) || n < 75 && w.answer(calm) || n < 82 && w.mark() || n < 90 && w.fetch() || n < 93 && w.feed() {
			w.mu.Unlock()
			return
		}
		if n >= 93 || w.idle() {
			break
		}
	}
	pause := time.Duration(1+w.rng.IntN(15)) * time.Millisecond
	if !calm && w.anyPaused() && w.rng.IntN(3) == 0 {
		pause *= 20
	}
	w.mu.Unlock()
	time.Sleep(pause)
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.collect()
	w.log.expire(time.Now())
	w.doDue()
}

// idle reports whether only time can bring anything.
func (w *world) idle() bool { return len(w.calls) == 0 && len(w.log.markers()) == 0 }

func (w *world) doDue() {
	slices.SortStableFunc(w.due, func(a, b due) int { return a.at.Compare(b.at) })
	for len(w.due) > 0 && !w.due[0].at.After(time.Now()) {
		next := w.due[0]
		w.due = w.due[1:]
		next.do()
	}
}

func (w *world) later(d time.Duration, do func()) { w.due = append(w.due, due{time.Now().Add(d), do}) }

// pick chooses one of the calls for which ok holds.
func (w *world) pick(ok func(*call) bool) *call {
	var found []*call
	for _, c := range w.calls {
		if ok(c) {
			found = append(found, c)
		}
	}
	if len(found) == 0 {
		return nil
	}
	return found[w.rng.IntN(len(found))]
}

func (w *world) forget(c *call) {
	w.calls = slices.DeleteFunc(w.calls, func(x *call) bool { return x == c })
	if c.lane != nil {
		c.lane.queue = slices.DeleteFunc(c.lane.queue, func(x *call) bool { return x == c })
	}
}

// deliver lets one request arrive at the log, or get lost. One that a dead or impatient client has sent may arrive as well.
func (w *world) deliver(calm bool) bool {
	c := w.pick(func(c *call) bool {
		return !c.applied && (c.lane == nil || c.lane.queue[0] == c) && !(c.local && (c.gone || c.in.dead))
	})
	if c == nil {
		return false
	}
	if !calm && !c.local && c.lane == nil && w.rng.IntN(w.losses) == 0 {
		w.note("lost %s", c.name)
		w.result.faults["request lost"]++
		c.applied, c.err = true, errCut
		if c.ends && w.rng.IntN(2) == 0 { // and nobody says so
			w.forget(c)
		}
		return true
	}
	done, err := c.apply()
	if !done {
		return true // it waits at the log
	}
	w.note("done %s: %v", c.name, err)
	c.applied, c.err = true, err
	if c.twice && !calm && w.rng.IntN(40) == 0 {
		w.result.faults["request twice"]++
		w.calls = append(w.calls, &call{in: c.in, name: c.name + " again", apply: c.apply, gone: true})
	}
	if c.lane != nil || c.gone || c.in.dead {
		w.forget(c)
	}
	return true
}

// answer lets one answer arrive at its instance, or get lost.
func (w *world) answer(calm bool) bool {
	w.calls = slices.DeleteFunc(w.calls, func(c *call) bool { return c.applied && (c.gone || c.in.dead) })
	c := w.pick(func(c *call) bool { return c.applied && c.in.resumed == nil })
	if c == nil {
		return false
	}
	w.forget(c)
	if !calm && !c.local && c.err == nil && w.rng.IntN(w.losses) == 0 {
		w.result.faults["answer lost"]++
		c.err = errCut
	}
	w.note("told %s: %v", c.name, c.err)
	c.reply <- c.err
	return true
}

// mark writes one marker of a transaction that is decided.
func (w *world) mark() bool {
	left := w.log.markers()
	if len(left) == 0 {
		return false
	}
	m := left[w.rng.IntN(len(left))]
	w.note("marker of %s in %v offsets %v", m.txn.id, m.tp, m.offset)
	if m.offset && m.txn.state == txnCommitting {
		w.result.committed++
	}
	w.log.write(m)
	return true
}

// fetch answers one poll of one fetcher, if it has news for it.
func (w *world) fetch() bool {
	var fetchers []*fetcher
	for _, in := range w.instances {
		if in.alive() && in.resumed == nil {
			for _, f := range in.fetchers {
				if f.news() {
					fetchers = append(fetchers, f)
				}
			}
		}
	}
	if len(fetchers) == 0 {
		return false
	}
	f := fetchers[w.rng.IntN(len(fetchers))]
	f.poll()
	return true
}

// feed writes some input: now and then in a transaction that is aborted.
func (w *world) feed() bool {
	if w.next >= int64(w.records*(w.done+200)/w.steps) || w.next >= int64(w.records) {
		return false
	}
	fates := fate(visible)
	if w.rng.IntN(8) == 0 {
		fates = aborted
	}
	n := 1 + w.rng.IntN(3)
	var p *partition
	for range n {
		key := fmt.Sprintf("key-%d", w.rng.IntN(12))
		p = w.log.partition(client.TopicPartition{Topic: topicIn, Partition: partitionOf(key, w.partitions)})
		p.records = append(p.records, record{key: []byte(key), value: []byte(fmt.Sprint(w.next)), timestamp: 1000 + w.next, fate: fates})
		w.next++
	}
	if fates == aborted || w.rng.IntN(3) == 0 {
		p.records = append(p.records, record{fate: control})
	}
	w.note("fed to %d", w.next)
	return true
}

func partitionOf(key string, n int32) int32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key)) // a hash never fails to be written
	return int32(h.Sum32() % uint32(n))
}

func (w *world) anyPaused() bool {
	return slices.ContainsFunc(w.instances, func(in *instance) bool { return in.alive() && in.resumed != nil })
}

// fault does one thing to one instance.
func (w *world) fault() {
	in := w.instances[w.rng.IntN(len(w.instances))]
	if !in.alive() {
		return // it is about to start again
	}
	switch kind := w.drawFault(); {
	case kind == killHost:
		w.killHost()
	case kind == killNow:
		w.result.faults["kill"]++
		in.kill("at any moment")
	case kind == armPoint:
		in.armed = armed{points[w.rng.IntN(len(points))], w.rng.IntN(4)}
		if w.rng.IntN(4) == 0 { // few tasks are ever revoked, or promoted
			in.armed = armed{point: []string{c12, c13, c13, k2, k3}[w.rng.IntN(5)]}
		}
		w.note("armed %s at %s", in.name, in.armed.point)
		if in.armed.point == c16 && in.resumed == nil {
			in.stop()
		}
	case kind == pauseFor && in.resumed == nil:
		d := time.Duration(float64(max(w.session, w.transaction)) * (0.3 + 1.2*w.rng.Float64()))
		w.result.faults["pause"]++
		in.pause(d)
	case kind == stopInOrder && in.resumed == nil:
		w.result.faults["stop"]++
		in.stop()
	case kind == throwOut:
		if m := w.log.group.ofInstance(in.name); m != nil {
			w.result.faults["thrown out"]++
			w.note("%s is thrown out of the group", in.name)
			w.log.group.drop(m.id)
		}
	case kind == askRebalance && in.member != nil:
		w.result.faults["rebalance"]++
		w.note("%s asks for a rebalance", in.name)
		m := in.member
		go m.Rejoin("simulated") // ends when the member takes it, or ends
	}
}

func (w *world) drawFault() int {
	all := 0
	for _, n := range w.weights {
		all += n
	}
	n := w.rng.IntN(all)
	for kind, weight := range w.weights {
		if n < weight {
			return kind
		}
		n -= weight
	}
	panic("the weights do not add up")
}
