package runtime_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime"
)

// A copied state directory makes two processes one instance. They fence each other, and the one that is fenced stops and says
// why, instead of fencing back for ever. Nothing is counted twice meanwhile.
func TestCopiedStateDirectory(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	n := newJob(t, l, partitions)
	top, err := n.topology()
	if err != nil {
		t.Fatal(err)
	}
	l.write(t, n.In, jobInput(1, 1000, partitions, 0))
	original, copied := t.TempDir(), t.TempDir()
	cfg := runtime.Config{ApplicationID: n.App, StateDir: original, Workers: 1}
	app := l.start(t, top, cfg)
	eventually(t, 30*time.Second, "it is processed", func() bool { return l.drained(t, n.App, n.inputs()...) })
	if err := app.stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(copied, n.App), os.DirFS(filepath.Join(original, n.App))); err != nil {
		t.Fatal(err)
	}
	one := l.start(t, top, cfg)
	eventually(t, 30*time.Second, "it runs", func() bool { return one.State() == runtime.Running })
	cfg.StateDir = copied
	two := l.start(t, top, cfg)
	var failed error
	survivor := one
	eventually(t, 60*time.Second, "one of them stops", func() bool {
		l.write(t, n.In, jobInput(2, 10, partitions, 0))
		select {
		case failed = <-one.done:
			one.done <- failed
			survivor = two
			return true
		case failed = <-two.done:
			two.done <- failed
			return true
		default:
			return false
		}
	})
	if !errors.Is(failed, runtime.ErrInstanceInUse) || !strings.Contains(failed.Error(), "state directory") {
		t.Errorf("error %v", failed)
	}
	eventually(t, 60*time.Second, "the other goes on", func() bool { return l.drained(t, n.App, n.inputs()...) })
	if err := survivor.stop(); err != nil {
		t.Error(err)
	}
	n.check(t, l)
}
