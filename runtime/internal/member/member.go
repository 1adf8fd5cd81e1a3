package member

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/assign"
	"github.com/millrace-io/millrace/runtime/internal/client"
)

// Config configures a Member.
type Config struct {
	Group string // the application id
	// InstanceID makes the member static (KIP-345): when the instance comes back within the session time-out, it takes the
	// place of its past at once, instead of waiting for it to be missed. Empty: a dynamic member.
	InstanceID string
	// Capacity (number of workers) and Fingerprint (of the topology) describe the instance to the leader.
	Capacity    int
	Fingerprint uint64
	// Topics returns the source topics as they are now, for Kafka's tools to see. Nil: none.
	Topics func() []string
	// Previous are tasks whose state may be on this instance's disk.
	Previous []assign.Task
	// SessionTimeout (session.timeout.ms), default 10 s, is after what a silent member is taken for dead.
	SessionTimeout time.Duration
	// HeartbeatInterval (heartbeat.interval.ms) is also how late a rebalance is noticed, while which commits of other
	// instances wait. Default a tenth of the session time-out, at most 1 s.
	HeartbeatInterval time.Duration
	// RebalanceTimeout (max.poll.interval.ms), default 60 s, is how long the group waits for a member to join again.
	RebalanceTimeout time.Duration
	// Plan is called on the group's leader, outside of any lock, before tasks are assigned: it makes sure of internal
	// topics and returns the tasks. An error ends Run.
	Plan func(ctx context.Context, members []Info) ([]TaskInputs, error)
	// Assign says which copies of states are kept, and when a task may move. Its State, and the racks of data, are not used: see TaskInputs.
	Assign assign.Config
	// Assignor, if not nil, decides instead: it returns who is to have what, and after what the group rebalances again, 0 for not. A target that
	// assign.Apply refuses ends Run, as an error does.
	Assignor func(*Question) (assign.Target, time.Duration, error)
	// Rack is where the instance is, among the racks of the brokers (client.rack). It may be empty.
	Rack string
	// Tags say where the instance is (client.tag.*); Endpoint, host:port, is where it answers queries
	// (application.server). Both may be empty.
	Tags     map[string]string
	Endpoint string
	// Lags, if not nil, is asked before each join about the states on this instance's disk, of tasks that it does not run: how many
	// records of the changelogs are missing in them. previous are tasks that it ran once; a negative lag says that nothing of such a
	// task is left. It must not wait for the Member.
	Lags func(ctx context.Context, previous []assign.Task) map[assign.Task]int64
	// ProbeInterval (probing.rebalance.interval.ms), default 10 min, is after what the leader has the group rebalance to see how far
	// warm-ups have come.
	ProbeInterval time.Duration
	// Logger; nil means slog.Default().
	Logger *slog.Logger
}

func (cfg *Config) setDefaults() error {
	if cfg.Group == "" || cfg.Plan == nil {
		return errors.New("member needs a group and a plan")
	}
	if cfg.SessionTimeout <= 0 {
		cfg.SessionTimeout = 10 * time.Second
	}
	if cfg.HeartbeatInterval <= 0 {
		cfg.HeartbeatInterval = min(time.Second, cfg.SessionTimeout/10)
	}
	if cfg.RebalanceTimeout <= 0 {
		cfg.RebalanceTimeout = time.Minute
	}
	if cfg.ProbeInterval <= 0 {
		cfg.ProbeInterval = 10 * time.Minute
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return nil
}

// Info is what a member told the leader of itself.
type Info struct {
	MemberID, InstanceID string
	Capacity             int
	Fingerprint          uint64
	Topics               []string
	Version              byte // of what it writes
	Endpoint             string
}

// TaskInputs is a task with the partitions that it reads.
type TaskInputs struct {
	assign.Task
	Inputs []client.TopicPartition
	// Stateful: it has Changelogs, which hold Records.
	Stateful   bool
	Records    int64
	Changelogs []client.TopicPartition
	// InputRacks and ChangelogRacks are the racks in which there are replicas of each of Inputs and Changelogs; nil if nobody has asked.
	InputRacks, ChangelogRacks [][]string
}

// Host is where a member answers queries, and about what.
type Host struct {
	Endpoint       string
	Tasks, Standby []assign.Task
}

// Assignment is what the instance may run at a moment.
type Assignment struct {
	// Incarnation grows with each new membership. What was started under another one is lost: its transaction must be
	// aborted and the task closed, even if the task is in Tasks again (G1).
	Incarnation uint64
	// Joined is false before the first assignment and after a loss; Tasks is empty then.
	Joined bool
	// Tasks are what the instance may run, sorted.
	Tasks []assign.Task
	// Revoked are tasks that it was given and may no longer run, sorted. Each has to be released, whether or not it was
	// ever started: after its transaction has ended (G3), or, if Incarnation is another one than when it was started,
	// after that was aborted.
	Revoked []assign.Task
	// Standby are tasks whose state the instance keeps a copy of, and Warmup those whose state it gets ready, since they are to
	// move here.
	Standby, Warmup []assign.Task
	// Hosts are all members that have an Endpoint.
	Hosts []Host
	// Stop says that a member has stopped the application: every instance ends.
	Stop bool
}

// Coordinator is what a Member asks of the log: the group's coordinator. *client.Client implements it.
type Coordinator interface {
	Join(ctx context.Context, r client.JoinRequest) (client.JoinAnswer, error)
	Sync(ctx context.Context, id client.Identity, protocol string, assignment map[string][]byte) ([]byte, error)
	Heartbeat(ctx context.Context, id client.Identity) error
	Leave(ctx context.Context, id client.Identity, reason string) error
}

// Member is the membership of one instance. Its methods are safe for use by several goroutines.
type Member struct {
	c       Coordinator
	cfg     Config
	log     *slog.Logger
	gate    *gate
	changed chan struct{}
	inbox   chan event // from the owner and from requests under way; Run takes them
	ended   chan struct{}

	capacity atomic.Int64
	stay     atomic.Bool
	heard    atomic.Pointer[time.Time] // when the last heartbeat was sent that the group has answered, nil: none

	core *core // Run's

	mu struct {
		sync.Mutex
		assignment Assignment
		identity   client.Identity
	}
}

// New returns a member that has not joined.
func New(c Coordinator, cfg Config) (*Member, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	m := &Member{
		c: c, cfg: cfg, log: cfg.Logger, gate: newGate(),
		changed: make(chan struct{}, 1),
		inbox:   make(chan event, 16),
		ended:   make(chan struct{}),
		core:    newCore(cfg.HeartbeatInterval, cfg.Previous),
	}
	m.capacity.Store(int64(cfg.Capacity))
	m.publish()
	return m, nil
}

// Changed has a value when the Assignment has changed.
func (m *Member) Changed() <-chan struct{} { return m.changed }

// Assignment returns what the instance may run now. The caller must not change its slices.
func (m *Member) Assignment() Assignment {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.assignment
}

// Identity returns the present identity, to compare the one at the beginning of a transaction with the one at its end.
func (m *Member) Identity() client.Identity {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.identity
}

// Heard returns how long ago the last heartbeat was sent that the group has answered well: then the member was known, and what it was given was nobody
// else's. ok is false if there is none.
func (m *Member) Heard() (ago time.Duration, ok bool) {
	at := m.heard.Load()
	if at == nil {
		return 0, false
	}
	return time.Since(*at), true
}

// Release says that the instance no longer runs revoked tasks, and that every transaction with their offsets has ended. When
// all of them are released the member joins again, so that they can be given to others; after a loss it joins only
// then. Tasks that are not revoked are left out.
func (m *Member) Release(tasks ...assign.Task) { m.post(event{kind: evReleased, tasks: tasks}) }

// Rejoin asks for a rebalance, because what the plan depends on has changed.
func (m *Member) Rejoin(reason string) { m.post(event{kind: evRejoin, reason: reason}) }

// SetCapacity changes Config.Capacity and has the group rebalance.
func (m *Member) SetCapacity(n int) {
	m.capacity.Store(int64(n))
	m.Rejoin("the capacity of an instance has changed")
}

// Stay has Run end without leaving the group: it misses the member after the session time-out, unless the instance is back by then
//
func (m *Member) Stay() { m.stay.Store(true) }

// Refused tells the member that an answer to a commit said that the membership is lost or the generation old, so that it need
// not wait for the next heartbeat to find out.
func (m *Member) Refused() { m.post(event{kind: evRefused}) }

// StopApplication has the group's leader tell all members to stop: Assignment.Stop (Kafka Streams' SHUTDOWN_REQUESTED). It takes a
// rebalance.
func (m *Member) StopApplication() { m.post(event{kind: evStopAll}) }

func (m *Member) post(ev event) {
	select {
	case m.inbox <- ev:
	case <-m.ended:
	}
}

// Enter waits while the member joins, then returns the identity to commit under and keeps the member from joining until
// leave is called (G2). Several commits may be inside at once. It fails if ctx ends, or with ErrLost while there is no
// membership.
func (m *Member) Enter(ctx context.Context) (id client.Identity, leave func(), err error) {
	leave, err = m.gate.enter(ctx, func() error {
		if id = m.Identity(); id.Generation < 0 {
			return ErrLost
		}
		return nil
	})
	if err != nil {
		return client.Identity{}, nil, fmt.Errorf("enter the commit gate of group %q: %w", m.cfg.Group, err)
	}
	return id, leave, nil
}

func (a *Assignment) equal(b *Assignment) bool {
	return a.Incarnation == b.Incarnation && a.Joined == b.Joined && a.Stop == b.Stop && slices.Equal(a.Tasks, b.Tasks) && slices.Equal(a.Revoked, b.Revoked) &&
		slices.Equal(a.Standby, b.Standby) && slices.Equal(a.Warmup, b.Warmup) &&
		slices.EqualFunc(a.Hosts, b.Hosts, func(x, y Host) bool {
			return x.Endpoint == y.Endpoint && slices.Equal(x.Tasks, y.Tasks) && slices.Equal(x.Standby, y.Standby)
		})
}

// publish makes what the core has decided visible.
func (m *Member) publish() {
	c := m.core
	a := Assignment{Incarnation: c.incarnation, Joined: c.joined, Tasks: c.active, Revoked: c.revoked(),
		Standby: c.copies.standby, Warmup: c.copies.warmup, Hosts: c.copies.hosts, Stop: c.stopped}
	id := client.Identity{Group: m.cfg.Group, MemberID: c.memberID, Generation: c.generation, InstanceID: m.cfg.InstanceID}
	m.mu.Lock()
	old, oldID := m.mu.assignment, m.mu.identity
	m.mu.assignment, m.mu.identity = a, id
	m.mu.Unlock()
	if id != oldID {
		m.gate.notify()
	}
	if a.equal(&old) {
		return
	}
	select {
	case m.changed <- struct{}{}:
	default:
	}
}
