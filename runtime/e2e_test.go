package runtime_test

import (
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime"
)

const partitions = 3

// One run over all that is there, then over what comes.
func TestJob(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	n := newJob(t, l, partitions)
	top, err := n.topology()
	if err != nil {
		t.Fatal(err)
	}
	l.write(t, n.In, jobInput(1, 5000, partitions, 0))
	app := l.start(t, top, runtime.Config{ApplicationID: n.App, StateDir: t.TempDir(), Workers: 2})
	eventually(t, 30*time.Second, "history is processed", func() bool { return l.drained(t, n.App, n.inputs()...) })
	l.write(t, n.In, jobInput(2, 1000, partitions, 100_000))
	eventually(t, 30*time.Second, "what came is processed", func() bool { return l.drained(t, n.App, n.inputs()...) })
	if err := app.stop(); err != nil {
		t.Fatal(err)
	}
	n.check(t, l)
	s := app.Stats()
	if s.Read != 12_000 || s.Lag != 0 && s.Lag != -1 || s.Commits == 0 || s.State != runtime.Closed || len(s.Dropped) != 0 {
		t.Errorf("stats %+v", s)
	}
}

// A second run goes on where the first ended, with its state, and counts nothing twice.
func TestJobGoesOn(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	n := newJob(t, l, partitions)
	top, err := n.topology()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for run := range 3 {
		l.write(t, n.In, jobInput(uint64(run), 1000, partitions, int64(run)*100_000))
		if run == 2 {
			dir = t.TempDir() // the state is lost: restored from the changelogs
		}
		app := l.start(t, top, runtime.Config{ApplicationID: n.App, StateDir: dir, Workers: 1 + run})
		eventually(t, 30*time.Second, "input is processed", func() bool { return l.drained(t, n.App, n.inputs()...) })
		if err := app.stop(); err != nil {
			t.Fatal(err)
		}
	}
	n.check(t, l)
}
