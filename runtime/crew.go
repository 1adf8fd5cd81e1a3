package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/worker"
)

// slot is what a worker stands on.
type slot struct {
	producer *client.Producer
	fetcher  *client.Fetcher
	close    func() // once
}

// roster is who works, for readers of all goroutines. It is replaced whole.
type roster struct{ workers, retired []*worker.Worker }

// show makes a change of the workers visible.
func (in *instance) show(retired ...*worker.Worker) {
	all := append(in.retired(), retired...)
	working := slices.DeleteFunc(slices.Clone(in.workers), func(w *worker.Worker) bool { return slices.Contains(all, w) })
	in.roster.Store(&roster{working, all})
}

// crew returns the workers.
func (in *instance) crew() []*worker.Worker {
	if r := in.roster.Load(); r != nil {
		return r.workers
	}
	return nil
}

// retired returns those that were removed.
func (in *instance) retired() []*worker.Worker {
	if r := in.roster.Load(); r != nil {
		return slices.Clip(r.retired)
	}
	return nil
}

func (in *instance) isRetired(w *worker.Worker) bool { return slices.Contains(in.retired(), w) }

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
	if err := s.openWorker(n, producers[0]); err != nil { // it has closed the producer
		return fmt.Errorf("add a worker: %w", err)
	}
	s.placed = append(s.placed, nil)
	s.launch(s.workers[n])
	s.resized(ctx)
	s.log.Info("worker added", "worker", n)
	return nil
}

// remove stops the last worker. It is not given up half-way: a worker that may have stopped must not be given tasks.
func (s *supervisor) remove(ctx context.Context) error {
	last := len(s.workers) - 1
	w := s.workers[last]
	s.show(w) // it may end now, without an error
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.ShutdownTimeout)
	defer cancel()
	if err := w.Stop(stopping); err != nil {
		return fmt.Errorf("remove worker %d: %w", last, err)
	}
	s.slots[last].close()
	homeless := s.placed[last]
	s.workers, s.slots, s.placed = s.workers[:last], s.slots[:last], s.placed[:last]
	for _, id := range homeless { // the next reconciliation places them
		delete(s.specs, id)
	}
	s.resized(ctx)
	s.log.Info("worker removed", "worker", last)
	return s.recordSlots(last)
}

// recordSlots notes which transactional ids are in use.
func (s *supervisor) recordSlots(n int) error {
	if s.dir == nil || s.cfg.Guarantee != ExactlyOnce {
		return nil
	}
	return s.dir.RecordSlots(n)
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
