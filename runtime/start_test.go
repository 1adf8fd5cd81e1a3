package runtime_test

import (
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime"
)

// How long a start takes on empty topics, and one after a kill with a transaction open, whose tasks the instance gets back. Both are
// printed; only that they happen is checked, since machines differ.
func TestStartToRunning(t *testing.T) {
	t.Parallel()
	l := openLog(t, true)
	n := newJob(t, l, 2)
	top, err := n.topology()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	first := l.start(t, top, runtime.Config{ApplicationID: n.App, StateDir: dir, Workers: 2})
	begun := time.Now()
	awaitTasks(t, first, 4)
	t.Logf("start to running on empty topics: %v", time.Since(begun).Round(time.Millisecond))
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	child := childJob{Names: n, Brokers: l.brokers, StateDir: dir, Workers: 2}.start(t)
	l.write(t, n.In, jobInput(1, 2000, 2, 0))
	eventually(t, 30*time.Second, "the child works", func() bool { return len(l.read(t, n.Copy)) > 0 })
	child.kill(t)
	begun = time.Now()
	again := l.start(t, top, runtime.Config{ApplicationID: n.App, StateDir: dir, Workers: 2})
	awaitTasks(t, again, 4)
	t.Logf("start to running after a kill, tasks taken back: %v", time.Since(begun).Round(time.Millisecond))
	eventually(t, 30*time.Second, "all is processed", func() bool { return l.drained(t, n.App, n.inputs()...) })
	if err := again.stop(); err != nil {
		t.Fatal(err)
	}
	n.check(t, l)
}

// awaitTasks waits until all tasks run.
func awaitTasks(t *testing.T, app *running, tasks int) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		s := app.Stats()
		if s.State == runtime.Running && len(s.Tasks) == tasks {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not all tasks run: %+v", s)
		}
		time.Sleep(time.Millisecond)
	}
}
