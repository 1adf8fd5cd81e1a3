package runtime

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/millrace-io/millrace/topology"
)

// App is one instance of an application.
type App struct {
	topology *topology.Topology
	cfg      Config
	life     lifecycle
	instance atomic.Pointer[instance] // nil until Run has made it
	paused   atomic.Bool
	stay     atomic.Bool
	stop     chan struct{} // closed by Stop
	stopOnce sync.Once
	done     chan struct{} // closed when Run has returned
}

// New checks a topology and its configuration and returns an App. It starts nothing, reaches no broker and touches no disk. All
// faults are reported at once.
func New(t *topology.Topology, cfg Config) (*App, error) {
	var invalid error
	if t == nil {
		invalid = errors.New("topology is nil")
	} else {
		invalid = t.Validate()
	}
	if err := errors.Join(invalid, cfg.Validate()); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	cfg.Logger = cfg.Logger.With("app", cfg.ApplicationID)
	a := &App{topology: t, cfg: cfg, stop: make(chan struct{}), done: make(chan struct{})}
	a.life.now, a.life.listener = cfg.Now, cfg.Listener
	return a, nil
}

// Run runs the instance until ctx ends or a failure that trying again cannot help. When ctx ends it stops in order: no
// more is fetched, what was processed is committed, tasks and stores are closed, the group is left; then it returns nil. A
// failure stops the instance in the same way, as far as it can, and is returned: it says which task, where, what, and what to
// do next.
//
// Run may be called once. Stop ends it in the same way.
func (a *App) Run(ctx context.Context) (err error) {
	if !a.life.begin() {
		return ErrRan
	}
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-a.stop:
			cancel()
		case <-ctx.Done():
		}
	})
	defer func() {
		cancel()
		watching.Wait()
		defer close(a.done)
		a.life.enter(Closing, nil)
		if err != nil {
			a.life.enter(Failed, err)
		} else {
			a.life.enter(Closed, nil)
		}
	}()
	in, err := open(ctx, a.topology, a.cfg)
	if err != nil {
		if ctx.Err() != nil {
			return nil // asked to stop while it was starting
		}
		return fmt.Errorf("start %s: %w", a.cfg.ApplicationID, err)
	}
	in.paused, in.stay = &a.paused, &a.stay
	a.instance.Store(in)
	err = in.supervise(ctx, &a.life)
	return errors.Join(err, in.close())
}

// State returns where the App stands.
func (a *App) State() State { return a.life.state() }
