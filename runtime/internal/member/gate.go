package member

import (
	"context"
	"sync"
)

// gate keeps commits and joins apart (M2): several commits may be inside, or one join.
type gate struct {
	mu struct {
		sync.Mutex
		inside  int
		closed  bool
		changed chan struct{} // closed and replaced when one of the above changes
	}
}

func newGate() *gate {
	g := &gate{}
	g.mu.changed = make(chan struct{})
	return g
}

// enter waits until the gate is open and goes in. lost, called while nothing changes, may refuse.
func (g *gate) enter(ctx context.Context, lost func() error) (leave func(), err error) {
	for {
		g.mu.Lock()
		err, closed, changed := lost(), g.mu.closed, g.mu.changed
		if err == nil && !closed {
			g.mu.inside++
			g.mu.Unlock()
			return sync.OnceFunc(g.leave), nil
		}
		g.mu.Unlock()
		if err != nil {
			return nil, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mu.inside--
	g.notifyLocked()
}

// shut lets nobody in any more.
func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mu.closed = true
}

// await returns when nobody is inside a gate that was shut, or it was opened again, or ctx ends.
func (g *gate) await(ctx context.Context) {
	g.mu.Lock()
	for g.mu.closed && g.mu.inside > 0 {
		changed := g.mu.changed
		g.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
		g.mu.Lock()
	}
	g.mu.Unlock()
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mu.closed = false
	g.notifyLocked()
}

// notify makes those who wait look again.
func (g *gate) notify() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.notifyLocked()
}

func (g *gate) notifyLocked() {
	close(g.mu.changed)
	g.mu.changed = make(chan struct{})
}
