package member

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/broker/brokertest"
	"github.com/millrace-io/millrace/runtime/internal/assign"
	"github.com/millrace-io/millrace/runtime/internal/client"
)

// onEachLog runs a test against every log there is: the embedded broker, and the Kafka that MILLRACE_KAFKA names. Each
// instance needs a client of its own, for a JoinGroup that waits for the others holds up its connection.
func onEachLog(t *testing.T, test func(t *testing.T, connect func() *client.Client)) {
	t.Helper()
	connect := func(t *testing.T, cfg client.Config) func() *client.Client {
		return func() *client.Client {
			c, err := client.Connect(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.Close)
			return c
		}
	}
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		b := brokertest.Start(t)
		test(t, connect(t, client.Config{Brokers: b.Brokers(), Dial: b.Dial}))
	})
	t.Run("kafka", func(t *testing.T) {
		t.Parallel()
		address := os.Getenv("MILLRACE_KAFKA")
		if address == "" {
			t.Skip("MILLRACE_KAFKA=host:port does not name a Kafka")
		}
		test(t, connect(t, client.Config{Brokers: []string{address}}))
	})
}

var named atomic.Int64

func uniqueGroup() string {
	return fmt.Sprintf("member-test-%d-%d", time.Now().UnixNano(), named.Add(1))
}

// instance runs a Member and does what it is told: a task that is revoked is released at once.
type instance struct {
	t      *testing.T
	m      *Member
	cancel context.CancelFunc
	done   chan error
}

func startInstance(t *testing.T, c Coordinator, cfg Config) *instance {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})).With("instance", cfg.InstanceID)
	}
	if cfg.Plan == nil {
		cfg.Plan = func(context.Context, []Info) ([]TaskInputs, error) { return specs(6), nil }
	}
	m, err := New(c, cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	i := &instance{t: t, m: m, cancel: cancel, done: make(chan error, 1)}
	go func() { i.done <- m.Run(ctx) }()
	t.Cleanup(func() { i.stop() })
	return i
}

// stop leaves the group. It may be called again.
func (i *instance) stop() {
	i.cancel()
	select {
	case err := <-i.done:
		if err != nil {
			i.t.Errorf("Run: %v", err)
		}
		i.done <- nil
	case <-time.After(20 * time.Second):
		i.t.Error("Run does not end")
	}
}

// await releases what is revoked until ok holds.
func (i *instance) await(what string, ok func(Assignment) bool) Assignment {
	i.t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		a := i.m.Assignment()
		if ok(a) {
			return a
		}
		i.m.Release(a.Revoked...)
		select {
		case <-i.m.Changed():
		case err := <-i.done:
			i.t.Fatalf("%s: Run ended: %v", what, err)
		case <-timeout:
			i.t.Fatalf("%s: %+v after 30 s", what, a)
		}
	}
}

func has(n int) func(Assignment) bool {
	return func(a Assignment) bool { return a.Joined && len(a.Tasks) == n && len(a.Revoked) == 0 }
}

func specs(n int32) []TaskInputs {
	var ts []TaskInputs
	for p := range n {
		ts = append(ts, TaskInputs{Task: assign.Task{Partition: p}, Inputs: []client.TopicPartition{{Topic: "in", Partition: p}}})
	}
	return ts
}

// Two members share the tasks; one leaves, and the other has them all. Neither membership is lost on the way.
func TestTwoMembers(t *testing.T) {
	t.Parallel()
	onEachLog(t, func(t *testing.T, connect func() *client.Client) {
		group := uniqueGroup()
		a := startInstance(t, connect(), Config{Group: group, InstanceID: "a", Topics: func() []string { return []string{"in"} }, HeartbeatInterval: 100 * time.Millisecond})
		a.await("a alone", has(6))
		before := a.m.Identity()
		b := startInstance(t, connect(), Config{Group: group, InstanceID: "b", Topics: func() []string { return []string{"in"} }, HeartbeatInterval: 100 * time.Millisecond})
		first := a.await("a beside b", has(3))
		second := b.await("b beside a", has(3))
		for _, task := range second.Tasks {
			if slices.Contains(first.Tasks, task) {
				t.Errorf("%v is given twice", task)
			}
		}
		if id := a.m.Identity(); id.MemberID != before.MemberID || id.Generation <= before.Generation || first.Incarnation != 1 {
			t.Errorf("identity %+v, then %+v; incarnation %d", before, id, first.Incarnation)
		}
		b.stop()
		a.await("a alone again", has(6))
	})
}

// An instance that was killed comes back and takes the place of its past at once.
func TestStaticMemberComesBack(t *testing.T) {
	t.Parallel()
	onEachLog(t, func(t *testing.T, connect func() *client.Client) {
		group := uniqueGroup()
		a := startInstance(t, noLeave{connect()}, Config{Group: group, InstanceID: "a"})
		old := a.await("a alone", has(6))
		id := a.m.Identity()
		a.stop() // the group is not told
		start := time.Now()
		c := connect()
		again := startInstance(t, c, Config{Group: group, InstanceID: "a", Previous: old.Tasks})
		again.await("a again", has(6))
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("took %v: it waited for its past to be missed", took)
		}
		if again.m.Identity().MemberID == id.MemberID {
			t.Error("the member id is the one of its past, which is not fenced then")
		}
		if err := c.Heartbeat(t.Context(), id); client.ClassOf(err) != client.ClassFenced {
			t.Errorf("its past is answered %v (%v)", err, client.ClassOf(err))
		}
	})
}

// A member that is back within the session time-out costs no rebalance, be it the group's leader or another: the generation stays, nobody
// joins again, and each has what it had.
func TestStaticMemberBounces(t *testing.T) {
	t.Parallel()
	onEachLog(t, func(t *testing.T, connect func() *client.Client) {
		group := uniqueGroup()
		var joins [2]atomic.Int32
		start := func(i int) *instance {
			return startInstance(t, countsJoins{noLeave{connect()}, &joins[i]},
				Config{Group: group, InstanceID: fmt.Sprint(i), HeartbeatInterval: 50 * time.Millisecond, SessionTimeout: 30 * time.Second})
		}
		members := [2]*instance{start(0)}
		members[0].await("the first alone", has(6))
		members[1] = start(1)
		members[0].await("the first beside another", has(3))
		members[1].await("the second", has(3))
		generation := members[1].m.Identity().Generation
		for i := range members {
			other := members[1-i]
			had := members[i].m.Assignment().Tasks
			before := joins[1-i].Load()
			members[i].stop() // the group is not told
			members[i] = start(i)
			if got := members[i].await("it is back", has(3)); !slices.Equal(got.Tasks, had) {
				t.Errorf("member %d had %v and has %v", i, had, got.Tasks)
			}
			if err := connect().Heartbeat(t.Context(), other.m.Identity()); err != nil {
				t.Errorf("member %d is back, and the other one is told %v", i, err)
			}
			if now := joins[1-i].Load(); now != before {
				t.Errorf("member %d is back, and the other one has joined %d times", i, now-before)
			}
			for k, m := range members {
				if now := m.m.Identity().Generation; now != generation {
					t.Errorf("member %d is back, and member %d has generation %d, not %d", i, k, now, generation)
				}
			}
		}
	})
}

// countsJoins counts how often a member joins.
type countsJoins struct {
	Coordinator
	n *atomic.Int32
}

func (c countsJoins) Join(ctx context.Context, r client.JoinRequest) (client.JoinAnswer, error) {
	c.n.Add(1)
	return c.Coordinator.Join(ctx, r)
}

// noLeave is a coordinator that members are killed under.
type noLeave struct{ Coordinator }

func (noLeave) Leave(context.Context, client.Identity, string) error { return nil }

// While a commit is inside the gate, the member does not join (G2), and the commit's identity stays valid.
func TestGateHoldsTheRebalance(t *testing.T) {
	t.Parallel()
	onEachLog(t, func(t *testing.T, connect func() *client.Client) {
		group, c := uniqueGroup(), connect()
		a := startInstance(t, connect(), Config{Group: group, InstanceID: "a", HeartbeatInterval: 50 * time.Millisecond})
		a.await("a alone", has(6))
		id, leave, err := a.m.Enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		b := startInstance(t, connect(), Config{Group: group, InstanceID: "b", HeartbeatInterval: 50 * time.Millisecond})
		for range 20 {
			if err := c.Heartbeat(t.Context(), id); errors.Is(err, client.ErrRebalance) {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(200 * time.Millisecond)
		if now := a.m.Identity(); now != id {
			t.Fatalf("identity went from %+v to %+v while a commit was inside", id, now)
		}
		leave()
		leave() // a second call does nothing
		a.await("a beside b", has(3))
		b.await("b beside a", has(3))
		if _, leave, err = a.m.Enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		leave()
	})
}

// A transaction that is open while the group rebalances commits, under the new generation (G1): nothing has to be aborted
// because another instance came.
func TestCommitAcrossARebalance(t *testing.T) {
	t.Parallel()
	onEachLog(t, func(t *testing.T, connect func() *client.Client) {
		group, c := uniqueGroup(), connect()
		a := startInstance(t, connect(), Config{Group: group, InstanceID: "a", HeartbeatInterval: 50 * time.Millisecond})
		a.await("a alone", has(6))
		before := a.m.Identity()
		topic := group + "-in"
		if err := c.CreateTopics(t.Context(), client.NewTopic{Name: topic, Partitions: 1}); err != nil {
			t.Fatal(err)
		}
		tp := client.TopicPartition{Topic: topic}
		p, err := client.NewProducer(c, client.ProducerConfig{TransactionalID: group})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if err := p.Init(t.Context()); err != nil {
			t.Fatal(err)
		}
		b := p.Builder()
		if err := b.Append(nil, []byte("v"), 1, nil); err != nil {
			t.Fatal(err)
		}
		if err := p.Send(t.Context(), tp, b); err != nil {
			t.Fatal(err)
		}
		if err := p.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		other := startInstance(t, connect(), Config{Group: group, InstanceID: "b", HeartbeatInterval: 50 * time.Millisecond})
		a.await("a beside b", has(3))
		other.await("b beside a", has(3))

		offsets := map[client.TopicPartition]client.Committed{tp: {Offset: 1, LeaderEpoch: -1}}
		if err := p.CommitOffsets(t.Context(), before, offsets); client.ClassOf(err) != client.ClassGeneration {
			t.Fatalf("under the old generation: %v (%v)", err, client.ClassOf(err))
		}
		id, leave, err := a.m.Enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer leave()
		if id.MemberID != before.MemberID || id.Generation <= before.Generation {
			t.Fatalf("identity %+v, before %+v", id, before)
		}
		if err := p.CommitOffsets(t.Context(), id, offsets); err != nil {
			t.Fatalf("under the new generation: %v", err)
		}
		if err := p.End(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		got, err := c.CommittedOffsets(t.Context(), group, []client.TopicPartition{tp})
		if err != nil || got[tp].Offset != 1 {
			t.Fatalf("got %v, %v", got, err)
		}
	})
}

// A member that was thrown out learns of it, and joins as another one when its tasks are closed.
func TestThrownOut(t *testing.T) {
	t.Parallel()
	onEachLog(t, func(t *testing.T, connect func() *client.Client) {
		group := uniqueGroup()
		a := startInstance(t, connect(), Config{Group: group, InstanceID: "a", HeartbeatInterval: 50 * time.Millisecond})
		a.await("a alone", has(6))
		id := a.m.Identity()
		if err := connect().Leave(t.Context(), id, "thrown out by the test"); err != nil {
			t.Fatal(err)
		}
		lost := a.await("lost", func(a Assignment) bool { return a.Incarnation == 2 })
		if lost.Joined || len(lost.Tasks) != 0 || len(lost.Revoked) != 6 {
			t.Fatalf("got %+v", lost)
		}
		if _, _, err := a.m.Enter(t.Context()); !errors.Is(err, ErrLost) {
			t.Errorf("got %v, want ErrLost", err)
		}
		again := a.await("again", has(6))
		if now := a.m.Identity(); now.MemberID == id.MemberID || again.Incarnation != 2 {
			t.Errorf("identity %+v, incarnation %d", now, again.Incarnation)
		}
	})
}

// stub is a coordinator that answers as it is told.
type stub struct {
	join      func(client.JoinRequest) (client.JoinAnswer, error)
	heartbeat func() error
}

func (s *stub) Join(_ context.Context, r client.JoinRequest) (client.JoinAnswer, error) {
	return s.join(r)
}

func (s *stub) Sync(_ context.Context, id client.Identity, _ string, plan map[string][]byte) ([]byte, error) {
	return plan[id.MemberID], nil
}
func (s *stub) Heartbeat(context.Context, client.Identity) error     { return s.heartbeat() }
func (s *stub) Leave(context.Context, client.Identity, string) error { return nil }

func alone(r client.JoinRequest) (client.JoinAnswer, error) {
	return client.JoinAnswer{MemberID: "m", Generation: 1, Leader: true, Members: []client.JoinMember{{MemberID: "m", Metadata: r.Metadata}}}, nil
}

func TestEnterWithoutMembership(t *testing.T) {
	t.Parallel()
	answer := make(chan struct{})
	c := &stub{heartbeat: func() error { return nil }, join: func(r client.JoinRequest) (client.JoinAnswer, error) {
		<-answer
		return alone(r)
	}}
	i := startInstance(t, c, Config{Group: "g"})
	if _, _, err := i.m.Enter(t.Context()); !errors.Is(err, ErrLost) {
		t.Errorf("before the first join: got %v, want ErrLost", err)
	}
	close(answer)
	i.await("joined", has(6))
	id, leave, err := i.m.Enter(t.Context())
	if want := (client.Identity{Group: "g", MemberID: "m", Generation: 1}); err != nil || id != want {
		t.Fatalf("got %+v, %v, want %+v", id, err, want)
	}
	leave()
	i.stop()
	if _, _, err := i.m.Enter(t.Context()); !errors.Is(err, ErrLost) {
		t.Errorf("after the end: got %v, want ErrLost", err)
	}
	i.m.Release(assign.Task{}) // does not block after the end
}

func TestRunEndsWithAFatalAnswer(t *testing.T) {
	t.Parallel()
	boom := errors.New("source topic \"in\" does not exist")
	m, err := New(&stub{join: alone}, Config{Group: "g", Plan: func(context.Context, []Info) ([]TaskInputs, error) { return nil, boom }})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Run(t.Context()); !errors.Is(err, boom) {
		t.Errorf("got %v, want %v", err, boom)
	}
	unreadable := func(client.JoinRequest) (client.JoinAnswer, error) {
		return client.JoinAnswer{MemberID: "m", Generation: 1, Leader: true, Members: []client.JoinMember{{MemberID: "m", Metadata: []byte{1}}}}, nil
	}
	if m, err = New(&stub{join: unreadable}, Config{Group: "g", Plan: func(context.Context, []Info) ([]TaskInputs, error) { return nil, nil }}); err != nil {
		t.Fatal(err)
	}
	if err := m.Run(t.Context()); !errors.Is(err, errShort) {
		t.Errorf("got %v, want errShort", err)
	}
}

func TestWire(t *testing.T) {
	t.Parallel()
	for _, s := range []subscription{
		{generation: -1},
		{
			topics: []string{"a", "b"}, generation: 7, rack: "r 1",
			partitions: []client.TopicPartition{{Topic: "a", Partition: 0}, {Topic: "a", Partition: 3}, {Topic: "b", Partition: 1}},
			user: userData{
				instanceID: "i-1", capacity: 4, fingerprint: 1 << 63,
				owned: []assign.Task{{Subtopology: 0, Partition: 1}, {Subtopology: 300, Partition: 70000}}, previous: []assign.Task{{Subtopology: 2, Partition: 2}, {Subtopology: 2, Partition: 3}},
				lags: map[assign.Task]int64{{Subtopology: 2, Partition: 3}: 0}, tags: map[string]string{"zone": "x", "rack": ""}, endpoint: "h:1", stop: true,
			},
		},
	} {
		b := s.encode()
		got, err := decodeSubscription(b)
		s.user.version = userDataVersion
		if err != nil || !reflect.DeepEqual(got, s) {
			t.Errorf("got %+v, %v, want %+v", got, err, s)
		}
		for n := range b {
			if _, err := decodeSubscription(b[:n]); err == nil {
				t.Errorf("%d of %d bytes were read without an error", n, len(b))
			}
		}
	}
	a := assignment{partitions: []client.TopicPartition{{Topic: "a", Partition: 2}}, tasks: []assign.Task{{Subtopology: 1, Partition: 2}}, stop: true,
		copies: copies{standby: []assign.Task{{Subtopology: 1}}, warmup: []assign.Task{{Subtopology: 3}}, hosts: []Host{{Endpoint: "h:1", Tasks: []assign.Task{{Subtopology: 1}}}}}}
	b := a.encode(userDataVersion)
	if got, err := decodeAssignment(b); err != nil || !reflect.DeepEqual(got, a) {
		t.Errorf("got %+v, %v, want %+v", got, err, a)
	}
	for n := 1; n < len(b); n++ {
		if _, err := decodeAssignment(b[:n]); err == nil {
			t.Errorf("%d of %d bytes were read without an error", n, len(b))
		}
	}
}

// FuzzDecodeWire: other processes may send anything.
func FuzzDecodeWire(f *testing.F) {
	s := subscription{topics: []string{"t"}, partitions: []client.TopicPartition{{Topic: "t"}}, user: userData{owned: []assign.Task{{}}}}
	f.Add(s.encode())
	s.rack = "r"
	f.Add(s.encode())
	a := assignment{tasks: []assign.Task{{}}}
	f.Add(a.encode(userDataVersion))
	f.Fuzz(func(t *testing.T, data []byte) {
		if s, err := decodeSubscription(data); err == nil {
			if again, err := decodeSubscription(s.encode()); err != nil || len(again.user.owned) != len(s.user.owned) {
				t.Fatalf("what was read cannot be read again: %v", err)
			}
		}
		_, _ = decodeAssignment(data)
	})
}

// Heard goes by when a heartbeat was sent: what the group says of a member may be over when the answer arrives. One that fails says nothing.
func TestHeard(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &beaten{}
		m, err := New(c, Config{Group: "app", Plan: func(context.Context, []Info) ([]TaskInputs, error) { return nil, nil }})
		if err != nil {
			t.Fatal(err)
		}
		r := &runner{Member: m, ctx: t.Context()}
		if _, ok := m.Heard(); ok {
			t.Error("nothing was asked yet")
		}
		for _, beat := range []struct {
			answer error
			heard  time.Duration
		}{{nil, time.Second}, {errors.New("cut off"), 2 * time.Second}, {kerr.UnknownMemberID, 3 * time.Second}, {nil, time.Second}} {
			c.answer = beat.answer
			r.heartbeat(client.Identity{MemberID: "m1"})
			if ago, ok := m.Heard(); !ok || ago != beat.heard {
				t.Errorf("after %v: heard %v ago, want %v", beat.answer, ago, beat.heard)
			}
		}
	})
}

// beaten answers heartbeats after a second.
type beaten struct {
	Coordinator
	answer error
}

func (c *beaten) Heartbeat(context.Context, client.Identity) error {
	time.Sleep(time.Second)
	return c.answer
}
