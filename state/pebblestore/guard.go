package pebblestore

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	goruntime "runtime"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/millrace-io/millrace/state"
)

// guard stands between Pebble and the process. Pebble reports what it cannot go on after through Logger.Fatalf, which must
// not return: there the guard keeps the error and ends the goroutine, one of Pebble's own or one of run's. Pebble's locks are
// released by deferred calls, and what else waits for that goroutine is not waited for by run.
type guard struct {
	dir  string
	log  *slog.Logger
	lock *pebble.Lock

	failed  chan struct{} // closed after the first fatal error
	trouble chan error    // the last error of a background job; holds one

	mu struct {
		sync.Mutex
		err error
	}
}

func newGuard(dir string, log *slog.Logger) *guard {
	return &guard{dir: dir, log: log, failed: make(chan struct{}), trouble: make(chan error, 1)}
}

// failure returns the fatal error, if there was one.
func (g *guard) failure() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.mu.err
}

func (g *guard) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mu.err == nil {
		g.mu.err = err
		close(g.failed)
	}
}

// run calls f in a goroutine of its own and returns its error, or what ended Pebble meanwhile. It returns early when a
// background job fails, since f may be waiting for that job, which Pebble tries again for ever; then f is left behind, and the
// engine is not used any more.
func (g *guard) run(f func() error) error {
	select {
	case old := <-g.trouble:
		g.log.Debug("pebble: an earlier background error does not count", "dir", g.dir, "err", old)
	default:
	}
	done := make(chan error, 1)
	go func() { // ends with f, or with Pebble
		defer func() {
			if r := recover(); r != nil {
				g.fail(fmt.Errorf("pebble: panic: %v", r))
			}
		}()
		done <- f()
	}()
	select {
	case err := <-done:
		return err
	case err := <-g.trouble:
		g.fail(err)
		return err
	case <-g.failed:
		return g.failure()
	}
}

// recover turns a fatal error or a panic of a call that reads into an error.
func (g *guard) recover(err *error) {
	if r := recover(); r != nil {
		if _, ours := r.(fatal); !ours {
			g.fail(fmt.Errorf("pebble: panic: %v", r))
		}
		*err = g.failure()
	}
}

// fatal is what a read panics with after a fatal error, for recover.
type fatal struct{}

// wrap gives errors of corruption their type.
func (g *guard) wrap(err error) error {
	var c *state.CorruptionError
	if err != nil && !errors.As(err, &c) && pebble.IsCorruptionError(err) {
		return &state.CorruptionError{Path: g.dir, Err: err}
	}
	return err
}

// openError tells a directory that cannot be read from one that cannot be reached.
func openError(dir string, err error) error {
	var c *state.CorruptionError
	var path *fs.PathError
	switch {
	case errors.As(err, &c):
		return err
	case errors.As(err, &path) && !errors.Is(err, fs.ErrNotExist):
		return err // permissions, no space, an input or output error
	default:
		return &state.CorruptionError{Path: dir, Err: err}
	}
}

// Infof implements pebble.Logger.
func (g *guard) Infof(format string, args ...any) {
	g.log.Debug("pebble: " + fmt.Sprintf(format, args...))
}

// Errorf implements pebble.Logger.
func (g *guard) Errorf(format string, args ...any) {
	g.log.Error("pebble: "+fmt.Sprintf(format, args...), "dir", g.dir)
}

// Fatalf implements pebble.Logger.
func (g *guard) Fatalf(format string, args ...any) {
	err := fmt.Errorf("pebble: "+format, args...)
	g.log.Error("state engine failed", "dir", g.dir, "err", err)
	g.fail(err)
	if reading() {
		panic(fatal{})
	}
	goruntime.Goexit()
}

// reading reports whether the calling goroutine belongs to somebody who reads: a frame of the methods that use recover is
// above. Only then is a panic caught.
func reading() bool {
	pc := make([]uintptr, 64)
	frames := goruntime.CallersFrames(pc[:goruntime.Callers(2, pc)])
	for {
		f, more := frames.Next()
		if strings.Contains(f.Function, "pebblestore.(*Engine).Get") || strings.Contains(f.Function, "pebblestore.(*Engine).Scan") ||
			strings.Contains(f.Function, "pebblestore.(*cursor)") {
			return true
		}
		if !more {
			return false
		}
	}
}

// listener returns what Pebble reports to.
func (g *guard) listener() *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: func(err error) {
			g.log.Error("pebble: background error", "dir", g.dir, "err", err)
			select {
			case old := <-g.trouble:
				g.log.Debug("pebble: a background error replaces an earlier one", "dir", g.dir, "err", old)
			default:
			}
			select {
			case g.trouble <- g.wrap(err):
			default:
			}
		},
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			g.log.Error("pebble: corruption", "dir", g.dir, "err", info.Details, "path", info.Path)
		},
		WriteStallBegin: func(info pebble.WriteStallBeginInfo) {
			g.log.Debug("pebble: writes wait for the disk", "dir", g.dir, "reason", info.Reason)
		},
	}
}
