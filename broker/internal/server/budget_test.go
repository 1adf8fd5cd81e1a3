package server

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// TestBudgetKeepsCount: whoever stops waiting takes nothing, neither out of the queue nor after it was granted, and lets those behind it pass.
func TestBudgetKeepsCount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(10)
		acquire := func(ctx context.Context, n int64) <-chan error {
			done := make(chan error, 1)
			go func() { done <- b.acquire(ctx, n) }()
			synctest.Wait()
			return done
		}
		if err := <-acquire(t.Context(), 6); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		first := acquire(t.Context(), 8)
		gone := acquire(ctx, 7)
		behind := acquire(t.Context(), 2)
		cancel()
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Errorf("the one that stops: %v", err)
		}
		b.release(6)
		for _, done := range []<-chan error{first, behind} {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if b.mu.free != 0 || len(b.mu.waiters) != 0 {
			t.Errorf("%d are free, %d wait", b.mu.free, len(b.mu.waiters))
		}
		b.release(1)

		ctx, cancel = context.WithCancel(t.Context())
		gone, behind = acquire(ctx, 10), acquire(t.Context(), 1)
		cancel() // what is behind has room now
		if <-gone == nil || <-behind != nil {
			t.Error("the one behind did not pass")
		}
		b.release(10)

		w := &waiter{need: 4, ready: make(chan struct{})}
		b.mu.waiters = append(b.mu.waiters, w, &waiter{need: 10, ready: make(chan struct{})})
		last := b.mu.waiters[1]
		b.release(0)
		b.abandon(w) // which was granted in the same moment
		select {
		case <-last.ready:
		default:
			t.Error("what was given back is not passed on")
		}
		if b.mu.free != 0 {
			t.Errorf("%d are free", b.mu.free)
		}
	})
}
