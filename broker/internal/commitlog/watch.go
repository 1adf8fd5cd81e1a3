package commitlog

// Waiter wakes a fetch that waits for bytes in any of several partitions. The way to use it, without missing a move:
//
//	w := NewWaiter()
//	for each partition { p.Watch(w, isolation); defer p.Unwatch(w) }
//	read all; if less than min.bytes: w.Arm(missing), wait for w.C() or the time-out, read again
//
// A wake-up is a hint: bytes that arrived between Watch and the reading count too. Reading says what is there.
type Waiter struct{}

// NewWaiter returns a waiter that watches nothing.
func NewWaiter() *Waiter { return &Waiter{} }

// Arm makes the waiter wake once n bytes in total have become readable in its partitions since they were watched, or since the
// last Arm; at once if they have by now.
func (w *Waiter) Arm(n int64) {}

// C receives one value per wake-up.
func (w *Waiter) C() <-chan struct{} { return nil }

// Watch has w told of every move of the partition's high watermark (ReadUncommitted) or last stable offset (ReadCommitted), and
// of the topic's deletion and the log's end, which wake it whatever it is armed with.
func (p *Partition) Watch(w *Waiter, iso Isolation) {}

// Unwatch ends Watch.
func (p *Partition) Unwatch(w *Waiter) {}
