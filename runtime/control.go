package runtime

import (
	"context"
	"errors"
)

// Departure is what becomes of an instance's place in the group when it stops.
type Departure uint8

// The departures.
const (
	// LeaveGroup gives the tasks to other instances at once. It is what the end of Run's context does.
	LeaveGroup Departure = iota
	// KeepMembership has the group wait for the instance, for SessionTimeout: one that starts again by then with the same StateDir goes
	// on with its tasks, and no other has moved. It is for a restart. Without StateDir nobody can come back, and the group just waits.
	KeepMembership
)

// Stop ends Run in order, as the end of its context does, and waits until Run has returned or ctx ends. The first call's
// departure counts. Before Run, it makes Run return at once. It must not be called from a handler, the listener or user code of
// the topology, which Run waits for, with a ctx that does not end.
func (a *App) Stop(ctx context.Context, d Departure) error {
	a.stopOnce.Do(func() {
		a.stay.Store(d == KeepMembership)
		close(a.stop)
	})
	if a.State() == Created {
		return nil
	}
	select {
	case <-a.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Pause stops processing, punctuations and the restoration of stores on this instance, until Resume (KIP-834, R-09). What was processed is
// committed, the instance stays in the group with its tasks, and its state stays what it is. Global tables go on. It may be called
// before Run.
func (a *App) Pause() { a.pause(true) }

// Resume ends a Pause.
func (a *App) Resume() { a.pause(false) }

// Paused reports whether the App is paused.
func (a *App) Paused() bool { return a.paused.Load() }

func (a *App) pause(on bool) {
	a.paused.Store(on)
	if in := a.instance.Load(); in != nil {
		in.signals.changed()
	}
}

// ErrNotRunning is returned by AddWorker and RemoveWorker before Run has started the instance, and after it has ended.
var ErrNotRunning = errors.New("app is not running")

// order is a change of the workers, which the supervisor carries out.
type order struct {
	ctx     context.Context
	add     bool
	outcome chan error
}

// AddWorker starts another worker, which takes its share of the tasks over, and of the memory (KIP-663, R-08). Config.Workers says how
// many there are at the start. It waits until the worker runs, or ctx ends.
func (a *App) AddWorker(ctx context.Context) error { return a.order(ctx, true) }

// RemoveWorker stops the worker that was added last, after a commit; its tasks go to the others. A commit that fails costs its transaction,
// as any other does: the others process again what it held. The last worker stays. It must not be called from user code of the topology
// with a ctx that does not end.
func (a *App) RemoveWorker(ctx context.Context) error { return a.order(ctx, false) }

// Workers returns how many workers there are, 0 before Run has started the instance.
func (a *App) Workers() int {
	in := a.instance.Load()
	if in == nil {
		return 0
	}
	return len(in.crew())
}

func (a *App) order(ctx context.Context, add bool) error {
	in := a.instance.Load()
	if in == nil {
		return ErrNotRunning
	}
	o := order{ctx: ctx, add: add, outcome: make(chan error, 1)}
	select {
	case in.orders <- o:
	case <-a.done:
		return ErrNotRunning
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-o.outcome:
		return err
	case <-a.done:
		return ErrNotRunning
	case <-ctx.Done():
		return ctx.Err()
	}
}
