package worker

import (
	"context"
	"errors"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/commit"
	"github.com/millrace-io/millrace/runtime/internal/restore"
	"github.com/millrace-io/millrace/topology"
)

var errNoLeader = errors.New("no leader")

// second is a task that the world cannot make ready as long as fails says.
func (w *world) second(fails func() bool) restore.Task {
	id := topology.TaskID{Partition: 1}
	w.unready = func(t restore.Task) *restore.TaskError {
		if t.ID == id && fails() {
			return &restore.TaskError{ID: id, Err: errNoLeader}
		}
		return nil
	}
	return restore.Task{ID: id, Inputs: []client.TopicPartition{{Topic: "in", Partition: 1}}, Known: make(map[client.TopicPartition]bool)}
}

// a task that cannot be made ready is tried again while others run, those that came with it as well, and runs when it can.
func TestUnreadyTaskIsTriedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tries := 0
	bad := w.second(func() bool { tries++; return tries <= 3 })
	r := w.run()
	good := restore.Task{ID: topology.TaskID{Partition: 2}, Inputs: []client.TopicPartition{{Topic: "in", Partition: 2}}, Known: make(map[client.TopicPartition]bool)}
	if err := r.Assign(t.Context(), []restore.Task{bad, good}); err != nil {
		t.Fatal(err)
	}
	w.await("the other one of the two runs", func() bool {
		return slices.ContainsFunc(r.Snapshot().Running, func(s TaskSnapshot) bool { return s.ID == good.ID })
	})
	w.feed(0, "a")
	w.await("the first one goes on", func() bool { return w.committed() == 1 })
	w.await("all run", func() bool { return len(r.Snapshot().Running) == 3 })
	if s := r.Snapshot(); s.Aborts != 0 {
		t.Errorf("%d transactions were lost", s.Aborts)
	}
}

// After the task time-out it has failed for good, it alone: with Park the others go on, else Run ends and says which it was.
func TestUnreadyTaskTimesOut(t *testing.T) {
	t.Parallel()
	for _, verdict := range []Verdict{Park, End} {
		w := newWorld(t)
		w.taskTimeout = time.Nanosecond
		w.uncaught = func(err error) Verdict {
			if id, known := culprit(err); !known || id != (topology.TaskID{Partition: 1}) || !errors.Is(err, errNoLeader) {
				t.Errorf("asked about %v", err)
			}
			return verdict
		}
		bad := w.second(always)
		r := w.run()
		err := r.Assign(t.Context(), []restore.Task{bad})
		if verdict == End {
			err = <-r.ended
			r.ended <- err
			if !errors.Is(err, errNoLeader) || !strings.HasPrefix(err.Error(), "task 0_1: no progress for") {
				t.Errorf("Run: %v", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		w.await("it is parked", func() bool { return len(r.Snapshot().Failed) == 1 && len(r.Snapshot().Running) == 1 })
		w.feed(0, "a")
		w.await("the other one goes on", func() bool { return w.committed() == 1 })
	}
}

func always() bool { return true }

// An input that cannot be read is a failure of its task alone.
func TestUnreadableInput(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.uncaught = func(err error) Verdict {
		if id, known := culprit(err); !known || id != task0 || !strings.HasPrefix(err.Error(), "task 0_0: read in-0: offset 7 of in-0 is out of range") {
			t.Errorf("asked about %v", err)
		}
		return Park
	}
	r := w.run()
	w.mu.Lock()
	w.fetched = append(w.fetched, client.Fetched{TopicPartition: input0, Err: &client.OutOfRangeError{TopicPartition: input0, Offset: 7}})
	w.mu.Unlock()
	w.ready <- struct{}{}
	w.await("it is parked", func() bool { return len(r.Snapshot().Failed) == 1 })
}

// A task that is released while it is made ready, or is to be, does not run; those that came with it do.
func TestReleaseOfWhatIsNotReady(t *testing.T) {
	t.Parallel()
	s := newStepped(t, 0)
	prepare := s.cfg.Prepare
	asked, ended := make(chan []restore.Task), 0
	s.cfg.Prepare = func(ctx context.Context, tasks []restore.Task, _ func(restore.Ready)) error {
		asked <- tasks
		<-ctx.Done()
		time.Sleep(10 * time.Millisecond) // whoever does not wait for the end is earlier
		ended++
		return ctx.Err()
	}
	s.order(t, func(ctx context.Context) error { return s.Assign(ctx, []restore.Task{stepTask(0), stepTask(1)}) })
	if tasks := <-asked; len(tasks) != 2 {
		t.Errorf("made ready: %v", tasks)
	}
	s.cfg.Prepare = prepare
	s.order(t, func(ctx context.Context) error { return s.Release(ctx, []topology.TaskID{{Partition: 0}}) })
	if ended != 1 {
		t.Error("the preparation goes on")
	}
	for len(s.tasks) == 0 {
		s.step(t)
	}
	s.order(t, func(ctx context.Context) error { return s.Pause(ctx, true) })
	s.order(t, func(ctx context.Context) error { return s.Assign(ctx, []restore.Task{stepTask(2)}) })
	s.order(t, func(ctx context.Context) error { return s.Release(ctx, []topology.TaskID{{Partition: 2}}) })
	s.order(t, func(ctx context.Context) error { return s.Pause(ctx, false) })
	if len(s.tasks) != 1 || s.tasks[0].spec.ID.Partition != 1 || len(s.batches) > 0 || len(s.heldBack) > 0 {
		t.Errorf("%d tasks run, %d preparations go on, %d are held back", len(s.tasks), len(s.batches), len(s.heldBack))
	}
}

// A task that is released does not come back if the commit before that fails, which has all tasks made ready anew.
func TestReleaseThroughAFailedCommit(t *testing.T) {
	t.Parallel()
	s := newStepped(t, 2)
	s.feed(0, 1)
	s.policy.MaxPause, s.policy.Interval = time.Hour, time.Hour
	s.policy.Done(s.cfg.Now().Add(-time.Hour), s.cfg.Now()) // a commit so dear that the next one is not due by itself
	s.step(t)
	s.w.failOnce("end", errors.New("cut off"))
	s.order(t, func(ctx context.Context) error { return s.Release(ctx, []topology.TaskID{{Partition: 0}}) })
	for len(s.batches) > 0 {
		s.step(t)
	}
	if len(s.tasks) != 1 || s.tasks[0].spec.ID.Partition != 1 {
		t.Errorf("%d tasks run", len(s.tasks))
	}
}

// Run ends after what it has begun to make ready: that writes to stores.
func TestRunEndsLast(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	begun, end := make(chan struct{}), make(chan struct{})
	r := w.run()
	prepare := r.cfg.Prepare
	err := r.do(t.Context(), func(context.Context) error {
		r.cfg.Prepare = func(ctx context.Context, tasks []restore.Task, ready func(restore.Ready)) error {
			close(begun)
			<-end
			return prepare(ctx, tasks, ready)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Assign(t.Context(), []restore.Task{w.second(always)}); err != nil {
		t.Fatal(err)
	}
	<-begun
	w.feed(0, "bad") // ends it
	select {
	case <-r.done:
		t.Error("it has ended")
	case <-time.After(20 * time.Millisecond):
	}
	close(end)
	<-r.done
}

// What has been made ready of a task that is released at the same time is not taken.
func TestReadyTooLate(t *testing.T) {
	t.Parallel()
	s := newStepped(t, 0)
	prepare, given := s.cfg.Prepare, make(chan struct{})
	s.cfg.Prepare = func(ctx context.Context, tasks []restore.Task, ready func(restore.Ready)) error {
		<-given
		return prepare(ctx, tasks, ready)
	}
	s.order(t, func(ctx context.Context) error { return s.Assign(ctx, []restore.Task{stepTask(0)}) })
	released := make(chan error, 1)
	go func() { released <- s.Release(t.Context(), []topology.TaskID{{}}) }()
	for len(s.commands) == 0 {
		goruntime.Gosched()
	}
	close(given)
	for len(s.ready) == 0 {
		goruntime.Gosched()
	}
	s.step(t)
	if err := <-released; err != nil || len(s.tasks) > 0 {
		t.Errorf("Release: %v, %d tasks run", err, len(s.tasks))
	}
}

// The task time-out counts from a task's first failure, however often it is tried; then it is given up, and its preparation ends.
func TestUnreadyTaskIsTriedForAWhile(t *testing.T) {
	t.Parallel()
	s := newStepped(t, 0)
	s.cfg.Uncaught = func(error) Verdict { return Park }
	tries := 0
	s.cfg.Prepare = func(_ context.Context, tasks []restore.Task, _ func(restore.Ready)) error {
		tries++
		s.clock.Add(int64(s.cfg.TaskTimeout) * 2 / 5)
		return restore.Failed{{ID: tasks[0].ID, Err: errNoLeader}}
	}
	s.order(t, func(ctx context.Context) error { return s.Assign(ctx, []restore.Task{stepTask(0)}) })
	p := s.batches[0]
	for deadline := time.Now().Add(10 * time.Second); len(s.Snapshot().Failed) == 0 && time.Now().Before(deadline); {
		s.step(t)
	}
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		t.Fatal("it is tried for ever")
	}
	if failed := s.Snapshot().Failed; len(failed) != 1 || tries != 3 || !errors.Is(failed[0].Err, errNoLeader) {
		t.Errorf("after %d tries: %v", tries, failed)
	}
}

// What keeps all tasks from being made ready, for good, is no single task's failure.
func TestNothingCanBeMadeReady(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cause := errors.New("not authorised")
	w.uncaught = func(err error) Verdict {
		if _, known := culprit(err); known {
			t.Errorf("asked about a task: %v", err)
		}
		return Park
	}
	r := w.run()
	w.failOnce("prepare", commit.Fatal(cause))
	if err := r.Assign(t.Context(), []restore.Task{w.second(always)}); err != nil {
		t.Fatal(err)
	}
	err := <-r.ended
	r.ended <- err
	if !errors.Is(err, cause) {
		t.Errorf("Run: %v", err)
	}
}

// A task begins at what was committed, with its epoch, which this process knows from then on; or at the start, of which nothing is committed.
func TestWhereATaskBegins(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]client.Committed{"committed": {Offset: 2, LeaderEpoch: 7}, "fresh": {LeaderEpoch: -1}} {
		s := newStepped(t, 0)
		fresh, at := name == "fresh", c.Offset
		if fresh {
			at = -1
		} else {
			s.w.offsets[input0] = c
		}
		spec := stepTask(0)
		s.order(t, func(ctx context.Context) error { return s.Assign(ctx, []restore.Task{spec}) })
		for len(s.tasks) == 0 {
			s.step(t)
		}
		if p := s.tasks[0].task.Progress(); len(p) != 1 || p[0].Next != c.Offset || p[0].LeaderEpoch != c.LeaderEpoch {
			t.Errorf("%s: progress %+v", name, p)
		}
		if got := s.Snapshot().Running[0].Inputs[0]; got.Committed != at || got.Position != c.Offset || spec.Known[input0] == fresh {
			t.Errorf("%s: %+v, known: %v", name, got, spec.Known[input0])
		}
	}
}
