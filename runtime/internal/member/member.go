package member

import (
	"context"
	"log/slog"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/assign"
	"github.com/millrace-io/millrace/runtime/internal/client"
)

// Config configures a Member.
type Config struct {
	Group string // the application id
	// InstanceID and Capacity (number of workers) describe the instance to the leader. Fingerprint is the topology's.
	InstanceID  string
	Capacity    int
	Fingerprint uint64
	// Topics are the source topics, for Kafka's tools to see.
	Topics []string
	// Previous are tasks whose state may be on this instance's disk.
	Previous []assign.Task
	// SessionTimeout default 10 s, HeartbeatInterval default a third of it but at most 3 s, RebalanceTimeout default 60 s
	// (session.timeout.ms, heartbeat.interval.ms, max.poll.interval.ms).
	SessionTimeout, HeartbeatInterval, RebalanceTimeout time.Duration
	// Plan is called on the group's leader, outside of any lock, before tasks are assigned: it makes sure of internal
	// topics and returns the tasks. An error ends Run.
	Plan func(ctx context.Context, members []Info) ([]TaskInputs, error)
	// Logger; nil means slog.Default().
	Logger *slog.Logger
}

// Info is what a member told the leader of itself.
type Info struct {
	MemberID, InstanceID string
	Capacity             int
	Fingerprint          uint64
	Topics               []string
}

// TaskInputs is a task with the partitions that it reads.
type TaskInputs struct {
	assign.Task
	Inputs []client.TopicPartition
}

// Assignment is what the instance may run at a moment.
type Assignment struct {
	// Incarnation grows with each new membership. What was started under another one is lost: its transaction must be
	// aborted and the task closed, even if the task is in Tasks again (G1).
	Incarnation uint64
	// Tasks are what the instance may run, sorted. What it runs beyond them must be committed, closed and released.
	Tasks []assign.Task
	// Joined is false before the first assignment and after a loss.
	Joined bool
}

// Member is the membership of one instance. Its methods are safe for use by several goroutines.
type Member struct{}

// New returns a member that has not joined.
func New(c *client.Client, cfg Config) (*Member, error) { return &Member{}, nil }

// Run joins the group and keeps the membership until ctx ends, then leaves the group. The owner must have released all
// tasks before it ends ctx. Any other end is an error.
func (m *Member) Run(ctx context.Context) error { return nil }

// Changed has a value when the Assignment has changed.
func (m *Member) Changed() <-chan struct{} { return nil }

// Assignment returns what the instance may run now.
func (m *Member) Assignment() Assignment { return Assignment{} }

// Release says that the instance no longer runs the tasks and that every transaction with their offsets has ended. After
// a loss it is called for everything that ran under the old incarnation: the member joins anew only then.
func (m *Member) Release(tasks ...assign.Task) {}

// Enter waits while the member joins, then returns the identity to commit under and keeps the member from joining until
// leave is called (G2). Several commits may be inside at once. It fails if ctx ends, or with ErrLost while there is no
// membership.
func (m *Member) Enter(ctx context.Context) (id client.Identity, leave func(), err error) {
	return client.Identity{}, func() {}, nil
}

// Identity returns the present identity, to compare the one at the beginning of a transaction with the one at its end.
func (m *Member) Identity() client.Identity { return client.Identity{} }

// Refused tells the member that an answer to a commit said that the membership is lost or the generation old, so that it need
// not wait for the next heartbeat.
func (m *Member) Refused() {}
