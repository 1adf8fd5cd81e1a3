package worker

import (
	"context"
	"errors"
	"fmt"
	goruntime "runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/restore"
	"github.com/millrace-io/millrace/runtime/internal/skew"
	"github.com/millrace-io/millrace/runtime/internal/task"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/topology"
)

// stepped is a worker whose rounds a test makes, one by one, by a clock that the program moves: each record takes cost.
type stepped struct {
	*Worker
	w       *world
	clock   atomic.Int64 // nanoseconds
	cost    time.Duration
	asks    bool        // for a commit, with each record
	fetched []int       // records of each task that have been fetched
	done    map[int]int // records of each task since the last look
	fired   int         // punctuations since then
}

const punctuatedEvery = 50 * time.Millisecond

// slow is a processor that takes its time, and is punctuated by the wall clock.
type slow struct {
	ctx       *topology.Context[string, string]
	s         *stepped
	partition int
}

func (p *slow) Init(ctx *topology.Context[string, string]) error {
	p.ctx = ctx
	ctx.Schedule(punctuatedEvery, topology.PunctuateWallClock, func(int64) error {
		p.s.fired++
		return p.s.w.note("punctuate")
	})
	return nil
}

func (p *slow) Process(topology.Record[string, string]) error {
	p.s.done[p.partition]++
	p.s.clock.Add(int64(p.s.cost))
	if p.s.asks {
		p.ctx.RequestCommit()
	}
	return nil
}

func (p *slow) Close() error { return nil }

// newStepped returns a worker with so many tasks, which run.
func newStepped(t *testing.T, tasks int) *stepped {
	t.Helper()
	w := newWorld(t)
	s := &stepped{w: w, done: make(map[int]int), fetched: make([]int, tasks)}
	s.clock.Store(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano())
	s.Worker = New(Config{
		Producer: producer{w}, Fetcher: fetcher{w}, Member: gatekeeper{w}, Prepare: w.prepare,
		NewTask: func(id topology.TaskID, out task.Output, start []task.Progress, now time.Time) (*task.Task, error) {
			b := topology.NewBuilder()
			in := topology.AddSource(b, "source", "in", serde.String, serde.String)
			topology.AddProcessor(b, "slow", func() *slow { return &slow{s: s, partition: int(id.Partition)} }, in)
			top, err := b.Build()
			if err != nil {
				return nil, err
			}
			return task.New(task.Config{Topology: top, ApplicationID: "app", Partition: id.Partition, Output: out, Start: start, Now: now, Logger: discard})
		},
		Partitions: func(string) int32 { return int32(tasks) }, Dropped: func([]topology.TaskID) {}, Changed: func() {},
		CommitInterval: 100 * time.Millisecond, TransactionTimeout: 10 * time.Second, TaskTimeout: time.Minute, Logger: discard,
		Now: func() time.Time { return time.Unix(0, s.clock.Load()) },
	})
	s.out = NewCollector(t.Context(), s.cfg.Producer, s.cfg.Partitions)
	t.Cleanup(func() {
		s.cancelAll()
		if err := s.abandon(); err != nil {
			t.Error(err)
		}
	})
	specs := make([]restore.Task, tasks)
	for i := range specs {
		specs[i] = stepTask(i)
	}
	s.order(t, func(ctx context.Context) error { return s.Assign(ctx, specs) })
	for len(s.tasks) < tasks {
		s.step(t)
	}
	w.takeTrace()
	return s
}

func stepTask(partition int) restore.Task {
	return restore.Task{ID: topology.TaskID{Partition: int32(partition)}, Known: make(map[client.TopicPartition]bool),
		Inputs: []client.TopicPartition{{Topic: "in", Partition: int32(partition)}}}
}

// step makes one round.
func (s *stepped) step(t *testing.T) {
	t.Helper()
	if _, err := s.round(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// order has the worker carry out a command in the next round.
func (s *stepped) order(t *testing.T, command func(context.Context) error) {
	t.Helper()
	outcome := make(chan error, 1)
	go func() { outcome <- command(t.Context()) }()
	for len(s.commands) == 0 {
		goruntime.Gosched()
	}
	for {
		select {
		case err := <-outcome:
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
			s.step(t)
		}
	}
}

// feed lets the fetcher find n more records of a task's input.
func (s *stepped) feed(partition, n int) {
	from := s.fetched[partition]
	s.fetched[partition] += n
	end := int64(s.fetched[partition])
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.w.fetched = append(s.w.fetched, client.Fetched{
		TopicPartition: client.TopicPartition{Topic: "in", Partition: int32(partition)},
		Batch:          &batch{values: slices.Repeat([]string{"v"}, n), at: int64(from)}, HighWatermark: end, LastStable: end,
	})
}

// took returns what the tasks have processed since the last call.
func (s *stepped) took() map[int]int {
	done := s.done
	s.done = make(map[int]int)
	return done
}

// A round takes what was fetched, processes some of it, punctuates, and commits, in this order.
func TestRoundInOrder(t *testing.T) {
	t.Parallel()
	s := newStepped(t, 1)
	s.asks = true
	s.feed(0, 1)
	s.clock.Add(int64(punctuatedEvery))
	s.step(t)
	trace := append([]string{fmt.Sprintf("processed %d", s.took()[0])}, s.w.takeTrace()...)
	got := strings.Join(trace, ", ") // how a commit goes is TestCommitOrder's
	if !strings.HasPrefix(got, "processed 1, punctuate, ") || !strings.HasSuffix(got, ", end commit=true") || s.w.committed() != 1 {
		t.Errorf("a round is %s", got)
	}
}

// How many records a task may process in a round goes with how long they take: many of a quick program, few of a slow one, and one at least; so
// a round is short, and what waits for its end, as commits do, does not wait long.
func TestRoundsAreShort(t *testing.T) {
	t.Parallel()
	s := newStepped(t, 1)
	s.feed(0, 100_000)
	for _, tc := range []struct{ cost, longest time.Duration }{
		{time.Microsecond, maxRecords * time.Microsecond},
		{100 * time.Microsecond, longRound},
		{4 * time.Millisecond, longRound},
		{time.Second, time.Second}, // one record
		{10 * time.Microsecond, longRound},
	} {
		s.cost = tc.cost
		for range 30 { // it finds its size
			s.step(t)
		}
		s.took()
		for range 20 {
			s.step(t)
			n := s.took()[0]
			if n == 0 {
				t.Fatalf("%v a record: a round without a record", tc.cost)
			}
			if took := time.Duration(n) * tc.cost; took > tc.longest || 5*took < tc.longest {
				t.Errorf("%v a record: a round of %d records takes %v, want up to %v, and not much less", tc.cost, n, took, tc.longest)
			}
		}
	}
}

// Work without end does not keep commits and punctuations waiting: they are late by a round at most.
func TestBacklogIsCommittedInTime(t *testing.T) {
	t.Parallel()
	s := newStepped(t, 1)
	s.cost = time.Millisecond
	s.feed(0, 100_000)
	last := s.cfg.Now()
	commits, begun := 0, last
	for commits < 20 {
		s.step(t)
		now := s.cfg.Now()
		if slices.Contains(s.w.takeTrace(), "end commit=true") {
			if d := now.Sub(last); commits > 0 && (d < s.cfg.CommitInterval || d > s.cfg.CommitInterval+2*longRound) {
				t.Errorf("commit %d comes %v after the one before", commits, d)
			}
			commits, last = commits+1, now
		}
	}
	if want := int(s.cfg.Now().Sub(begun) / punctuatedEvery); s.fired < want-1 || s.fired > want {
		t.Errorf("punctuated %d times, want %d", s.fired, want)
	}
}

// A task with much to do has no more of a round than one with little.
func TestTasksShareARound(t *testing.T) {
	t.Parallel()
	s := newStepped(t, 3)
	s.cost = 100 * time.Microsecond
	s.feed(0, 50_000)
	s.feed(2, 50_000)
	for round := range 200 {
		if round%10 == 0 {
			s.feed(1, 3)
		}
		s.step(t)
		got := s.took()
		if got[0] == 0 || got[0] != got[2] {
			t.Fatalf("round %d: the busy tasks process %d and %d records", round, got[0], got[2])
		}
		if round%10 == 0 && round > 20 && got[1] != 3 {
			t.Fatalf("round %d: the quiet task processes %d of its 3 records", round, got[1])
		}
	}
}

// What was processed when the worker is paused is committed; then nothing is processed, punctuated or restored, whatever comes and however
// long it takes, until it is resumed. Its tasks stay open.
func TestPausedWorker(t *testing.T) {
	t.Parallel()
	s := newStepped(t, 1)
	restoring, given := make(chan struct{}), make(chan []restore.Task, 1)
	prepare := s.cfg.Prepare
	s.cfg.Prepare = func(ctx context.Context, tasks []restore.Task, _ func(restore.Ready)) error {
		close(restoring)
		<-ctx.Done() // a long restore
		given <- tasks
		return ctx.Err()
	}
	s.order(t, func(ctx context.Context) error { return s.Assign(ctx, []restore.Task{stepTask(1)}) })
	<-restoring
	if snapshot := s.Snapshot(); len(snapshot.Preparing) != 1 {
		t.Errorf("snapshot %+v of a worker that makes a task ready", snapshot)
	}
	s.feed(0, 5)
	for s.done[0] < 3 {
		s.step(t)
	}
	s.order(t, func(ctx context.Context) error { return s.Pause(ctx, true) })
	if tasks := <-given; len(tasks) != 1 || tasks[0].ID.Partition != 1 {
		t.Errorf("the restore of %v was interrupted", tasks)
	}
	s.cfg.Prepare = prepare
	processed := int64(s.took()[0])
	s.step(t)
	if s.w.committed() != processed {
		t.Errorf("%d records were processed, and %d committed", processed, s.w.committed())
	}
	s.w.takeTrace()
	s.fired, s.fetched = 0, append(s.fetched, 0, 0)
	s.feed(0, 10)
	s.order(t, func(ctx context.Context) error { return s.Assign(ctx, []restore.Task{stepTask(2)}) })
	for range 10 {
		s.clock.Add(int64(time.Minute))
		s.step(t)
	}
	if trace := s.w.takeTrace(); len(trace) > 0 || s.took()[0] > 0 || s.fired > 0 {
		t.Errorf("a paused worker does %q", trace)
	}
	if snapshot := s.Snapshot(); len(snapshot.Running) != 1 || len(snapshot.Held) != 2 || len(snapshot.Preparing) > 0 {
		t.Errorf("snapshot %+v", snapshot)
	}
	s.order(t, func(ctx context.Context) error { return s.Pause(ctx, false) })
	for len(s.tasks) < 3 || s.w.committed() < int64(s.fetched[0]) {
		s.clock.Add(int64(time.Millisecond))
		s.step(t)
	}
	if n := int64(s.took()[0]); n != 15-processed || s.fired == 0 {
		t.Errorf("resumed, it has processed %d records and punctuated %d times", n, s.fired)
	}
}

// A paused worker has nothing to wake up for, whatever its tasks would have; whoever it is aligned with does not wait for it.
func TestPausedWorkerSleeps(t *testing.T) {
	t.Parallel()
	s := newStepped(t, 1)
	board := skew.New(100*time.Millisecond, time.Hour, time.Now())
	s.cfg.Align = board
	s.asks = true
	board.Observe(s.cfg.Now(), nil)
	s.feed(0, 1) // at 1000
	s.step(t)
	if got := board.Limit(7, 5000); got != 1100 {
		t.Fatalf("others go on up to %d", got)
	}
	if s.nextWake().IsZero() {
		t.Fatal("it does not wake up for its punctuation")
	}
	s.order(t, func(ctx context.Context) error { return s.Pause(ctx, true) })
	s.step(t)
	if wake := s.nextWake(); !wake.IsZero() {
		t.Errorf("it wakes up at %v", wake)
	}
	if got := board.Limit(7, 5000); got != 5100 {
		t.Errorf("others go on up to %d", got)
	}
}

// A worker that waits shows what it has learnt of its lag, now and then.
func TestWaitingWorkerShowsItsLag(t *testing.T) {
	t.Parallel()
	s := newStepped(t, 1)
	s.w.fetched = append(s.w.fetched, client.Fetched{TopicPartition: input0, Lag: 5, LastStable: 5})
	for _, tc := range []struct {
		later time.Duration
		lag   int64
	}{{publishEvery - 1, -1}, {1, 5}} {
		s.clock.Add(int64(tc.later))
		s.step(t)
		s.w.ready <- struct{}{}
		if err := s.wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := s.Snapshot().Running[0].Inputs[0].Lag; got != tc.lag {
			t.Errorf("lag %d, want %d", got, tc.lag)
		}
	}
}

// What is fetched for nobody is given back, and so is what comes behind an input that cannot be read, whose failure is not lost.
func TestWhatIsNotTaken(t *testing.T) {
	t.Parallel()
	s := newStepped(t, 2)
	held := 0
	fetched := func(partition int32) client.Fetched {
		held++
		return client.Fetched{
			TopicPartition: client.TopicPartition{Topic: "in", Partition: partition}, Batch: &batch{values: []string{"v"}, release: func() { held-- }},
		}
	}
	s.w.fetched = append(s.w.fetched, fetched(9), client.Fetched{TopicPartition: input0, Err: errors.New("corrupt")}, fetched(1), fetched(9))
	if _, err := s.round(t.Context()); err == nil || !strings.Contains(err.Error(), "task 0_0: read in-0: corrupt") {
		t.Errorf("a round: %v", err)
	}
	if held != 0 {
		t.Errorf("%d batches are held", held)
	}
}

// A worker that is cut off inside the gate leaves it: the member could not join, nor say farewell.
func TestCutOffInTheGate(t *testing.T) {
	t.Parallel()
	s := newStepped(t, 1)
	s.asks = true
	s.feed(0, 1)
	ctx, cancel := context.WithCancel(t.Context())
	s.w.during = func(call string) {
		if call == "enter" {
			cancel()
		}
	}
	if _, err := s.round(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a round: %v", err)
	}
	if err := s.abandon(); err != nil {
		t.Error(err)
	}
	if got := s.w.takeTrace(); !slices.Contains(got, "leave") || slices.Contains(got, "end commit=true") {
		t.Errorf("calls %q", got)
	}
}

// Lag counts from what is committed, or from where the task begins; a replica may know less than that.
func TestLagOfAnInput(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		in   input
		want int64
	}{
		{input{known: true, lastStable: 15, start: 12, committed: -1}, 3},
		{input{known: true, lastStable: 15, start: 12, committed: 14}, 1},
		{input{known: true, lastStable: 5, start: 12, committed: 14}, 0},
		{input{start: 12, committed: 14}, -1},
	} {
		r := running{inputs: []*input{&tc.in}}
		if got := r.snapshot().Inputs[0].Lag; got != tc.want {
			t.Errorf("%+v: lag %d, want %d", tc.in, got, tc.want)
		}
	}
}
