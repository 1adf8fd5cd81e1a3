package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/worker"
)

// slot is what a worker stands on.
type slot struct {
	producer *client.Producer
	fetcher  *client.Fetcher
	leaving  *atomic.Bool // the worker is being removed
}

func (s *slot) close() {
	s.fetcher.Close()
	s.producer.Close()
}

func (in *instance) closeSlots() error {
	for i := range in.slots {
		in.slots[i].close()
	}
	in.slots = nil
	return nil
}

// roster is who works, for readers of all goroutines. It is replaced whole.
type roster struct {
	workers []*worker.Worker
	leaving *worker.Worker  // is being removed
	past    worker.Snapshot // what those that were removed have done
}

// show makes a change of the workers visible.
func (in *instance) show() {
	r := &roster{workers: slices.Clone(in.workers)}
	if before := in.roster.Load(); before != nil {
		r.past = before.past
	}
	in.roster.Store(r)
}

// showLeaving makes visible that the last worker works no more.
func (in *instance) showLeaving() {
	before, last := in.roster.Load(), len(in.workers)-1
	in.roster.Store(&roster{workers: slices.Clone(in.workers[:last]), leaving: in.workers[last], past: before.past})
}

// showLeft keeps of the worker that has left what it has done.
func (in *instance) showLeft() {
	before := in.roster.Load()
	in.roster.Store(&roster{workers: before.workers, past: worker.Sum(&before.past, before.leaving.Snapshot())})
}

// crew returns the workers.
func (in *instance) crew() []*worker.Worker {
	if r := in.roster.Load(); r != nil {
		return r.workers
	}
	return nil
}

// pauseWorkers has the workers do as Pause and Resume say.
func (s *supervisor) pauseWorkers(ctx context.Context) error {
	on := s.paused.Load()
	if on == s.pausing && (!on || s.pausers == len(s.workers)) {
		return nil
	}
	for _, w := range s.workers {
		if err := w.Pause(ctx, on); err != nil && !errors.Is(err, worker.ErrEnded) {
			return err
		}
	}
	s.pausing, s.pausers = on, len(s.workers)
	s.log.Info("paused", "on", on)
	return nil
}

// obey adds or removes a worker. The error ends the instance.
func (s *supervisor) obey(ctx context.Context, o order) error {
	if o.add {
		o.outcome <- s.add(o.ctx) // what fails leaves the workers as they are
		return nil
	}
	if len(s.workers) == 1 {
		o.outcome <- errors.New("remove a worker: there is only one")
		return nil
	}
	err := s.remove(ctx)
	o.outcome <- err
	if errors.Is(err, worker.ErrEnded) {
		return nil // it has failed by itself: why is on its way
	}
	return err
}

func (s *supervisor) add(ctx context.Context) error {
	n := len(s.workers)
	if n == maxWorkers {
		return fmt.Errorf("add a worker: there are %d, the most that are possible", n)
	}
	if err := s.recordSlots(n + 1); err != nil { // before its transactional id is used
		return fmt.Errorf("add a worker: %w", err)
	}
	producers, err := s.openProducers(ctx, s.cfg.Guarantee, n, n+1)
	if err != nil {
		return fmt.Errorf("add a worker: %w", err)
	}
	if s.unsettled == n+1 {
		s.unsettled = n // the new session has ended what was open
	}
	if err := s.openWorker(n, producers[0]); err != nil { // it has closed the producer
		return fmt.Errorf("add a worker: %w", err)
	}
	s.placed = append(s.placed, nil)
	s.launch(n)
	s.resized(ctx)
	s.log.Info("worker added", "worker", n)
	return nil
}

// mayLeave reports whether a worker that is being removed may end like that. A last commit that has failed is an abort like any other
// (DESIGN D16): who takes the tasks over begins at the commit before it.
func mayLeave(err error) bool {
	return err == nil || errors.Is(err, worker.ErrLastCommit) && !errors.Is(err, ErrInstanceInUse)
}

// remove stops the last worker. It is not given up half-way: a worker that may have stopped must not be given tasks.
func (s *supervisor) remove(ctx context.Context) error {
	last := len(s.workers) - 1
	w := s.workers[last]
	s.slots[last].leaving.Store(true)
	s.showLeaving()
	ctx = context.WithoutCancel(ctx)
	stopping, cancel := context.WithTimeout(ctx, s.cfg.ShutdownTimeout)
	defer cancel()
	err := w.Stop(stopping)
	if !mayLeave(err) {
		return fmt.Errorf("remove worker %d: %w", last, err)
	}
	if err != nil {
		s.log.Warn("the last commit of a worker that is removed has failed; others process what it held again", "worker", last, "err", err)
		if !s.settle(ctx, last) {
			s.unsettled = max(s.unsettled, last+1)
		}
	}
	s.slots[last].close()
	homeless := s.placed[last]
	s.workers, s.slots, s.placed = s.workers[:last], s.slots[:last], s.placed[:last]
	for _, id := range homeless { // the next reconciliation places them
		delete(s.specs, id)
	}
	s.showLeft()
	s.resized(ctx)
	s.log.Info("worker removed", "worker", last)
	return s.recordSlots(last)
}

// settle ends what a worker that has ended left open, so that its tasks need not wait for the transaction's time-out, and reports whether
// that is certain.
func (s *supervisor) settle(ctx context.Context, slot int) bool {
	if s.cfg.Guarantee != ExactlyOnce {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.TransactionTimeout) // then the log ends it
	defer cancel()
	if err := s.slots[slot].producer.Init(ctx); err != nil {
		s.log.Warn("the transaction of a worker that is removed could not be ended; its time-out ends it", "worker", slot, "err", err)
		return false
	}
	return true
}

// recordSlots notes which transactional ids are in use, and those that could not be settled: the next start does, if it comes before the
// transaction's time-out.
func (s *supervisor) recordSlots(n int) error {
	if s.dir == nil || s.cfg.Guarantee != ExactlyOnce {
		return nil
	}
	return s.dir.RecordSlots(max(n, s.unsettled))
}

// resized divides the memory among the workers anew, and tells the group how many there are.
func (s *supervisor) resized(ctx context.Context) {
	n := len(s.workers)
	s.cfg.Workers = n
	s.show()
	for i, w := range s.workers {
		s.slots[i].producer.SetMaxBufferedBytes(int(s.cfg.OutputBytes / int64(n)))
		s.slots[i].fetcher.SetBufferBytes(int(s.cfg.InputBytes / int64(n)))
		if err := w.Bound(ctx, s.cfg.DirtyBytes/int64(n)); err != nil {
			s.log.Debug("a worker's share of memory stays what it was", "worker", i, "err", err) // it ends, or ctx has ended
		}
	}
	s.member.SetCapacity(n)
}
