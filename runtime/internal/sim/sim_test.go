package sim

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/topology"
)

var (
	seed  = flag.Uint64("seed", 0, "run TestSimulation with this seed alone, and log its trace")
	seeds = flag.Int("seeds", 12, "number of seeds of TestSimulation")
)

// enough is the number of seeds from which on every crash point has to be hit.
const enough = 200

// TestSimulation runs seeds, and wants every promise kept, and in many of them together every crash point hit.
func TestSimulation(t *testing.T) {
	t.Parallel()
	if *seed != 0 {
		report(t, *seed, simulate(t, *seed, true))
		return
	}
	var all struct {
		sync.Mutex
		result
	}
	all.result = newResult()
	const lanes = 4
	t.Run("seeds", func(t *testing.T) {
		for lane := range lanes {
			t.Run(fmt.Sprint(lane), func(t *testing.T) {
				t.Parallel()
				for s := lane + 1; s <= *seeds; s += lanes {
					r := simulate(t, uint64(s), false)
					report(t, uint64(s), r)
					all.Lock()
					all.add(r)
					all.Unlock()
				}
			})
		}
	})
	t.Logf("%d seeds: %d transactions, faults %v, crashes by point %v, copies %v", *seeds, all.committed, all.faults, all.points, all.copies)
	if *seeds < enough {
		return
	}
	for _, p := range points {
		if all.points[p] == 0 {
			t.Errorf("no crash at %s", p)
		}
	}
	for _, what := range []string{ready, goesOn(asStandby), goesOn(asWarmup), promotedAfterKill, movedToCopy} {
		if all.copies[what] == 0 {
			t.Errorf("copies: not once %s", what)
		}
	}
}

func newResult() result {
	return result{points: make(map[string]int), faults: make(map[string]int), copies: make(map[string]int)}
}

func (r *result) add(other result) {
	r.committed += other.committed
	for k, n := range other.points {
		r.points[k] += n
	}
	for k, n := range other.faults {
		r.faults[k] += n
	}
	for k, n := range other.copies {
		r.copies[k] += n
	}
}

func report(t *testing.T, seed uint64, r result) {
	t.Helper()
	for _, v := range r.violations {
		t.Errorf("go test ./runtime/internal/sim -run TestSimulation -seed %d: %s", seed, v)
	}
}

// A seed is a history: everything that happens is the same, in the same order.
func TestRepeats(t *testing.T) {
	t.Parallel()
	first := uint64(1001)
	if *seed != 0 {
		first = *seed
	}
	for s := first; s < first+4; s++ {
		a, b := simulate(t, s, false), simulate(t, s, false)
		if a.trace != b.trace || !maps.Equal(a.points, b.points) || a.committed != b.committed {
			t.Errorf("seed %d gives two histories: %+v and %+v", s, a, b)
		}
	}
}

// maxSteps bounds the way to rest once the faults have ended.
const maxSteps = 60_000

// simulate makes the history of one seed.
func simulate(t *testing.T, seed uint64, verbose bool) (r result) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		job, err := newJob()
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(seed, 0x51b))
		w := &world{settings: draw(rng), t: t, rng: rng, job: job, log: newLog(time.Now()), verbose: verbose, result: newResult(),
			owners: make(map[topology.TaskID]*instance)}
		w.run()
		w.result.trace = w.trace
		r = w.result
	})
	return r
}

func (w *world) run() {
	w.mu.Lock()
	for range w.rng.IntN(20) {
		w.feed()
	}
	w.instances = make([]*instance, w.settings.instances)
	for i := range w.instances {
		w.start(i, new(disk))
	}
	w.mu.Unlock()
	defer w.end()
	for range w.steps {
		if w.step(false); w.broken() {
			return
		}
	}
	w.mu.Lock()
	for _, in := range w.instances {
		in.armed = armed{}
	}
	w.mu.Unlock()
	if !w.await("at rest", w.rested) {
		return
	}
	w.mu.Lock()
	w.finished = true
	for _, in := range w.instances {
		in.stop()
	}
	w.mu.Unlock()
	if w.await("stopped", w.allEnded) {
		w.mu.Lock()
		w.check()
		w.mu.Unlock()
	}
}

// await goes on without faults until ok.
func (w *world) await(what string, ok func() bool) bool {
	for range maxSteps {
		w.step(true)
		if w.broken() {
			return false
		}
		w.mu.Lock()
		done := ok()
		w.mu.Unlock()
		if done {
			return true
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.violate("LIVE", "not %s %d steps after the last fault: %s", what, maxSteps, w.show())
	return false
}

func (w *world) broken() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.result.violations) > 0
}

// rested reports whether all input has taken effect.
func (w *world) rested() bool {
	if w.next < int64(w.records) || len(w.log.markers()) > 0 || slices.ContainsFunc(w.instances, func(in *instance) bool { return !in.alive() }) {
		return false
	}
	for tp, p := range w.log.partitions {
		n := int64(len(p.records))
		if p.stable() != n || (tp.Topic == topicIn || tp.Topic == topicMid) && w.log.offsets[tp].Offset != n {
			return false
		}
	}
	return w.settled()
}

func (w *world) allEnded() bool {
	return !slices.ContainsFunc(w.instances, func(in *instance) bool { return in.alive() })
}

// show says where everything stands.
func (w *world) show() string {
	var b strings.Builder
	fmt.Fprintf(&b, "group %d generation %d", w.log.group.state, w.log.group.generation)
	for _, in := range w.instances {
		fmt.Fprintf(&b, "; %s alive %v paused %v", in.name, in.alive(), in.resumed != nil)
		if in.member != nil {
			fmt.Fprintf(&b, " %+v", in.member.Assignment())
		}
	}
	for _, c := range w.calls {
		fmt.Fprintf(&b, "; %s applied %v", c.name, c.applied)
	}
	for _, tp := range sortedPartitions(w.log.partitions) {
		fmt.Fprintf(&b, "; %v %d of %d, offset %d", tp, w.log.partitions[tp].stable(), len(w.log.partitions[tp].records), w.log.offsets[tp].Offset)
	}
	return b.String()
}

// bury takes note of the instances that have ended, and has them start again.
func (w *world) bury() {
	for _, in := range w.instances {
		if in.alive() || in.buried {
			continue
		}
		in.buried = true
		down := time.Duration(w.rng.IntN(300)) * time.Millisecond
		if w.rng.IntN(3) == 0 {
			down += w.session // the others take over
		}
		if in.dead {
			w.note("%s was killed: %s", in.name, in.killedAt)
			w.result.points[in.killedAt]++
			in.disk.crash(w.rng)
			w.checkDisk(in.name, in.disk)
			if w.rng.IntN(12) == 0 {
				w.note("the disk of %s is lost", in.name)
				w.result.faults["disk lost"]++
				in.disk = new(disk)
			}
		} else {
			w.note("%s has stopped", in.name)
		}
		w.later(down, func() {
			if !w.finished {
				w.start(in.index, in.disk)
			}
		})
	}
}

// end lets nothing run on.
func (w *world) end() {
	w.mu.Lock()
	w.finished = true
	for _, in := range w.instances {
		if in.alive() {
			in.kill("at the end")
		}
	}
	w.mu.Unlock()
	for _, in := range w.instances {
		<-in.done
	}
}
