package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
)

// a paused instance stays in the group with its tasks and does nothing; what came meanwhile is processed after it is resumed, once.
func TestPause(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	n := newJob(t, l, partitions)
	top, err := n.topology()
	if err != nil {
		t.Fatal(err)
	}
	l.write(t, n.In, jobInput(1, 500, partitions, 0))
	app := l.start(t, top, runtime.Config{ApplicationID: n.App, StateDir: t.TempDir(), Workers: 2})
	eventually(t, 30*time.Second, "history is processed", func() bool { return l.drained(t, n.App, n.inputs()...) })
	app.Pause()
	eventually(t, 30*time.Second, "it runs, paused", func() bool { return app.Paused() && app.State() == runtime.Running })
	if err := app.AddWorker(t.Context()); err != nil { // and through it the pause has reached the workers, the new one too
		t.Fatal(err)
	}
	before := app.Stats().Read
	l.write(t, n.In, jobInput(2, 500, partitions, 100_000))
	eventually(t, 30*time.Second, "all tasks are there", func() bool { return len(app.Stats().Tasks) == 2*partitions })
	if l.drained(t, n.App, n.inputs()...) || app.Stats().Read != before {
		t.Errorf("it read %d records while it was paused", app.Stats().Read-before)
	}
	app.Resume()
	eventually(t, 30*time.Second, "what came is processed", func() bool { return l.drained(t, n.App, n.inputs()...) })
	if err := app.stop(); err != nil {
		t.Fatal(err)
	}
	n.check(t, l)
}

// An App that is paused before Run joins the group and takes its tasks, but does not begin.
func TestPausedFromTheStart(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	app, in, out := unique(t, "app"), unique(t, "in"), unique(t, "out")
	l.createTopics(t, partitions, in, out)
	l.write(t, in, []record{{key: "k", value: "v"}})
	var started atomic.Int64
	b := stream.NewBuilder()
	stream.From(b, in, serde.String, serde.String).Peek(func(string, string) { started.Add(1) }).To(out, serde.String, serde.String)
	top, err := b.Topology()
	if err != nil {
		t.Fatal(err)
	}
	a, err := runtime.New(top, runtime.Config{ApplicationID: app, StateDir: t.TempDir(), Brokers: l.brokers, Dial: l.dial, Logger: testLogger(t)})
	if err != nil {
		t.Fatal(err)
	}
	a.Pause()
	ended := make(chan error, 1)
	go func() { ended <- a.Run(context.WithoutCancel(t.Context())) }()
	t.Cleanup(func() { _ = a.Stop(context.Background(), runtime.LeaveGroup) }) // if the test has failed
	eventually(t, 30*time.Second, "it has its tasks", func() bool { return a.State() == runtime.Running && len(a.Stats().Tasks) == partitions })
	if started.Load() != 0 {
		t.Error("it has begun")
	}
	a.Resume()
	eventually(t, 30*time.Second, "it begins", func() bool { return l.drained(t, app, in) })
	if err := a.Stop(t.Context(), runtime.LeaveGroup); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// an instance that keeps its membership is waited for; with LeaveGroup another one takes over at once. R-61: when it is back, nothing has
// happened to the group: the generation is the same, and the other instance has run on.
func TestStopKeepsTheMembership(t *testing.T) {
	t.Parallel()
	for _, d := range []runtime.Departure{runtime.LeaveGroup, runtime.KeepMembership} {
		t.Run(fmt.Sprint(d), func(t *testing.T) {
			t.Parallel()
			l := openLog(t, false)
			app, in, out := unique(t, "app"), unique(t, "in"), unique(t, "out")
			l.createTopics(t, 2, in, out)
			top := poisoned(t, in, out)
			config := func() runtime.Config {
				return runtime.Config{ApplicationID: app, StateDir: t.TempDir(), Workers: 1, SessionTimeout: 20 * time.Second}
			}
			cfg, other := config(), config()
			var rebalances atomic.Int32
			other.Listener = func(c runtime.StateChange) {
				if c.To == runtime.Rebalancing {
					rebalances.Add(1)
				}
			}
			a, b := l.start(t, top, cfg), l.start(t, top, other)
			eventually(t, 30*time.Second, "both share the tasks", func() bool {
				return len(a.Stats().Tasks) == 1 && len(b.Stats().Tasks) == 1 && a.State() == runtime.Running && b.State() == runtime.Running
			})
			generation, before := runtime.Generation(b.App), rebalances.Load()
			if err := a.Stop(t.Context(), d); err != nil {
				t.Fatal(err)
			}
			if err := a.stop(); err != nil || a.State() != runtime.Closed {
				t.Errorf("Run: %v, state %v", err, a.State())
			}
			if d == runtime.LeaveGroup {
				eventually(t, 15*time.Second, "the other takes over at once", func() bool { return len(b.Stats().Tasks) == 2 })
				return
			}
			again := l.start(t, top, cfg)
			eventually(t, 15*time.Second, "it has its task again", func() bool { return len(again.Stats().Tasks) == 1 && again.State() == runtime.Running })
			if n := len(b.Stats().Tasks); n != 1 {
				t.Errorf("the other one has %d tasks", n)
			}
			if g, h := runtime.Generation(again.App), runtime.Generation(b.App); g != generation || h != generation || rebalances.Load() != before {
				t.Errorf("generation %d became %d, and %d of the other one, which has rebalanced %d times", generation, g, h, rebalances.Load()-before)
			}
		})
	}
}

// Stop before Run has Run return at once; Stop after it returns at once.
func TestStopBeforeRun(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	in, out := unique(t, "in"), unique(t, "out")
	l.createTopics(t, 1, in, out)
	a, err := runtime.New(poisoned(t, in, out), runtime.Config{ApplicationID: unique(t, "app"), Brokers: l.brokers, Dial: l.dial, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.AddWorker(t.Context()); !errors.Is(err, runtime.ErrNotRunning) {
		t.Errorf("AddWorker = %v", err)
	}
	for range 2 {
		if err := a.Stop(t.Context(), runtime.LeaveGroup); err != nil {
			t.Errorf("Stop = %v", err)
		}
	}
	if err := a.Run(t.Context()); err != nil {
		t.Errorf("Run = %v", err)
	}
	if err := a.Stop(t.Context(), runtime.LeaveGroup); err != nil || a.State() != runtime.Closed {
		t.Errorf("Stop = %v, state %v", err, a.State())
	}
	if err := a.RemoveWorker(t.Context()); !errors.Is(err, runtime.ErrNotRunning) {
		t.Errorf("RemoveWorker = %v", err)
	}
}

// workers come and go while records do; tasks spread over them, and every result is exact.
func TestWorkersComeAndGo(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	n := newJob(t, l, 4)
	top, err := n.topology()
	if err != nil {
		t.Fatal(err)
	}
	app := l.start(t, top, runtime.Config{ApplicationID: n.App, StateDir: t.TempDir(), Workers: 1})
	spread := func(workers int) func() bool {
		return func() bool {
			count := make(map[int]int)
			for _, task := range app.Stats().Tasks {
				if task.Ready {
					count[task.Worker]++
				}
			}
			return len(count) == workers && count[0] == 8/workers && app.Workers() == workers
		}
	}
	eventually(t, 30*time.Second, "it runs", func() bool { return app.State() == runtime.Running && spread(1)() })
	if err := app.RemoveWorker(t.Context()); err == nil {
		t.Error("the last worker was removed")
	}
	closers := runtime.Closers(app.App)
	for i, change := range []struct {
		do      func(context.Context) error
		workers int
	}{{app.AddWorker, 2}, {app.AddWorker, 3}, {app.AddWorker, 4}, {app.RemoveWorker, 3}, {app.RemoveWorker, 2}, {app.AddWorker, 3}, {app.RemoveWorker, 2}, {app.RemoveWorker, 1}} {
		l.write(t, n.In, jobInput(uint64(i), 200, 4, int64(i)*4000))
		if err := change.do(t.Context()); err != nil {
			t.Fatal(err)
		}
		if change.workers != 3 {
			eventually(t, 30*time.Second, fmt.Sprintf("%d workers share the tasks", change.workers), spread(change.workers))
		}
	}
	eventually(t, 30*time.Second, "all is processed", func() bool { return l.drained(t, n.App, n.inputs()...) })
	after := runtime.Closers(app.App)
	if err := app.stop(); err != nil {
		t.Fatal(err)
	}
	n.check(t, l)
	if after != closers {
		t.Errorf("%d parts are to be closed at the end, and %d were before workers came and went", after, closers)
	}
	if s := app.Stats(); s.Read != 3200 || s.Aborts != 0 {
		t.Errorf("read %d, aborts %d", s.Read, s.Aborts)
	}
}

// A worker that cannot commit when it is removed costs its transaction, as every failed commit does, and not the instance: the others take
// its tasks over, process what it held again, and every result is exact.
func TestWorkerIsRemovedWhileNothingCanBeWritten(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	app, in, out := unique(t, "app"), unique(t, "in"), unique(t, "out")
	l.createTopics(t, 2, in, out)
	m := &mute{}
	blocked, open := make(chan struct{}), make(chan struct{})
	var once sync.Once
	b := stream.NewBuilder()
	stream.From(b, in, serde.String, serde.String).
		Peek(func(string, string) {
			once.Do(func() { close(blocked) })
			<-open
			time.Sleep(100 * time.Microsecond) // work, so that there is more of it than a last commit waits for
		}).
		To(out, serde.String, serde.String)
	top, err := b.Topology()
	if err != nil {
		t.Fatal(err)
	}
	said := &lines{}
	r := l.through(m.over).start(t, top, runtime.Config{
		ApplicationID: app, StateDir: t.TempDir(), Workers: 2, TransactionTimeout: 3 * time.Second, CommitInterval: 1500 * time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(said, nil)),
	})
	eventually(t, 30*time.Second, "each worker has a task", func() bool {
		tasks := r.Stats().Tasks
		return len(tasks) == 2 && tasks[0].Ready && tasks[1].Ready && tasks[0].Worker == 0 && tasks[1].Worker == 1
	})
	m.Store(true)
	var records []record
	for i := range 4000 {
		records = append(records, record{partition: 1, key: "k", value: fmt.Sprint("v", i), timestamp: eventBase})
	}
	l.write(t, in, records)
	<-blocked
	removed := make(chan error, 1)
	go func() { removed <- r.RemoveWorker(t.Context()) }()
	eventually(t, 30*time.Second, "a worker is being removed", func() bool { return r.Workers() == 1 })
	close(open)
	if err := <-removed; err != nil {
		t.Fatal(err)
	}
	if said.having("level=WARN", "the last commit of a worker that is removed has failed", "worker=1") == "" {
		t.Errorf("it says\n%s", said.b.String())
	}
	m.Store(false)
	eventually(t, 30*time.Second, "the other one does its work", func() bool { return l.drained(t, app, in) })
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	sameRecords(t, "output", l.read(t, out), records)
}

// TestCompression: the options reach the log; what was written can be read, state restored from it as well.
func TestCompression(t *testing.T) {
	t.Parallel()
	for _, c := range []runtime.Compression{runtime.Gzip, runtime.Snappy, runtime.LZ4, runtime.Zstd} {
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			l := openLog(t, false)
			n := newJob(t, l, partitions)
			top, err := n.topology()
			if err != nil {
				t.Fatal(err)
			}
			for i := range 2 { // the second run restores its state, which is in memory, from the changelogs
				l.write(t, n.In, jobInput(uint64(i), 500, partitions, int64(i)*50_000))
				app := l.start(t, top, runtime.Config{ApplicationID: n.App, Compression: c, BatchBytes: 4 << 10, TransactionTimeout: time.Second})
				eventually(t, 30*time.Second, "all is processed", func() bool { return l.drained(t, n.App, n.inputs()...) })
				if err := app.stop(); err != nil {
					t.Fatal(err)
				}
			}
			n.check(t, l)
		})
	}
}
