package sim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/assign"
	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/restore"
	"github.com/millrace-io/millrace/runtime/internal/worker"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// supervisor follows the assignment as the runtime's does, by its rules V1 to V3.
type supervisor struct {
	*instance
	db          *state.DB
	workers     []*worker.Worker
	placed      map[topology.TaskID]int // worker
	specs       map[topology.TaskID]restore.Task
	incarnation uint64
	wake        chan struct{}
	copies

	guarded struct {
		sync.Mutex
		dropped []topology.TaskID
	}
	// Guarded by the world's mutex.
	warm  map[topology.TaskID]bool // its state was here before
	given map[topology.TaskID]bool // tasks that belong to a worker: whether they have become ready
}

func (s *supervisor) changed() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *supervisor) drop(ids []topology.TaskID) {
	s.guarded.Lock()
	s.guarded.dropped = append(s.guarded.dropped, ids...)
	s.guarded.Unlock()
	s.changed()
}

func (s *supervisor) takeDropped() []topology.TaskID {
	s.guarded.Lock()
	defer s.guarded.Unlock()
	ids := s.guarded.dropped
	s.guarded.dropped = nil
	return ids
}

// supervise runs workers and member until the life ends.
func (s *supervisor) supervise(ctx context.Context) error {
	r := &running{failures: make(chan error, len(s.workers)+2)}
	joined, leave := context.WithCancel(ctx)
	defer leave()
	for _, w := range s.workers {
		r.start(func() error { return w.Run(ctx) })
	}
	r.start(func() error { return s.member.Run(joined) })
	followed, unfollow := context.WithCancel(ctx)
	defer unfollow()
	r.start(func() error { return s.follows(followed) })
	err := s.follow(ctx, r.failures)
	if err == nil && ctx.Err() == nil {
		err = s.shutDown(ctx)
	}
	if err != nil {
		s.cancel()
	}
	// What the member was told before it has to hear first: of two channels that are ready a select takes one by lot.
	time.Sleep(time.Microsecond)
	leave()
	unfollow()
	r.wg.Wait()
	return err
}

// follow reconciles until the instance is to stop.
func (s *supervisor) follow(ctx context.Context, failures <-chan error) error {
	for {
		if err := s.reconcile(ctx); err != nil {
			return err
		}
		select {
		case <-s.stopping: // first, if there is more than one reason to wake
			return nil
		default:
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.stopping:
			return nil
		case err := <-failures:
			return fmt.Errorf("a part ended: %w", err)
		case <-s.member.Changed():
		case <-s.wake:
		}
	}
}

// reconcile makes what the workers run equal to what the group has assigned.
func (s *supervisor) reconcile(ctx context.Context) error {
	a := s.member.Assignment()
	if !a.Joined || a.Incarnation != s.incarnation {
		s.takeDropped()
		if len(s.placed) > 0 {
			for _, w := range s.workers {
				if err := w.Lose(ctx); err != nil && !errors.Is(err, worker.ErrEnded) {
					return err
				}
			}
		}
		s.forget(slices.Collect(maps.Keys(s.placed))...)
		s.incarnation = a.Incarnation
	}
	if !a.Joined {
		s.member.Release(a.Revoked...)
		return nil
	}
	s.forget(s.takeDropped()...)
	if err := s.release(ctx, a.Tasks); err != nil {
		return err
	}
	if len(a.Revoked) > 0 {
		s.member.Release(a.Revoked...)
	}
	if err := s.keepCopies(ctx, &a); err != nil { // T4: before what was a copy runs
		return err
	}
	var specs []restore.Task
	for _, t := range a.Tasks {
		if _, ok := s.placed[taskID(t)]; ok {
			continue
		}
		spec, err := s.spec(taskID(t), false)
		if err != nil {
			return err
		}
		specs = append(specs, spec)
	}
	for _, spec := range specs {
		at := s.lightest()
		s.give(spec, at)
		if err := s.workers[at].Assign(ctx, []restore.Task{spec}); err != nil && !errors.Is(err, worker.ErrEnded) {
			return err
		}
	}
	if err := s.offerWarmups(&a); err != nil {
		return err
	}
	return s.holdCopies(ctx)
}

// give notes that a task belongs to a worker from now on.
func (s *supervisor) give(spec restore.Task, at int) {
	s.placed[spec.ID], s.specs[spec.ID] = at, spec
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	s.given[spec.ID] = false
}

// forget notes that tasks belong to no worker any more.
func (s *supervisor) forget(ids ...topology.TaskID) {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	for _, id := range ids {
		delete(s.placed, id)
		delete(s.specs, id)
		delete(s.given, id)
	}
}

// release gives up what is not wanted any more (V2).
func (s *supervisor) release(ctx context.Context, wanted []assign.Task) error {
	surplus := make([][]topology.TaskID, len(s.workers))
	for id, at := range s.placed {
		if !slices.Contains(wanted, assign.Task{Subtopology: id.Subtopology, Partition: id.Partition}) {
			surplus[at] = append(surplus[at], id)
		}
	}
	for at, ids := range surplus {
		if len(ids) == 0 {
			continue
		}
		slices.SortFunc(ids, topology.TaskID.Compare)
		if s.pass(c13) {
			return errCrashed
		}
		if err := s.workers[at].Release(ctx, ids); err != nil && !errors.Is(err, worker.ErrEnded) {
			return err
		}
		for _, id := range ids {
			s.checkReleased(s.specs[id])
		}
		s.forget(ids...)
	}
	return nil
}

// checkReleased is G3: no transaction of this instance that could still be decided holds offsets of a task that it gives up.
func (s *supervisor) checkReleased(spec restore.Task) {
	w := s.world
	w.mu.Lock()
	defer w.mu.Unlock()
	for slot := range w.workers {
		t := w.log.txns[fmt.Sprintf("%s-%d", s.name, slot)]
		if t == nil || t.state != txnOngoing || s.dead {
			continue
		}
		for _, tp := range spec.Inputs {
			if _, ok := t.offsets[tp]; ok {
				w.violate("G3", "%s gives up task %s while its transaction holds the offset of %v", s.name, spec.ID, tp)
			}
		}
	}
}

func (s *supervisor) lightest() int {
	load := make([]int, len(s.workers))
	for _, at := range s.placed {
		load[at]++
	}
	return slices.Index(load, slices.Min(load))
}

// spec describes a task to a worker, or a copy of it to the keeper.
func (s *supervisor) spec(id topology.TaskID, copied bool) (restore.Task, error) {
	spec := restore.Task{ID: id, Known: make(map[client.TopicPartition]bool)}
	sub, ok := s.world.job.Subtopology(id.Subtopology)
	if !ok {
		return spec, fmt.Errorf("no task %s", id)
	}
	for _, source := range sub.Sources {
		spec.Inputs = append(spec.Inputs, client.TopicPartition{Topic: source, Partition: id.Partition})
	}
	for _, store := range s.world.job.Stores {
		if !slices.Contains(sub.Stores, store.Name) {
			continue
		}
		p, err := s.db.Partition(store, id.Partition)
		if err != nil {
			return spec, err
		}
		if s.pass(c15) {
			return spec, errCrashed
		}
		if at, known := p.Position(); known && at.Next > 0 && !copied {
			s.world.mu.Lock()
			s.warm[id] = true
			s.world.mu.Unlock()
		}
		changelog := changelogOf(state.StorePartition{Store: store.Name, Partition: id.Partition})
		spec.Stores = append(spec.Stores, restore.Store{
			Name: store.Name, Changelog: changelog, TopicID: topicID(changelog.Topic), State: storePartition{p, s, id, changelog, copied},
		})
	}
	return spec, nil
}

func topicID(name string) (id [16]byte) {
	copy(id[:], name)
	return id
}

// shutDown commits and closes everything and leaves the group.
func (s *supervisor) shutDown(ctx context.Context) error {
	for _, w := range s.workers {
		if err := w.Stop(ctx); err != nil && !errors.Is(err, worker.ErrEnded) {
			return err
		}
		if s.pass(c16) {
			return errCrashed
		}
	}
	var held []assign.Task
	for id := range s.placed {
		held = append(held, assign.Task{Subtopology: id.Subtopology, Partition: id.Partition})
	}
	slices.SortFunc(held, assign.Compare)
	s.member.Release(held...)
	return nil
}
