package worker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/commit"
	"github.com/millrace-io/millrace/runtime/internal/restore"
	"github.com/millrace-io/millrace/topology"
)

// One commit, call by call: this order is what exactly-once rests on.
func TestCommitOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.run()
	w.takeTrace()
	begun := time.Now().UnixMilli()
	w.feed(0, "a", "b", "a")
	w.await("committed", func() bool { return r.Snapshot().Commits == 1 })
	want := []string{
		"send out-0:3",                        // what was forwarded
		"send app-counts-changelog-0:2",       // one change for each key
		"enter", "offsets m1/4 at 3", "leave", // while the log writes those
		"flush", // all of them are answered
		"end commit=true",
	}
	if got := w.takeTrace(); !slices.Equal(got, want) {
		t.Errorf("calls %q\nwant  %q", got, want)
	}
	if len(w.complete) != 1 || w.complete[0] < begun || w.complete[0] > time.Now().UnixMilli() {
		t.Errorf("the store is complete as of %v, which began at %d", w.complete, begun)
	}
	s := r.Snapshot()
	if s.Read[0] != 3 || s.Written["out"] != 3 || s.Running[0].Inputs[0].Committed != 3 || s.Running[0].Inputs[0].Lag != 0 {
		t.Errorf("snapshot %+v", s)
	}
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-r.ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	if got := w.takeTrace(); !slices.Equal(got, []string{"close in-0"}) {
		t.Errorf("stopping with nothing to commit calls %q", got)
	}
}

// Control records alone move the position, and that is committed.
func TestIdleCommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.run()
	w.takeTrace()
	w.feed(7) // an empty batch that ends at 7
	w.await("committed", func() bool { return r.Snapshot().Commits == 1 })
	if got, want := w.takeTrace(), []string{"enter", "offsets m1/4 at 7", "leave", "flush", "end commit=true"}; !slices.Equal(got, want) {
		t.Errorf("calls %q\nwant  %q", got, want)
	}
}

// Whatever step fails, the records of the lost transaction are processed again, and state counts them once.
func TestEveryStepCanFail(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		call string
		err  error
	}{
		{"send", errors.New("cut off")},
		{"flush", errors.New("cut off")},
		{"flush", kerr.OutOfOrderSequenceNumber},
		{"enter", errors.New("cut off")},
		{"offsets", errors.New("cut off")},
		{"offsets", kerr.TransactionAbortable},
		{"end", errors.New("cut off")},
		{"end", kerr.ProducerFenced},
	} {
		t.Run(tc.call+" "+tc.err.Error(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			r := w.run()
			w.feed(0, "a")
			w.await("committed", func() bool { return w.committed() == 1 })
			w.takeTrace()
			w.failOnce(tc.call, tc.err)
			w.feed(1, "a", "b")
			w.await("recovered", func() bool { return slices.Contains(w.traced(), "read in-0 from 1") })
			if got := w.traced(); !slices.Contains(got, "init") || slices.Index(got, "init") > slices.Index(got, "prepare") {
				t.Errorf("no new session before the task was made ready: %q", got)
			}
			if w.committed() != 1 {
				t.Errorf("committed %d", w.committed())
			}
			w.mu.Lock()
			if len(w.complete) != 1 {
				t.Errorf("the store was said to be complete %d times: a commit that failed says nothing", len(w.complete))
			}
			if !w.known {
				t.Error("whoever makes the task ready is not told that an offset was committed")
			}
			w.mu.Unlock()
			w.feed(1, "a", "b")
			w.await("committed", func() bool { return w.committed() == 3 })
			if err := r.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.checkCounts(map[string]int64{"a": 2, "b": 1})
			if s := r.Snapshot(); s.Read[0] != 3 || s.Aborts != 1 {
				t.Errorf("read %d, aborts %d", s.Read[0], s.Aborts)
			}
		})
	}
}

// The answer to the commit was lost, though it happened: the offsets tell, and nothing is processed twice. (That the
// changelog's tail is read is the restorer's part.)
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run()
	w.mu.Lock()
	w.offsets[input0] = client.Committed{Offset: 2}
	w.fail["end"] = errors.New("cut off")
	w.mu.Unlock()
	w.feed(0, "a", "b")
	w.await("it goes on behind", func() bool { return slices.Contains(w.traced(), "read in-0 from 2") })
}

// A rebalance inside the transaction: the same transaction commits under the new generation.
func TestNewerGeneration(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.run()
	w.takeTrace()
	w.failOnce("offsets", kerr.RebalanceInProgress)
	w.feed(0, "a")
	w.await("refused", func() bool { return slices.Contains(w.traced(), "refused") })
	w.mu.Lock()
	w.identity.Generation = 5
	w.mu.Unlock()
	w.await("committed", func() bool { return r.Snapshot().Commits == 1 })
	got := strings.Join(slices.Compact(w.takeTrace()), ", ")
	for _, want := range []string{"offsets m1/4 at 1, refused, leave", "enter, offsets m1/5 at 1, leave, flush, end commit=true"} {
		if !strings.Contains(got, want) {
			t.Errorf("calls %s\nwant  %s", got, want)
		}
	}
	if r.Snapshot().Aborts != 0 {
		t.Error("it was aborted")
	}
}

// A worker that waits for a newer generation is not in the gate, or the member could not join. If that ends in a loss, the old generation may commit
// again: it may have been refused for a moment only.
func TestWaitForAGeneration(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run()
	w.takeTrace()
	w.failOnce("offsets", kerr.RebalanceInProgress)
	w.feed(0, "a")
	count := func(call string) (n int) {
		for _, c := range w.traced() {
			if c == call {
				n++
			}
		}
		return n
	}
	w.await("it asks again", func() bool { return count("enter") > 3 })
	if in := count("enter") - count("leave"); in > 1 { // it may be asking
		t.Errorf("it has entered %d times without leaving", in)
	}
	w.failOnce("enter", errors.New("cut off"))
	w.await("it begins anew", func() bool { return slices.Contains(w.traced(), "read in-0 from 0") })
	w.feed(0, "a")
	w.await("committed", func() bool { return w.committed() == 1 })
}

// A call that does not return is given up when the log has given the transaction up, whichever it is.
func TestCommitIsBounded(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"enter", "offsets", "flush", "end"} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.txnTimeout = 50 * time.Millisecond
			w.hang = call
			w.run()
			w.takeTrace()
			w.feed(0, "a")
			w.await("it begins anew", func() bool { return slices.Contains(w.traced(), "read in-0 from 0") })
			w.feed(0, "a")
			w.await("committed", func() bool { return w.committed() == 1 })
		})
	}
}

// Where an input begins is committed though nothing comes, once, if it is not the log's start: another start would have another answer (D-09).
func TestBeginningIsCommitted(t *testing.T) {
	t.Parallel()
	for name, reset := range map[string]topology.OffsetReset{"earliest": topology.Earliest(), "latest": topology.Latest()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStepped(t, 0)
			spec := stepTask(0)
			spec.Resets = map[client.TopicPartition]topology.OffsetReset{input0: reset}
			s.order(t, func(ctx context.Context) error { return s.Assign(ctx, []restore.Task{spec}) })
			for len(s.tasks) < 1 {
				s.step(t)
			}
			if got := s.pending(true).Dirty; got != (name == "latest") {
				t.Errorf("there is something to commit: %v", got)
			}
			if err := s.commitNow(t.Context()); err != nil || s.pending(true).Dirty {
				t.Errorf("%v; then there is something to commit: %v", err, s.pending(true).Dirty)
			}
		})
	}
}

// The store is complete as of when the commit began: what another wrote to its changelog since, if the tasks were taken away meanwhile, it has not got.
func TestCompleteAsOfTheBeginning(t *testing.T) {
	t.Parallel()
	s := newStepped(t, 0)
	spec := stepTask(0)
	row := func(key, value []byte, _ int64) ([]byte, []byte, bool) { return key, value, true }
	spec.Stores = []restore.Store{{Name: "counts", Changelog: client.TopicPartition{Topic: "changelog"}, State: noted{w: s.w}},
		{Name: "rows", Changelog: input0, Row: row, State: noted{w: s.w}}} // which is as complete as the task has come
	s.order(t, func(ctx context.Context) error { return s.Assign(ctx, []restore.Task{spec}) })
	for len(s.tasks) < 1 {
		s.step(t)
	}
	s.asks, s.fetched = true, []int{0}
	s.feed(0, 1)
	begun := s.cfg.Now().UnixMilli()
	s.w.during = func(string) { s.clock.Add(int64(time.Second)) }
	s.step(t)
	if s.w.committed() != 1 || !slices.Equal(s.w.complete, []int64{begun}) {
		t.Errorf("committed %d, complete as of %v, want %d", s.w.committed(), s.w.complete, begun)
	}
}

// A worker without anything to commit notes once a minute that its stores are complete, as of when the group last answered. While something is
// uncommitted they are not, and where the group does not answer another may write to their changelogs.
func TestRestingWorker(t *testing.T) {
	t.Parallel()
	s := newStepped(t, 0)
	spec := stepTask(0)
	spec.Stores = []restore.Store{{Name: "counts", Changelog: client.TopicPartition{Topic: "changelog"}, State: noted{w: s.w}}}
	s.order(t, func(ctx context.Context) error { return s.Assign(ctx, []restore.Task{spec}) })
	for len(s.tasks) < 1 {
		s.step(t)
	}
	ago, answers := 3*time.Second, false
	s.cfg.Heard = func() (time.Duration, bool) { return ago, answers }
	step := func(later time.Duration) (asOf []int64) {
		s.clock.Add(int64(later))
		s.step(t)
		asOf, s.w.complete = s.w.complete, nil
		return asOf
	}
	pause := func(on bool) { s.order(t, func(ctx context.Context) error { return s.Pause(ctx, on) }) }
	pause(true) // its punctuation would be something to commit
	if got := step(time.Hour); len(got) > 0 {
		t.Errorf("the group has not answered yet, and it is complete as of %v", got)
	}
	answers = true
	if got, want := step(0), []int64{s.cfg.Now().Add(-ago).UnixMilli()}; !slices.Equal(got, want) {
		t.Errorf("it is complete as of %v, want %v", got, want)
	}
	if got := step(restEvery - 1); len(got) > 0 {
		t.Errorf("it is complete as of %v, too soon", got)
	}
	ago = time.Hour
	if got, want := step(1), []int64{s.cfg.Now().Add(-ago).UnixMilli()}; !slices.Equal(got, want) {
		t.Errorf("cut off, it is complete as of %v, want %v", got, want)
	}
	pause(false)
	s.fetched = []int{0}
	s.feed(0, 1)
	s.policy.MaxPause, s.policy.Interval = time.Hour, time.Hour
	s.policy.Done(s.cfg.Now().Add(-time.Hour), s.cfg.Now()) // a commit so dear that the next one is not due
	if got := step(restEvery); len(got) > 0 || s.took()[0] != 1 {
		t.Errorf("what it has processed is not committed, and it is complete as of %v", got)
	}
}

// An input is drained when the log has said that there is no more.
func TestDrained(t *testing.T) {
	t.Parallel()
	s := newStepped(t, 1)
	for _, tc := range []struct {
		lag  int64
		want bool
	}{{-1, false}, {5, false}, {0, true}} {
		if tc.lag >= 0 {
			s.w.fetched = append(s.w.fetched, client.Fetched{TopicPartition: input0, Lag: tc.lag})
			s.step(t)
		}
		if got := s.pending(true).Drained; got != tc.want {
			t.Errorf("lag %d: drained %v", tc.lag, got)
		}
		if s.pending(false).Drained {
			t.Errorf("lag %d: a worker that has just worked is drained", tc.lag)
		}
	}
}

// The member was lost: nothing is committed, the task is closed, and it is not taken up again before the instance says so
// (G1).
func TestLostMember(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(w *world){
		"the gate says so":        func(w *world) { w.lost = true },
		"another member id":       func(w *world) { w.enterAs = client.Identity{MemberID: "m2", Generation: 5} },
		"the coordinator says so": func(w *world) { w.fail["offsets"] = kerr.UnknownMemberID },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			r := w.run()
			w.mu.Lock()
			lose(w)
			w.mu.Unlock()
			w.feed(0, "a")
			w.await("dropped", func() bool {
				w.mu.Lock()
				defer w.mu.Unlock()
				return len(w.dropped) == 1
			})
			got := w.traced()
			if slices.Contains(got, "end commit=true") || !slices.Contains(got, "init") {
				t.Errorf("calls %q", got)
			}
			if told := name == "the coordinator says so"; slices.Contains(got, "refused") != told { // else the member knows
				t.Errorf("the member is told: %v, want %v", !told, told)
			}
			if entered := name != "the gate says so"; slices.Contains(got, "leave") != entered {
				t.Errorf("the gate was left: %v, want %v", !entered, entered)
			}
			if n := len(r.Snapshot().Running); n != 0 {
				t.Errorf("%d tasks run", n)
			}
		})
	}
}

// A worker that is stopped after the group has forgotten its member, or the log its producer, ends well: the loss is none of its own failures. Nothing
// is committed, and what is open is ended. What else keeps the last commit from happening is told.
func TestStopAfterALoss(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		befalls func(w *world)
		told    bool
	}{
		"the member is lost":     {func(w *world) { w.lost = true }, false},
		"the producer is fenced": {func(w *world) { w.fail["offsets"] = kerr.ProducerFenced }, false},
		"the log is cut off":     {func(w *world) { w.fail["enter"] = errors.New("cut off") }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			r := w.run()
			w.takeTrace()
			err := r.do(t.Context(), func(context.Context) error {
				r.policy.Done(r.cfg.Now().Add(-time.Hour), r.cfg.Now()) // a commit so dear that the next one is not due by itself
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			w.feed(0, "a")
			w.await("the record is taken", func() bool { // in the round before the one that stops
				w.mu.Lock()
				defer w.mu.Unlock()
				return len(w.fetched) == 0
			})
			w.mu.Lock()
			tc.befalls(w)
			w.mu.Unlock()
			err = r.Stop(t.Context())
			if errors.Is(err, ErrLastCommit) != tc.told || errors.Is(err, ErrEnded) != tc.told || (err != nil) != tc.told {
				t.Errorf("Stop: %v", err)
			}
			if err := <-r.ended; (err != nil) != tc.told {
				t.Errorf("Run: %v", err)
			}
			if calls := w.traced(); slices.Contains(calls, "end commit=true") || !slices.Contains(calls, "end commit=false") {
				t.Errorf("calls %q", calls)
			}
			if n := len(r.Snapshot().Running); n != 0 {
				t.Errorf("%d tasks run", n)
			}
		})
	}
}

// The instance says that the member is lost: as above, and nobody has to be told.
func TestLose(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.run()
	w.failOnce("enter", errors.New("cut off")) // so that the record stays uncommitted for a while
	w.feed(0, "a")
	w.await("taken", func() bool { return len(w.traced()) > 2 })
	if err := r.Lose(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(r.Snapshot().Running); n != 0 || len(w.dropped) != 0 {
		t.Errorf("%d tasks run, %d were dropped", n, len(w.dropped))
	}
	if err := r.Assign(t.Context(), []restore.Task{w.spec()}); err != nil {
		t.Fatal(err)
	}
	w.await("it runs again", func() bool { return len(r.Snapshot().Running) == 1 })
	w.mu.Lock()
	w.lost = true // this time a commit finds out, and the instance has to be told
	w.mu.Unlock()
	w.feed(0, "a")
	w.await("dropped", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.dropped) == 1
	})
}

// A loss ends what is made ready, and what has failed for good is forgotten; the snapshot shows it, since copies of states wait for what is made ready.
func TestLoseWhatDoesNotRun(t *testing.T) {
	t.Parallel()
	for name, unready := range map[string]bool{"a task is made ready": true, "a task has failed": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStepped(t, 0)
			s.cfg.TaskTimeout = 0
			s.cfg.Uncaught = func(error) Verdict { return Park }
			asked := make(chan struct{}, 1)
			s.cfg.Prepare = func(ctx context.Context, tasks []restore.Task, _ func(restore.Ready)) error {
				asked <- struct{}{}
				if unready {
					<-ctx.Done()
					return ctx.Err()
				}
				return restore.Failed{{ID: tasks[0].ID, Err: errNoLeader}}
			}
			s.order(t, func(ctx context.Context) error { return s.Assign(ctx, []restore.Task{stepTask(0)}) })
			<-asked
			for !unready && len(s.Snapshot().Failed) == 0 {
				s.step(t)
			}
			s.order(t, s.Lose)
			if got := s.Snapshot(); len(got.Preparing) > 0 || len(got.Failed) > 0 || len(s.batches) > 0 {
				t.Errorf("snapshot %+v", got)
			}
		})
	}
}

// What was lost stays lost though the new session takes more than one attempt, or the worker starts again between them: a task that came back by
// itself would be committed under the next membership, beside the one that the group has given it to.
func TestLoseWithoutASession(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"it passes":               errors.New("cut off"),
		"the worker starts again": commit.Fatal(errors.New("not authorised")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.uncaught = func(error) Verdict { return Replace }
			r := w.run()
			w.takeTrace()
			w.failOnce("init", err)
			w.feed(0, "a")
			w.await("committed", func() bool { return w.committed() == 1 })
			if err := r.Lose(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := r.Release(t.Context(), nil); err != nil { // whatever the loss has left for later has been done by now
				t.Fatal(err)
			}
			calls := w.takeTrace()
			inits := 0
			for _, c := range calls {
				if c == "init" {
					inits++
				}
			}
			s := r.Snapshot()
			if inits != 2 || slices.Contains(calls, "prepare") || len(s.Running) != 0 || len(s.Preparing) != 0 {
				t.Errorf("calls %q; tasks %v run, %v are made ready", calls, s.Running, s.Preparing)
			}
			if s.Aborts != 1 {
				t.Errorf("one loss is counted as %d", s.Aborts)
			}
		})
	}
}

// An error of the program ends the worker, and the open transaction with it.
func TestFatal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.run()
	w.takeTrace()
	w.feed(0, "a", "bad")
	err := <-r.ended
	if err == nil || !strings.Contains(err.Error(), `in-0 at offset 1: "bad" is refused`) || commit.Classify(err) != commit.ClassFatal {
		t.Errorf("Run: %v", err)
	}
	if w.committed() != 0 {
		t.Errorf("committed %d", w.committed())
	}
	if err := r.Release(t.Context(), []topology.TaskID{task0}); !errors.Is(err, ErrEnded) {
		t.Errorf("a command to an ended worker: %v", err)
	}
}

// A task is released after the commit that holds its offsets (G3).
func TestReleaseCommitsFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.run()
	w.takeTrace()
	w.feed(0, "a", "b")
	w.await("taken", func() bool { return r.Snapshot().Commits > 0 || len(w.traced()) > 0 })
	if err := r.Release(t.Context(), []topology.TaskID{task0}); err != nil {
		t.Fatal(err)
	}
	got := w.takeTrace()
	if got[len(got)-1] != "close in-0" || !slices.Contains(got, "end commit=true") || w.committed() != 2 {
		t.Errorf("calls %q, committed %d", got, w.committed())
	}
	if n := len(r.Snapshot().Running); n != 0 {
		t.Errorf("%d tasks run", n)
	}
}
