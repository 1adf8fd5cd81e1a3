package runtime

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/runtime/internal/assign"
	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/member"
	"github.com/millrace-io/millrace/runtime/internal/restore"
	"github.com/millrace-io/millrace/runtime/internal/statedir"
	"github.com/millrace-io/millrace/runtime/internal/worker"
	"github.com/millrace-io/millrace/topology"
)

// What has changed since the start is told, and told again after the look-up that comes next, be there more or not.
func TestChangesAreToldTwice(t *testing.T) {
	t.Parallel()
	w := watch{known: map[string]int32{"in": 4}}
	for i, step := range []struct {
		found map[string]int32
		want  []string
		tell  bool
	}{
		{map[string]int32{"in": 4}, nil, false},
		{map[string]int32{"in": 6}, []string{"topic in has 6 partitions, and had 4"}, true},
		{map[string]int32{"in": 6}, nil, true},
		{map[string]int32{"in": 6}, nil, false},
		{map[string]int32{"in": 0}, []string{"topic in has 0 partitions, and had 6"}, true},
		{map[string]int32{"in": 6, "more": 1}, []string{"topic in has 6 partitions, and had 0", "topic more has 1 partitions, and had 0"}, true},
		{map[string]int32{"in": 6, "more": 1}, nil, true},
		{map[string]int32{"in": 6, "more": 1}, nil, false},
	} {
		if got, tell := w.see(step.found); !slices.Equal(got, step.want) || tell != step.tell {
			t.Errorf("step %d: changes %q, told %v; want %q, %v", i, got, tell, step.want, step.tell)
		}
	}
}

// silent is a fetcher of which nothing comes.
type silent struct{}

func (silent) Add(client.TopicPartition, int64)           {}
func (silent) Remove(client.TopicPartition)               {}
func (silent) Ready() <-chan struct{}                     { return nil }
func (silent) Take(got []client.Fetched) []client.Fetched { return got }
func (silent) CommitOffsets(context.Context, client.Identity, map[client.TopicPartition]client.Committed) error {
	return nil
}

// quietProducer has nothing to say.
type quietProducer struct{ worker.Producer }

func (quietProducer) Refusals() []client.Refusal { return nil }

// deadWorker is one whose Run has ended.
func deadWorker(t *testing.T, slot int) *worker.Worker {
	t.Helper()
	w := worker.New(worker.Config{
		Slot: slot, Producer: quietProducer{}, Fetcher: silent{}, CommitOffsets: silent{}.CommitOffsets,
		TransactionTimeout: time.Second, TaskTimeout: time.Second, CommitInterval: time.Second, Logger: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("Run = %v", err)
	}
	return w
}

// That a worker has ended is not why the instance ends: the worker's own failure is, which is on its way. So nothing that the supervisor
// asks of it fails for that.
func TestEndedWorkerIsNoFailureOfItsOwn(t *testing.T) {
	t.Parallel()
	a, b, c := topology.TaskID{}, topology.TaskID{Partition: 1}, topology.TaskID{Partition: 2}
	in := &instance{cfg: Config{Logger: slog.New(slog.DiscardHandler)}, log: slog.New(slog.DiscardHandler), signals: newSignals(), workers: []*worker.Worker{deadWorker(t, 0), deadWorker(t, 1)}}
	s := &supervisor{instance: in, placed: placement{{a, b, c}, nil}, specs: map[topology.TaskID]restore.Task{a: {ID: a}, b: {ID: b}, c: {ID: c}}}
	if err := s.workers[0].Assign(t.Context(), nil); !errors.Is(err, worker.ErrEnded) {
		t.Fatalf("Assign = %v", err)
	}
	if err := s.assign(t.Context(), 0, []topology.TaskID{a}); err != nil {
		t.Errorf("assign: %v", err)
	}
	if err := s.level(t.Context()); err != nil {
		t.Errorf("level: %v", err)
	}
	if err := s.release(t.Context(), []topology.TaskID{a}); err != nil {
		t.Errorf("release: %v", err)
	}
	if err := s.lose(t.Context()); err != nil {
		t.Errorf("lose: %v", err)
	}
}

// lonely is the coordinator of a group of one, which forgets its member if it is told to.
type lonely struct {
	generation atomic.Int32
	forget     atomic.Bool
}

func (g *lonely) Join(_ context.Context, r client.JoinRequest) (client.JoinAnswer, error) {
	g.forget.Store(false)
	return client.JoinAnswer{
		MemberID: "m", Generation: g.generation.Add(1), Leader: true,
		Members: []client.JoinMember{{MemberID: "m", Metadata: r.Metadata}},
	}, nil
}

func (*lonely) Sync(_ context.Context, _ client.Identity, _ string, assignment map[string][]byte) ([]byte, error) {
	return assignment["m"], nil
}

func (g *lonely) Heartbeat(context.Context, client.Identity) error {
	if g.forget.Load() {
		return kerr.UnknownMemberID
	}
	return nil
}

func (*lonely) Leave(context.Context, client.Identity, string) error { return nil }

// An instance that stops the application while the group has forgotten it joins anew at once and tells it then.
func TestGroupIsToldAfterALoss(t *testing.T) {
	t.Parallel()
	group := &lonely{}
	m, err := member.New(group, member.Config{
		Group: "app", Capacity: 1, HeartbeatInterval: time.Millisecond, Logger: slog.New(slog.DiscardHandler),
		Plan: func(context.Context, []member.Info) ([]member.TaskInputs, error) {
			return []member.TaskInputs{{Task: assign.Task{}}}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("member: %v", err)
		}
	}()
	await := func(ok func(member.Assignment) bool) member.Assignment {
		t.Helper()
		for {
			if a := m.Assignment(); ok(a) {
				return a
			}
			select {
			case <-m.Changed():
			case <-ctx.Done():
				t.Fatalf("assignment %+v", m.Assignment())
			}
		}
	}
	a := await(func(a member.Assignment) bool { return len(a.Tasks) == 1 })
	in := &instance{cfg: Config{ShutdownTimeout: 10 * time.Second}, log: slog.New(slog.DiscardHandler), signals: newSignals(), member: m, workers: []*worker.Worker{deadWorker(t, 0)}}
	s := &supervisor{instance: in, incarnation: a.Incarnation, placed: placement{{topology.TaskID{}}}, specs: make(map[topology.TaskID]restore.Task)}
	group.forget.Store(true)
	await(func(a member.Assignment) bool { return !a.Joined })
	if err := s.tellGroup(ctx); err != nil {
		t.Fatal(err)
	}
	if n := group.generation.Load(); n < 2 {
		t.Errorf("generation %d", n)
	}
}

// A slot whose transaction could not be ended stays recorded, whatever workers come and go meanwhile, so that the next start ends it.
func TestUnsettledSlotStaysRecorded(t *testing.T) {
	t.Parallel()
	dir, err := statedir.Open(t.TempDir(), "app")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dir.Close() }()
	s := &supervisor{instance: &instance{dir: dir, cfg: Config{Guarantee: ExactlyOnce}}}
	record := func(n, want int) {
		t.Helper()
		if err := s.recordSlots(n); err != nil || dir.Slots() != want {
			t.Errorf("with %d workers %d slots are recorded (%v), want %d", n, dir.Slots(), err, want)
		}
	}
	record(3, 3)
	s.unsettled = 3 // the third worker left a transaction
	record(2, 3)
	record(1, 3)
	record(2, 3)
	record(4, 4)
	s.unsettled = 2 // the third worker is back
	record(1, 2)
}
