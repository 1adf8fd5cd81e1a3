package client

import (
	"context"
	"sync"
	"time"
)

// noLeader is the node of partitions whose leader is not known.
const noLeader = -1

// crew runs one goroutine for each node that there is work for, and one, for noLeader, that finds out who leads. They start
// when they are first woken and end with close.
type crew struct {
	// work does what there is to do for the node and returns how long to wait before it is called again, unless woken
	// earlier: 0 means at once, a negative one until woken.
	work func(ctx context.Context, node int32) time.Duration

	ctx    context.Context // the goroutines' own, ended by close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu struct {
		sync.Mutex
		wakes  map[int32]chan struct{}
		closed bool
	}
}

func newCrew(work func(ctx context.Context, node int32) time.Duration) *crew {
	c := &crew{work: work}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.mu.wakes = make(map[int32]chan struct{})
	return c
}

// wake tells the node's goroutine that there is work.
func (c *crew) wake(node int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.closed {
		return
	}
	wake, ok := c.mu.wakes[node]
	if !ok {
		wake = make(chan struct{}, 1)
		c.mu.wakes[node] = wake
		c.wg.Go(func() { c.run(node, wake) })
	}
	select {
	case wake <- struct{}{}:
	default:
	}
}

func (c *crew) run(node int32, wake <-chan struct{}) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for c.ctx.Err() == nil {
		wait := c.work(c.ctx, node)
		if wait == 0 {
			continue
		}
		var after <-chan time.Time
		if wait > 0 {
			timer.Reset(wait)
			after = timer.C
		}
		select {
		case <-wake:
		case <-after:
		case <-c.ctx.Done():
		}
	}
}

// close ends the goroutines and waits for them.
func (c *crew) close() {
	c.mu.Lock()
	c.mu.closed = true
	c.mu.Unlock()
	c.cancel()
	c.wg.Wait()
}
