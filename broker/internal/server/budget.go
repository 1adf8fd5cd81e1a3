package server

import (
	"context"
	"sync"
)

// budget is a counted amount of bytes that is shared. Waiters are served in order of arrival.
type budget struct {
	mu struct {
		sync.Mutex
		free    int64
		waiters []*waiter
	}
}

type waiter struct {
	need  int64
	ready chan struct{} // closed by release once need has been taken
}

func newBudget(n int64) *budget {
	b := &budget{}
	b.mu.free = n
	return b
}

// acquire takes n bytes, waiting for them until ctx ends. n must not exceed the whole budget.
func (b *budget) acquire(ctx context.Context, n int64) error {
	b.mu.Lock()
	if len(b.mu.waiters) == 0 && b.mu.free >= n {
		b.mu.free -= n
		b.mu.Unlock()
		return nil
	}
	w := &waiter{need: n, ready: make(chan struct{})}
	b.mu.waiters = append(b.mu.waiters, w)
	b.mu.Unlock()
	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
		b.abandon(w)
		return context.Cause(ctx)
	}
}

// abandon takes w out of the queue, or gives back what it was granted meanwhile.
func (b *budget) abandon(w *waiter) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, x := range b.mu.waiters {
		if x == w {
			b.mu.waiters = append(b.mu.waiters[:i], b.mu.waiters[i+1:]...)
			b.grantLocked()
			return
		}
	}
	b.mu.free += w.need
	b.grantLocked()
}

func (b *budget) release(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.free += n
	b.grantLocked()
}

func (b *budget) grantLocked() {
	for len(b.mu.waiters) > 0 && b.mu.waiters[0].need <= b.mu.free {
		w := b.mu.waiters[0]
		b.mu.waiters = b.mu.waiters[1:]
		b.mu.free -= w.need
		close(w.ready)
	}
}
