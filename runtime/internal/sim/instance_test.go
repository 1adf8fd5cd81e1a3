package sim

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/assign"
	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/member"
	"github.com/millrace-io/millrace/runtime/internal/planted"
	"github.com/millrace-io/millrace/runtime/internal/restore"
	"github.com/millrace-io/millrace/runtime/internal/task"
	"github.com/millrace-io/millrace/runtime/internal/worker"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// instance is one life of one instance: from its start to its end, in order or not. The next life gets its disk.
type instance struct {
	world *world
	index int
	name  string
	disk  *disk
	done  chan struct{} // closed when nothing of it runs any more

	// Guarded by the world's mutex.
	dead       bool
	died       chan struct{} // closed with dead
	cancel     context.CancelFunc
	killedAt   string
	ended      bool // it ended by itself
	buried     bool // the scheduler has taken note
	resumed    chan struct{}
	stopping   chan struct{}
	stopped    bool
	armed      armed
	joining    int // JoinGroups under way
	committing int // TxnOffsetCommits under way
	fetchers   []*fetcher
	member     *member.Member
	supervisor *supervisor // once it runs
}

var discard = slog.New(slog.NewTextHandler(io.Discard, nil))

// start begins a life.
func (w *world) start(index int, d *disk) {
	ctx, cancel := context.WithCancel(context.Background())
	in := &instance{
		world: w, index: index, name: fmt.Sprintf("i%d", index), disk: d, cancel: cancel,
		done: make(chan struct{}), died: make(chan struct{}), stopping: make(chan struct{}),
	}
	w.instances[index] = in
	if young := []string{c11, c12, c14, c15, k1, k2}; !w.calm && w.rng.IntN(6) == 0 {
		in.armed.point = young[w.rng.IntN(len(young))]
	}
	w.note("%s starts", in.name)
	go in.run(ctx)
}

func (in *instance) alive() bool { return !in.dead && !in.ended }

// kill ends the life here and now: nothing that the instance does from now on has an effect.
func (in *instance) kill(point string) {
	in.dead, in.killedAt = true, point
	in.disk.detach()
	close(in.died)
	in.cancel()
}

// pause stops the instance for a while: nothing that it sends leaves, and nothing reaches it.
func (in *instance) pause(d time.Duration) {
	in.world.note("%s pauses for %v", in.name, d)
	resumed := make(chan struct{})
	in.resumed = resumed
	in.world.later(d, func() {
		in.world.note("%s goes on", in.name)
		in.resumed = nil
		close(resumed)
	})
}

// stop tells the instance to stop in order.
func (in *instance) stop() {
	if !in.stopped {
		in.world.note("%s is to stop", in.name)
		in.stopped = true
		close(in.stopping)
	}
}

func (in *instance) run(ctx context.Context) {
	defer close(in.done)
	defer in.cancel()
	err := in.live(ctx)
	in.world.mu.Lock()
	defer in.world.mu.Unlock()
	if in.dead {
		return
	}
	in.ended = true
	if err != nil {
		in.world.violate("LIVE", "%s ended: %v", in.name, err)
	}
}

// live is a life: sessions first, which fence the instance's past (DESIGN D7), then state, workers, membership.
func (in *instance) live(ctx context.Context) error {
	w := in.world
	producers := make([]*producer, w.workers)
	for i := range producers {
		producers[i] = newProducer(in, i)
		for {
			err := producers[i].Init(ctx)
			if err == nil {
				break
			}
			if ctx.Err() != nil {
				return err
			}
		}
	}
	engine, err := in.disk.mount(func() { in.pass(c9) })
	if err != nil {
		return err
	}
	if in.pass(c15) {
		return errCrashed
	}
	db, err := state.NewDB(engine, state.Config{ApplyBytes: w.applyBytes, Inline: true, CacheBytes: 4096, Logger: discard})
	if err != nil || in.pass(c15) {
		return err
	}
	s := &supervisor{instance: in, db: db, placed: make(map[topology.TaskID]int), specs: make(map[topology.TaskID]restore.Task),
		warm: make(map[topology.TaskID]bool), given: make(map[topology.TaskID]bool), wake: make(chan struct{}, 1)}
	s.newKeeper()
	if err := s.join(); err != nil {
		return err
	}
	for i, p := range producers {
		s.workers = append(s.workers, s.newWorker(i, p))
	}
	err = s.supervise(ctx)
	if in.pass(c16) {
		return errCrashed
	}
	if closed := db.Close(); err == nil {
		err = closed
	}
	return err
}

// coordinator is the world's group, for one member.
type coordinator struct{ in *instance }

func (c coordinator) Join(ctx context.Context, r client.JoinRequest) (client.JoinAnswer, error) {
	w := c.in.world
	w.mu.Lock()
	c.in.joining++
	if c.in.committing > 0 {
		w.violate("G2", "%s joins while it commits offsets", c.in.name)
	}
	w.mu.Unlock()
	var m *groupMember
	var answer client.JoinAnswer
	err := c.in.ask(ctx, &call{name: c.in.name + " join", apply: func() (done bool, err error) {
		if m == nil {
			if m, err = w.log.group.join(r); err != nil {
				return true, err
			}
		}
		answer, done, err = w.log.group.joinAnswer(m)
		return done, err
	}})
	w.mu.Lock()
	c.in.joining--
	w.mu.Unlock()
	if err == nil && c.in.pass(c14) {
		return answer, errCrashed
	}
	return answer, err
}

func (c coordinator) Sync(ctx context.Context, id client.Identity, _ string, plan map[string][]byte) (share []byte, err error) {
	w := c.in.world
	err = c.in.ask(ctx, &call{name: c.in.name + " sync", apply: func() (done bool, err error) {
		share, done, err = w.log.group.sync(id, plan)
		return done, err
	}})
	return share, err
}

func (c coordinator) Heartbeat(ctx context.Context, id client.Identity) error {
	w := c.in.world
	return c.in.ask(ctx, &call{name: c.in.name + " heartbeat", twice: true, apply: func() (bool, error) {
		return true, w.log.group.heartbeat(id)
	}})
}

func (c coordinator) Leave(ctx context.Context, id client.Identity, _ string) error {
	w := c.in.world
	return c.in.ask(ctx, &call{name: c.in.name + " leave", twice: true, apply: func() (bool, error) {
		w.log.group.drop(id.MemberID)
		return true, nil
	}})
}

// restoreLog is the world's log, for the preparations of one worker, for the keeper of copies, and for those who ask how much is missing.
type restoreLog struct {
	in  *instance
	who string
}

func (l restoreLog) CommittedOffsets(ctx context.Context, _ string, tps []client.TopicPartition) (map[client.TopicPartition]client.Committed, error) {
	w := l.in.world
	found := make(map[client.TopicPartition]client.Committed)
	err := l.in.ask(ctx, &call{name: fmt.Sprintf("%s committed of %v", l.who, tps), apply: func() (bool, error) {
		if w.log.unstable(tps) && !planted.Is(planted.UnstableOffsets) {
			return false, nil
		}
		clear(found)
		for _, tp := range tps {
			if c, ok := w.log.offsets[tp]; ok {
				found[tp] = c
			}
		}
		return true, nil
	}})
	return found, err
}

func (l restoreLog) ListOffsets(ctx context.Context, spec client.OffsetSpec, tps []client.TopicPartition) (map[client.TopicPartition]int64, error) {
	w := l.in.world
	found := make(map[client.TopicPartition]int64)
	err := l.in.ask(ctx, &call{name: fmt.Sprintf("%s list %d of %v", l.who, spec, tps), apply: func() (bool, error) {
		for _, tp := range tps {
			p := w.log.partition(tp)
			found[tp] = map[client.OffsetSpec]int64{client.HighWatermark: int64(len(p.records)), client.LastStable: p.stable()}[spec]
		}
		return true, nil
	}})
	return found, err
}

// TombstoneRetention says that nothing is compacted.
func (l restoreLog) TombstoneRetention(context.Context, []string) (map[string]time.Duration, error) {
	return nil, nil
}

// storePartition is a store partition as a preparation or the keeper of copies sees it, with points to be killed at.
type storePartition struct {
	*state.Partition
	of        *supervisor
	task      topology.TaskID
	changelog client.TopicPartition
	copy      bool // the keeper's
}

// Reset writes down what the store belongs to.
func (p storePartition) Reset(at state.Position) error {
	p.writes()
	if p.of.pass(c15) {
		return errCrashed
	}
	err := p.Partition.Reset(at)
	if p.of.pass(c15) {
		return errCrashed
	}
	return err
}

func (p storePartition) Restore(key, value []byte, timestamp int64, headers ...topology.Header) error {
	p.writes()
	point := c11
	if p.copy {
		point = k1
	}
	if p.of.pass(point) {
		return errCrashed
	}
	return p.Partition.Restore(key, value, timestamp, headers...)
}

func (p storePartition) RestoredTo(next int64) error {
	p.writes()
	return p.Partition.RestoredTo(next)
}

// newWorker makes a worker over the world.
func (s *supervisor) newWorker(slot int, p *producer) *worker.Worker {
	in := s.instance
	restorer := restore.New(restore.Config{
		Group: application, ClusterID: "cluster", Log: restoreLog{in, fmt.Sprintf("%s/%d", in.name, slot)}, ExactlyOnce: true, StateDir: in.name,
		NewFetcher: func() (restore.Fetcher, error) { return newFetcher(in, false), nil },
		Logger:     discard, Now: time.Now,
	})
	return worker.New(worker.Config{
		Slot: slot, Producer: p, Fetcher: newFetcher(in, true), Member: s.member,
		Prepare: func(ctx context.Context, tasks []restore.Task, ready func(restore.Ready)) error {
			return restorer.Prepare(ctx, tasks, func(r restore.Ready) {
				s.checkReady(r)
				if point := s.ready(r.ID); point == "" || !in.pass(point) {
					ready(r)
				}
			})
		},
		NewTask: func(id topology.TaskID, out task.Output, start []task.Progress, now time.Time) (*task.Task, error) {
			return task.New(task.Config{
				Topology: in.world.job, ApplicationID: application, Subtopology: id.Subtopology, Partition: id.Partition,
				Output: out, Start: start, Now: now, Logger: discard,
				Processing: task.LogAndContinue, DeadLetterTopic: topicDead,
				Committed: func(spec *state.Spec) (*state.Partition, error) { return s.db.Partition(spec, id.Partition) },
			})
		},
		Partitions:         func(string) int32 { return in.world.partitions },
		Committed:          func(client.TopicPartition, int64) { in.pass(c10) },
		Dropped:            s.drop,
		Changed:            s.changed,
		CommitInterval:     in.world.commit,
		TransactionTimeout: in.world.transaction,
		TaskTimeout:        10 * time.Minute,
		MaxDirtyBytes:      1 << 20,
		Logger:             discard,
		Now:                time.Now,
	})
}

// join makes the member.
func (s *supervisor) join() (err error) {
	w := s.world
	var previous []assign.Task
	stored, err := s.db.Stored()
	if err != nil {
		return err
	}
	for _, sub := range w.job.Subtopologies() {
		for _, sp := range stored {
			if slices.Contains(sub.Stores, sp.Store) {
				previous = append(previous, assign.Task{Subtopology: sub.Number, Partition: sp.Partition})
			}
		}
	}
	m, err := member.New(coordinator{s.instance}, member.Config{
		Group: application, InstanceID: s.name, Capacity: w.workers, Previous: previous,
		SessionTimeout: w.session, RebalanceTimeout: 5 * time.Second,
		Plan: func(ctx context.Context, _ []member.Info) ([]member.TaskInputs, error) {
			tasks := w.tasks()
			return tasks, s.measure(ctx, tasks)
		},
		Assign: assign.Config{Standbys: w.standbys, AcceptableLag: w.lag, MaxWarmups: w.warmups},
		Lags:   s.lags, ProbeInterval: w.probe,
		Logger: discard,
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	s.member, s.supervisor = m, s
	return err
}

// tasks returns the tasks of the job.
func (w *world) tasks() (tasks []member.TaskInputs) {
	for _, sub := range w.job.Subtopologies() {
		for p := range w.partitions {
			t := member.TaskInputs{Task: assign.Task{Subtopology: sub.Number, Partition: p}}
			for _, source := range sub.Sources {
				t.Inputs = append(t.Inputs, client.TopicPartition{Topic: source, Partition: p})
			}
			tasks = append(tasks, t)
		}
	}
	return tasks
}

// running starts what a life consists of and waits until it has ended.
type running struct {
	wg       sync.WaitGroup
	failures chan error
}

func (r *running) start(f func() error) {
	r.wg.Go(func() { r.failures <- f() })
}
