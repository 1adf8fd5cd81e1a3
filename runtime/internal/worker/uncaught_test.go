package worker

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/commit"
	"github.com/millrace-io/millrace/runtime/internal/restore"
	"github.com/millrace-io/millrace/runtime/internal/task"
	"github.com/millrace-io/millrace/topology"
)

// Without a decision, a failure of the program ends Run: what was not committed is aborted, and the coordinates are told.
func TestUncaughtEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.run()
	w.feed(0, "a", "bad")
	err := <-r.ended
	r.ended <- err
	e, ok := errors.AsType[*task.Error](err)
	if !ok || e.Task != task0 || e.Node != "counter" || e.Source != (topology.Coordinates{Topic: "in", Offset: 1}) {
		t.Errorf("Run: %v", err)
	}
	if n := w.committed(); n > 1 { // the first record may have been committed before
		t.Errorf("committed %d", n)
	}
}

// Replace begins again from the last commit, in a new session, until the failure has gone.
func TestUncaughtReplaces(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var asked atomic.Int64
	w.uncaught = func(err error) Verdict {
		if _, ok := errors.AsType[*task.Error](err); !ok {
			t.Errorf("asked about %v", err)
		}
		asked.Add(1)
		return Replace
	}
	r := w.run()
	w.feed(0, "a")
	w.await("committed", func() bool { return w.committed() == 1 })
	for i := range 3 {
		w.takeTrace()
		w.feed(1, "bad")
		w.await("asked", func() bool { return asked.Load() == int64(i+1) })
		w.await("reads again", func() bool { return slices.Contains(w.traced(), "read in-0 from 1") })
		if got := w.traced(); !slices.Contains(got, "init") {
			t.Errorf("no new session: %q", got)
		}
	}
	w.feed(1, "b", "c")
	w.await("committed", func() bool { return w.committed() == 3 })
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.checkCounts(map[string]int64{"a": 1, "b": 1, "c": 1})
	if s := r.Snapshot(); s.Read[0] != 3 || s.Aborts != 3 {
		t.Errorf("read %d, aborts %d", s.Read[0], s.Aborts)
	}
}

// Park leaves the failed task out; it is in the snapshot, and is tried again when it is assigned again.
func TestUncaughtParks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.uncaught = func(error) Verdict { return Park }
	r := w.run()
	w.feed(0, "a", "bad")
	w.await("parked", func() bool { return len(r.Snapshot().Failed) == 1 })
	s := r.Snapshot()
	if len(s.Running) != 0 || len(s.Preparing) != 0 || s.Failed[0].ID != task0 || !strings.Contains(s.Failed[0].Err.Error(), "in-0 at offset 1") {
		t.Errorf("snapshot %+v", s)
	}
	if err := r.Assign(t.Context(), []restore.Task{w.spec()}); err != nil {
		t.Fatal(err)
	}
	w.await("it runs again", func() bool { return len(r.Snapshot().Running) == 1 })
	if n := len(r.Snapshot().Failed); n != 0 {
		t.Errorf("%d tasks failed", n)
	}
	w.feed(max(w.committed(), 0), "bad")
	w.await("parked again", func() bool { return len(r.Snapshot().Failed) == 1 })
	if err := r.Release(t.Context(), []topology.TaskID{task0}); err != nil {
		t.Fatal(err)
	}
	if n := len(r.Snapshot().Failed); n != 0 {
		t.Errorf("%d tasks failed after the release", n)
	}
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A task that cannot be built is parked too; a failure that is no task's ends Run.
func TestUncaughtOfTheBuild(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.uncaught = func(error) Verdict { return Park }
	w.unbuildable = topology.TaskID{Partition: 1}
	r := w.run()
	other := restore.Task{ID: w.unbuildable, Inputs: []client.TopicPartition{{Topic: "in", Partition: 1}}, Known: make(map[client.TopicPartition]bool)}
	if err := r.Assign(t.Context(), []restore.Task{other}); err != nil {
		t.Fatal(err)
	}
	w.await("parked", func() bool { return len(r.Snapshot().Failed) == 1 && len(r.Snapshot().Running) == 1 })
	w.feed(0, "a")
	w.await("the other goes on", func() bool { return w.committed() == 1 })
	w.failOnce("flush", commit.Fatal(errors.New("topic is gone")))
	w.feed(1, "b")
	if err := <-r.ended; err == nil || !strings.Contains(err.Error(), "topic is gone") {
		t.Errorf("Run: %v", err)
	} else {
		r.ended <- err
	}
}

// Nobody is asked where there is nothing to go on with: another process uses the instance's id, or the worker is to stop.
func TestUncaughtIsNotAsked(t *testing.T) {
	t.Parallel()
	s := newStepped(t, 1)
	s.cfg.Uncaught = func(err error) Verdict {
		t.Errorf("asked about %v", err)
		return Replace
	}
	inUse := fmt.Errorf("fenced: %w", commit.ErrInstanceInUse)
	if _, err := s.uncaught(t.Context(), inUse); !errors.Is(err, inUse) {
		t.Errorf("in use: %v", err)
	}
	s.stopping = true
	if _, err := s.uncaught(t.Context(), errUnbuildable); !errors.Is(err, errUnbuildable) {
		t.Errorf("stopping: %v", err)
	}
}

var errUnbuildable = fmt.Errorf("no such serde")
