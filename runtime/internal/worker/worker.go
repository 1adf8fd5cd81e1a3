package worker

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/commit"
	"github.com/millrace-io/millrace/runtime/internal/restore"
	"github.com/millrace-io/millrace/runtime/internal/skew"
	"github.com/millrace-io/millrace/runtime/internal/task"
	"github.com/millrace-io/millrace/topology"
)

// Producer writes what the tasks emit. *client.Producer implements it.
type Producer interface {
	sender
	Init(ctx context.Context) error
	Flush(ctx context.Context) error
	// Refusals is what the log has refused and Flush waits for; Resume does without it.
	Refusals() []client.Refusal
	Resume(tp client.TopicPartition) error
	Next(tp client.TopicPartition) (int64, bool)
	CommitOffsets(ctx context.Context, id client.Identity, offsets map[client.TopicPartition]client.Committed) error
	InTransaction() bool
	End(ctx context.Context, commit bool) error
}

// Fetcher reads the tasks' inputs. *client.Fetcher implements it.
type Fetcher interface {
	Add(tp client.TopicPartition, offset int64)
	Remove(tp client.TopicPartition)
	Ready() <-chan struct{}
	Take(dst []client.Fetched) []client.Fetched
}

// Membership is the instance's place in the group. *member.Member implements it.
type Membership interface {
	Enter(ctx context.Context) (id client.Identity, leave func(), err error)
	Identity() client.Identity
	Refused()
}

// Config is what a worker stands on. The producer is initialised; producer and fetcher stay their owner's to close.
type Config struct {
	Slot     int
	Producer Producer
	Fetcher  Fetcher
	Member   Membership
	// Heard, if not nil, returns how long ago the group was asked, at the last time that it has answered, whether it knows the member; false: never.
	Heard func() (ago time.Duration, ok bool)
	// Prepare makes tasks ready (package restore).
	Prepare func(ctx context.Context, tasks []restore.Task, ready func(restore.Ready)) error
	// NewTask builds a task that starts at those positions.
	NewTask func(id topology.TaskID, out task.Output, start []task.Progress, now time.Time) (*task.Task, error)
	// Partitions returns the partition count of a topic: 0 if it does not exist, -1 if it cannot be looked up.
	Partitions func(topic string) int32
	// MaxBatchBytes returns the size of the largest batch that a topic takes, 0 if it is unknown. nil: unknown.
	MaxBatchBytes func(topic string) int
	// ReadInput reads one record of an input again, for handlers that are asked about what was made of it; nil without an error if it is
	// gone. nil: handlers do without.
	ReadInput func(ctx context.Context, tp client.TopicPartition, offset int64) (*topology.Raw, error)
	// SendBytes is the size from which a batch is sent before the commit. 0: 128 KiB.
	SendBytes int
	// CommitOffsets commits offsets outside a transaction; set in at-least-once mode only.
	CommitOffsets func(ctx context.Context, id client.Identity, offsets map[client.TopicPartition]client.Committed) error
	// Committed, if not nil, is told how far an input was committed. It must not wait or call the worker.
	Committed func(tp client.TopicPartition, next int64)
	// Dropped is called when the worker has given tasks up on its own, because a commit was answered as if the group had
	// forgotten the member. It is called by the worker's goroutine and must not call the worker.
	Dropped func(ids []topology.TaskID)
	// Uncaught is asked what follows from a failure that trying again cannot help; nil: End. It is called by the worker's goroutine and
	// must not call the worker.
	Uncaught func(err error) Verdict
	// Align, if not nil, says how far the tasks may go in event time (DESIGN D18).
	Align *skew.Board
	// Changed is called when tasks have started or ended. As Dropped.
	Changed func()

	CommitInterval     time.Duration
	TransactionTimeout time.Duration
	TaskTimeout        time.Duration
	MaxDirtyBytes      int64 // uncommitted state that makes a commit due
	Logger             *slog.Logger
	Now                func() time.Time
}

func (c *Config) transactional() bool { return c.CommitOffsets == nil }

// Worker runs tasks. Its methods other than Run are safe for use by several goroutines.
type Worker struct {
	cfg      Config
	log      *slog.Logger
	commands chan command
	ready    chan prepared
	stats    atomic.Pointer[Snapshot]
	done     chan struct{} // closed when Run has returned

	// Owned by the goroutine of Run.
	machine    *commit.Machine
	policy     commit.Policy
	out        *Collector
	tasks      []*running // in the order of their ids
	byInput    map[client.TopicPartition]*input
	batches    []*preparation
	preparing  sync.WaitGroup
	fetched    []client.Fetched
	records    int             // that each task may process in a round
	leave      func()          // of the membership gate, nil outside
	refused    int32           // generation that was refused, 0 if none
	identity   client.Identity // the one that the gate let in
	parked     []restore.Task  // closed by a recovery that has not gone through yet
	recovering bool            // a recovery has begun that has not gone through yet
	totals     totals

	culprits    []parkedTask // failed, and not closed yet
	failedTasks []parkedTask // failed and closed
	published   time.Time
	rested      time.Time // when rest last noted something
	paused      bool
	heldBack    []restore.Task // that are to be made ready when it is not paused any more
	bound       int64          // of the tasks, as it was published
	held        bool           // a task waits for slower ones
	stopping    bool           // by Stop: a failed commit is not tried again
	losing      bool           // by Lose: the instance knows
}

// running is a task that runs.
type running struct {
	spec    restore.Task
	task    *task.Task
	inputs  []*input
	wake    time.Time
	next    map[string]int64 // by store name: changelog offsets after the transaction
	fresh   bool             // where an input begins, which is not the log's start, is to be committed, though nothing comes
	starved time.Time        // since when an input is waited for, zero if none is
	crowded bool             // its operators' times had no room in the metadata, which was said
}

// input is one partition that a running task reads.
type input struct {
	tp         client.TopicPartition
	owner      *running
	known      bool  // the log has said how much more there is
	lag        int64 // beyond what was offered
	lastStable int64
	start      int64 // where the task began
	position   int64 // next offset to process, as of the last commit
	committed  int64 // -1: none
	next, told int64 // event time at position, as is being committed, and as of the last commit
}

// New returns a worker. It starts nothing.
func New(cfg Config) *Worker {
	w := &Worker{
		cfg:      cfg,
		log:      cfg.Logger.With("worker", cfg.Slot),
		commands: make(chan command, 1), // the instance sends one and waits for its answer
		ready:    make(chan prepared, 1),
		done:     make(chan struct{}),
		byInput:  make(map[client.TopicPartition]*input),
		records:  minRecords,
		machine: commit.New(commit.Config{
			Transactional:      cfg.transactional(),
			TransactionTimeout: cfg.TransactionTimeout,
			GiveUpAfter:        cfg.TaskTimeout,
		}),
		policy: commit.Policy{
			Interval: cfg.CommitInterval,
			MaxBytes: cfg.MaxDirtyBytes,
			MaxPause: cfg.TransactionTimeout / 4,
		},
	}
	w.stats.Store(&Snapshot{})
	return w
}

// How many records each task may process in a round: as many as a round of a few milliseconds takes, so that
// commits, commands and fetched batches do not wait for a slow program.
const (
	minRecords = 1
	maxRecords = 1024
	longRound  = 10 * time.Millisecond
)

// errStopped ends Run after a Stop.
var errStopped = errors.New("stopped")

// Run runs until Stop, which is no error, until ctx ends, or until a failure that trying again cannot help. A transaction
// that is open then is aborted as far as the log can be reached, and the tasks are closed.
func (w *Worker) Run(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	w.out = NewCollector(ctx, w.cfg.Producer, w.cfg.Partitions)
	w.out.limits = w.cfg.MaxBatchBytes
	if w.cfg.SendBytes > 0 {
		w.out.full = w.cfg.SendBytes
	}
	defer close(w.done)
	defer func() {
		cancel()
		w.unalign()
		w.preparing.Wait()
		err = errors.Join(err, w.abandon())
	}()
	for {
		busy, err := w.round(ctx)
		if err == nil && !busy {
			err = w.wait(ctx)
		}
		switch {
		case errors.Is(err, errStopped):
			return nil
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		}
	}
}

// round does what there is to do and reports whether there was anything.
func (w *Worker) round(ctx context.Context) (busy bool, err error) {
	if busy, err = w.obey(ctx); err != nil {
		return busy, err
	}
	if w.paused {
		w.unalign()
		committed, err := w.commitIfDue(ctx, true)
		return busy || committed, err
	}
	took, err := w.take(ctx)
	if err != nil {
		return true, err
	}
	now := w.cfg.Now()
	w.align(now)
	worked, err := w.process(ctx, now)
	if err != nil {
		return true, err
	}
	if err := w.judge(ctx); err != nil {
		if err = w.failed(ctx, err); err != nil {
			return true, err
		}
	}
	committed, err := w.commitIfDue(ctx, !took && !worked)
	if err != nil {
		return true, err
	}
	return busy || took || worked || committed, nil
}

// obey carries out commands and takes over tasks that have become ready. Commands come first: a task that is taken away need
// not be started.
func (w *Worker) obey(ctx context.Context) (busy bool, err error) {
	for {
		select {
		case c := <-w.commands:
			err = c(ctx)
		default:
			select {
			case p := <-w.ready:
				err = w.start(ctx, p)
			default:
				return busy, nil
			}
		}
		if err != nil {
			return true, err
		}
		busy = true
	}
}

// take hands what was fetched to the tasks.
func (w *Worker) take(ctx context.Context) (took bool, err error) {
	w.fetched = w.cfg.Fetcher.Take(w.fetched[:0])
	for i := range w.fetched {
		f := &w.fetched[i]
		in := w.byInput[f.TopicPartition]
		if in == nil || err != nil {
			if f.Batch != nil {
				f.Batch.Release()
			}
			continue
		}
		err = w.offer(in, f)
	}
	clear(w.fetched)
	if err != nil {
		return true, w.failed(ctx, err)
	}
	return len(w.fetched) > 0, nil
}

func (w *Worker) offer(in *input, f *client.Fetched) error {
	if f.Err != nil {
		return inputError(in, f.Err)
	}
	if f.Batch != nil {
		if err := in.owner.task.Offer(in.tp, f.Batch); err != nil {
			return w.taskError(err)
		}
	}
	in.known, in.lag, in.lastStable = true, f.Lag, f.LastStable
	in.owner.task.Lag(in.tp, true, f.Lag)
	return nil
}

// process lets each task process some records and punctuate.
func (w *Worker) process(ctx context.Context, now time.Time) (worked bool, err error) {
	full := false
	for _, r := range w.tasks {
		n, wake, err := r.task.Step(now, w.records)
		if err != nil {
			return true, w.failed(ctx, w.taskError(err))
		}
		fired, err := r.task.Punctuate(now)
		if err != nil {
			return true, w.failed(ctx, w.taskError(err))
		}
		r.wake = wake
		worked = worked || n > 0 || fired
		full = full || n == w.records
	}
	switch took := w.cfg.Now().Sub(now); {
	case took > longRound:
		w.records = max(w.records/2, minRecords)
	case full && took < longRound/2:
		w.records = min(w.records*2, maxRecords)
	}
	return worked, nil
}

// wait sleeps until something happens or the clock makes something due.
func (w *Worker) wait(ctx context.Context) error {
	if w.cfg.Now().Sub(w.published) >= publishEvery {
		w.publish()
	}
	wake := w.nextWake()
	var timer <-chan time.Time
	if !wake.IsZero() {
		t := time.NewTimer(max(wake.Sub(w.cfg.Now()), time.Millisecond))
		defer t.Stop()
		timer = t.C
	}
	fetched := w.cfg.Fetcher.Ready()
	if w.paused {
		fetched = nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case c := <-w.commands:
		return c(ctx)
	case p := <-w.ready:
		return w.start(ctx, p)
	case <-fetched:
	case <-timer:
	}
	return nil
}

// nextWake returns the earliest time at which the clock makes something due, zero for never.
func (w *Worker) nextWake() time.Time {
	_, wake := w.policy.Due(w.cfg.Now(), w.pending(true))
	if w.held && !w.paused {
		if again := w.cfg.Now().Add(alignPoll); wake.IsZero() || again.Before(wake) {
			wake = again
		}
	}
	for _, r := range w.tasks {
		if !w.paused && !r.wake.IsZero() && (wake.IsZero() || r.wake.Before(wake)) {
			wake = r.wake
		}
	}
	return wake
}
