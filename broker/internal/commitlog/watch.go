package commitlog

import (
	"math"
	"slices"
	"sync/atomic"
)

// Waiter wakes a fetch that waits for bytes in any of several partitions. The way to use it, without missing a move:
//
//	w := NewWaiter()
//	for each partition { p.Watch(w, isolation); defer p.Unwatch(w) }
//	read all; if less than min.bytes: w.Arm(missing), wait for w.C() or the time-out, read again
//
// A wake-up is a hint: bytes that arrived between Watch and the reading count too. Reading says what is there.
type Waiter struct {
	seen   atomic.Int64 // bytes since the last Arm
	needed atomic.Int64
	c      chan struct{}
}

// wakeAnyhow is more bytes than anybody can need.
const wakeAnyhow = math.MaxInt64 / 4

// NewWaiter returns a waiter that watches nothing.
func NewWaiter() *Waiter {
	w := &Waiter{c: make(chan struct{}, 1)}
	w.needed.Store(math.MaxInt64)
	return w
}

// Arm makes the waiter wake once n bytes in total have become readable in its partitions since they were watched, or since the
// last wake-up; at once if they have by now. n is at least 1.
func (w *Waiter) Arm(n int64) {
	w.needed.Store(max(1, n))
	w.add(0)
}

// C receives one value per wake-up.
func (w *Waiter) C() <-chan struct{} { return w.c }

func (w *Waiter) add(n int64) {
	if w.seen.Add(n) < w.needed.Load() {
		return
	}
	w.needed.Store(math.MaxInt64)
	w.seen.Store(0)
	select {
	case w.c <- struct{}{}:
	default: // it has one to receive already
	}
}

type watcher struct {
	*Waiter
	isolation Isolation
}

// Watch has w told of every move of the partition's high watermark (ReadUncommitted) or last stable offset (ReadCommitted), and
// of the topic's deletion and the log's end, which wake it whatever it is armed with.
func (p *Partition) Watch(w *Waiter, iso Isolation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.watchers = append(p.mu.watchers, watcher{w, iso & 1})
	if p.mu.deleted {
		w.add(wakeAnyhow)
	}
}

// Unwatch ends Watch.
func (p *Partition) Unwatch(w *Waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.mu.watchers, func(x watcher) bool { return x.Waiter == w })
	if i >= 0 {
		p.mu.watchers = slices.Delete(p.mu.watchers, i, i+1)
	}
}

func (p *Partition) wakeWatchersLocked() {
	for _, w := range p.mu.watchers {
		w.add(wakeAnyhow)
	}
}
