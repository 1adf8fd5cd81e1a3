package runtime

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/member"
	"github.com/millrace-io/millrace/runtime/internal/worker"
)

// Action is what follows from a failure that no Handler has let pass and that trying again cannot help: a poisoned record, a
// panic, a topic that was deleted (Kafka Streams' StreamThreadExceptionResponse, R-75). Failures that may pass by themselves, and those
// of the group and the transaction, never come so far: the runtime tries them again.
type Action uint8

// The actions. In every case the failed transaction is aborted first.
const (
	// StopInstance stops this instance in order; Run returns the failure. Other instances take its tasks over, and meet the same
	// record. It is the default (SHUTDOWN_CLIENT).
	StopInstance Action = iota
	// StopApplication stops all instances: this one tells the group, each of the others ends Run with ErrApplicationStopped
	// (SHUTDOWN_APPLICATION).
	StopApplication
	// ReplaceWorker has the worker begin again with a new producer session from the last commit, after a growing pause of at most five
	// seconds. A poisoned record is met again and again (REPLACE_THREAD).
	ReplaceWorker
	// StopTask leaves the failed task stopped, to be seen in Stats, while all others go on; it is tried again when it moves, or at the
	// next start. Its input waits meanwhile. A failure that is no task's stops the instance. Kafka Streams has nothing like it.
	StopTask
)

// ErrApplicationStopped is why Run ends where another instance has asked for StopApplication.
var ErrApplicationStopped = errors.New("another instance has stopped the application")

// policy decides about failures on behalf of the user.
type policy struct {
	stopApplication atomic.Bool // somebody has answered so
}

// uncaught asks the user what follows from a failure of a worker. Workers call it.
func (in *instance) uncaught(err error) worker.Verdict {
	in.logPanic(err)
	switch in.decide(err) {
	case ReplaceWorker:
		return worker.Replace
	case StopTask:
		return worker.Park
	case StopApplication:
		in.policy.stopApplication.Store(true)
	case StopInstance:
	}
	return worker.End
}

// logPanic has the log hold the stack of a panic of user code, which no message can.
func (in *instance) logPanic(err error) {
	if p, ok := errors.AsType[*PanicError](err); ok {
		in.log.Error("user code panicked", "panic", p.Value, "stack", string(p.Stack))
	}
}

// decide calls the user's function. One that panics stops the instance.
func (in *instance) decide(err error) (a Action) {
	if in.cfg.Uncaught == nil {
		return StopInstance
	}
	defer func() {
		if v := recover(); v != nil {
			in.log.Error("Uncaught panicked; the instance stops", "panic", v, "stack", string(debug.Stack()))
			a = StopInstance
		}
	}()
	return in.cfg.Uncaught(err)
}

// farewellTimeout bounds how long an instance that stops the application waits until the group has been told.
const farewellTimeout = 15 * time.Second

// tellGroup has the group's leader tell all members to stop, and waits until it has.
func (s *supervisor) tellGroup(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, min(farewellTimeout, s.cfg.ShutdownTimeout))
	defer cancel()
	s.log.Error("the application is stopped; the other instances are told")
	s.member.StopApplication()
	for !s.member.Assignment().Stop {
		a := s.member.Assignment()
		if err := s.followMembership(ctx, &a); err != nil { // a member that was forgotten has to join anew before it can tell
			return fmt.Errorf("stop the application: %w", err)
		}
		if len(a.Revoked) > 0 && a.Joined { // else the group would wait for this instance
			if err := s.release(ctx, surplus(s.placed, a)); err != nil {
				return fmt.Errorf("stop the application: %w", err)
			}
			s.member.Release(a.Revoked...)
		}
		select {
		case <-s.member.Changed():
		case <-ctx.Done():
			return fmt.Errorf("stop the application: the group did not answer: %w; stop the other instances by hand", ctx.Err())
		}
	}
	return nil
}

// told returns an error if the assignment says that the application is stopped.
func told(a member.Assignment) error {
	if !a.Stop {
		return nil
	}
	return ErrApplicationStopped
}
