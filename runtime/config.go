package runtime

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"regexp"
	goruntime "runtime"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/sasl"

	"github.com/millrace-io/millrace/state"
)

// Guarantee is what an application promises about its results.
type Guarantee uint8

// The guarantees.
const (
	// ExactlyOnce commits input positions, output and state in one transaction (processing.guarantee=exactly_once_v2).
	ExactlyOnce Guarantee = iota
	// AtLeastOnce commits positions after the output was acknowledged, without a transaction.
	AtLeastOnce
)

// String names the guarantee.
func (g Guarantee) String() string {
	if g == AtLeastOnce {
		return "at least once"
	}
	return "exactly once"
}

// Config configures an App. The zero value of a field is its documented default; ApplicationID and Brokers have none.
type Config struct {
	// ApplicationID names the application: it is the consumer group, and the prefix of internal topics and transactional
	// ids. Letters, digits, '.', '_' and '-', at most 200 (application.id).
	ApplicationID string
	// StateDir is the directory under which this instance keeps its state, in a directory of the application's name. One
	// process holds it at a time. Empty: state is kept in memory and restored from the changelogs at every start, and after
	// a kill the next start waits for TransactionTimeout (state.dir).
	StateDir string
	// Engine opens what keeps the bytes of all stores, in the directory that StateDir has for them, which need not exist; its name is empty if there is no
	// StateDir. The runtime closes it. It must keep what was applied before a Sync, and of what came later a prefix of the batches. Nil: Pebble, or
	// memory without StateDir. It stands for Kafka Streams' suppliers of byte stores (KeyValueBytesStoreSupplier), one for all stores.
	Engine func(dir string) (state.Engine, error)

	// Brokers are the addresses to begin with, host:port (bootstrap.servers).
	Brokers []string
	// Dial opens connections; nil: TCP. An embedded broker is reached through its Dial.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// TLS encrypts connections; nil: none (security.protocol).
	TLS *tls.Config
	// SASL authenticates connections; nil: none (sasl.mechanism).
	SASL sasl.Mechanism

	// Workers is how many goroutines run tasks, each with its own transactional producer. Default: the number of CPUs, at
	// most 8 (num.stream.threads).
	Workers int
	// Guarantee is ExactlyOnce by default (processing.guarantee).
	Guarantee Guarantee
	// CommitInterval is how long a processed record waits for its commit at most, under load; a commit comes earlier when
	// the input is drained. It bounds the latency of each hop. 1 ms to half of TransactionTimeout, default 100 ms
	// (commit.interval.ms).
	CommitInterval time.Duration
	// TransactionTimeout is after what the log aborts a transaction that nobody ends; with a lost StateDir it is how long a
	// takeover takes. At least 1 s, default 10 s (transaction.timeout.ms).
	TransactionTimeout time.Duration
	// SessionTimeout is after what the group gives the tasks of an instance that is not heard of to others. At least 1 s,
	// default 10 s (session.timeout.ms).
	SessionTimeout time.Duration
	// RebalanceTimeout is how long an instance has to give tasks up before the group goes on without it. Default 60 s
	// (max.poll.interval.ms).
	RebalanceTimeout time.Duration
	// TaskTimeout is how long a task that cannot make progress because of the log is tried before it fails; Uncaught says what follows.
	// Default 5 min (task.timeout.ms).
	TaskTimeout time.Duration
	// TaskIdle is how long a task with several inputs waits for one that the log says is empty before it goes on with the
	// others. Default 0: not at all, though it waits for what the log is known to hold. Negative: it never waits
	// (max.task.idle.ms).
	TaskIdle time.Duration
	// MaxEventTimeSkew is how far tasks may run ahead of the slowest one that has data, in event time, over all instances: so a replay of
	// history gives what live processing gave, if the grace periods of windows and joins are as long. It costs throughput: per commit, about
	// 5 ms, no more event time than that passes, and a record from the far future waits until all others are processed. At least 1 ms.
	// Default 0: tasks run as fast as they can. Kafka Streams has nothing like it.
	MaxEventTimeSkew time.Duration
	// ConnectTimeout bounds how long Run tries to reach a broker at the start. Default 10 s.
	ConnectTimeout time.Duration
	// ShutdownTimeout bounds the graceful stop; what is not committed by then is processed again at the next start.
	// Default 30 s.
	ShutdownTimeout time.Duration

	// Compression of what is written to all topics, internal ones included. Default: none (compression.type).
	Compression Compression
	// BatchBytes is how large the batch of a partition grows before it is sent; at a commit it is sent as it is. 1 KiB to 16 MiB,
	// default 128 KiB (batch.size).
	BatchBytes int
	// MaxRecordBytes bounds the largest record, with some bytes of overhead, before compression. A larger one goes to the Production
	// handler. Default: what each topic allows, its max.message.bytes (max.request.size).
	MaxRecordBytes int
	// NumStandbyReplicas is how many copies of each task's state other instances keep up to date, so that a task goes on at once where
	// one is. Default 0 (num.standby.replicas).
	NumStandbyReplicas int
	// MaxWarmupReplicas is how many tasks at once, over the application, are made ready elsewhere before they move there. Default 2
	// (max.warmup.replicas).
	MaxWarmupReplicas int
	// AcceptableRecoveryLag is up to how many missing changelog records an instance counts as ready to run a task. Default 10,000
	// (acceptable.recovery.lag).
	AcceptableRecoveryLag int64
	// ProbingRebalanceInterval is how often, at the latest, the group looks whether tasks can move to where they are made ready. An
	// instance on which they are says so at once. At least 1 s, default 10 min (probing.rebalance.interval.ms).
	ProbingRebalanceInterval time.Duration
	// ClientTags say where the instance is: zone, rack, machine. At most 5 (client.tag.*).
	ClientTags map[string]string
	// RackAwareTags are the keys of ClientTags whose values the copies of one state should not share, most important first
	// (rack.aware.assignment.tags).
	RackAwareTags []string
	// ClientRack is where the instance is, among the racks of the brokers (broker.rack): what has a replica there is read there, where the
	// log says so (client.rack, KIP-392). A replica may be a moment behind its leader. At most 249 bytes. Empty: leaders are read.
	ClientRack string
	// RackAwareStrategy says whether tasks go where their data has replicas (rack.aware.assignment.strategy). That takes a ClientRack of all instances,
	// and racks of the brokers; the leading instance's setting counts. Default AnyRack: wherever.
	RackAwareStrategy RackStrategy
	// RackAwareTrafficCost is what one partition costs that is read from another rack, RackAwareNonOverlapCost what it costs to move a task with state away from
	// where it is: a task moves for less traffic if that is worth more. Up to 1,000,000; negative: nothing. Default 10 and 1, with
	// StickyAssignor 1 and 10 (rack.aware.assignment.traffic_cost, rack.aware.assignment.non_overlap_cost).
	RackAwareTrafficCost, RackAwareNonOverlapCost int
	// Assignor decides which instance runs which task; the leading instance's counts. Nil: what ApplicationState.HighAvailability returns
	// (task.assignor.class).
	Assignor Assignor
	// Endpoint is where this instance answers queries, host:port. The other instances are told; the library does not listen there. Empty:
	// nowhere (application.server).
	Endpoint string

	// StateCleanupDelay is after what the stores of tasks that neither run here nor are kept as standbys are removed from StateDir. Negative:
	// never. Default 10 min (state.cleanup.delay.ms).
	StateCleanupDelay time.Duration

	// ReplicationFactor of internal topics; 0: the log's default (replication.factor).
	ReplicationFactor int16

	// DirtyBytes bounds uncommitted state over the instance; at the bound a worker commits early. Default 64 MiB.
	DirtyBytes int64
	// InputBytes bounds records fetched and not yet processed, over the instance. Default 64 MiB
	// (input.buffer.max.bytes).
	InputBytes int64
	// OutputBytes bounds records produced and not yet acknowledged, over the instance. Default 32 MiB (buffer.memory).
	OutputBytes int64
	// CacheBytes bounds committed state kept in memory, over the instance. Default 256 MiB
	// (statestore.cache.max.bytes).
	CacheBytes int64

	// Deserialization decides about a record that cannot be decoded or has no event time; nil fails
	// (deserialization.exception.handler).
	Deserialization Handler
	// Processing decides about an error or a panic of a node; nil fails (processing.exception.handler).
	Processing Handler
	// GlobalProcessing decides about an error or a panic of the processor that fills a global store, and is usually the same as Processing. It
	// cannot send dead letters: nothing is written there. Nil fails (processing.exception.handler.global.enabled, KIP-1270).
	GlobalProcessing Handler
	// Production decides about a record that cannot be encoded, or that the log does not take, at once, later, or in two thirds of
	// TransactionTimeout; nil tries again what may pass and fails else (production.exception.handler).
	Production Handler
	// DeadLetterTopic is where the built-in handlers, and those that call Failure.DeadLetter, send the input record with the error
	// in its headers. It must exist. Empty: nowhere (errors.dead.letter.queue.topic.name, KIP-1034).
	//
	// With it, or with a Processing or Production handler, each node catches its own panics, which costs about as much as the node
	// does; without, a task has one guard around all of them.
	DeadLetterTopic string

	// Uncaught decides what follows from a failure that no handler has let pass and that trying again cannot help; nil: StopInstance
	// (StreamsUncaughtExceptionHandler). It is called by worker goroutines, several at a time.
	Uncaught func(err error) Action

	// Listener is told of every change of state, in order; nil: nobody (KafkaStreams.StateListener). It must not wait for the
	// App.
	Listener func(StateChange)
	// RestoreListener is told how stores are brought to where their changelogs end: of tasks, and of standbys. Nil: nobody
	// (StateRestoreListener, StandbyUpdateListener). It is called by several goroutines, several at a time, and must not wait.
	RestoreListener func(RestoreEvent)
	// Logger; nil: slog.Default().
	Logger *slog.Logger
	// Now is the wall clock: it drives punctuations and commits. nil: time.Now.
	Now func() time.Time

	alignPatience time.Duration       // for how long a task holds others though nothing comes of it; tests are impatient
	watchEvery    time.Duration       // how often source topics are looked up; tests look sooner
	purgeEvery    time.Duration       // repartition.purge.interval.ms; tests purge sooner than anybody would
	tuneState     func(*state.Config) // tests write state behind sooner than anybody would
}

// maxApplicationID leaves room for the names that are made of it: topics have at most 249 characters.
const maxApplicationID = 200

var applicationID = regexp.MustCompile(`^[a-zA-Z0-9._-]+$`)

// withDefaults fills in what is zero.
func (c Config) withDefaults() Config {
	set := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	bytes := func(n *int64, value int64) {
		if *n == 0 {
			*n = value
		}
	}
	if c.Workers == 0 {
		c.Workers = min(goruntime.GOMAXPROCS(0), 8)
	}
	set(&c.CommitInterval, 100*time.Millisecond)
	set(&c.TransactionTimeout, 10*time.Second)
	set(&c.SessionTimeout, 10*time.Second)
	set(&c.RebalanceTimeout, time.Minute)
	set(&c.TaskTimeout, 5*time.Minute)
	set(&c.ConnectTimeout, 10*time.Second)
	set(&c.ShutdownTimeout, 30*time.Second)
	set(&c.ProbingRebalanceInterval, 10*time.Minute)
	set(&c.StateCleanupDelay, 10*time.Minute)
	set(&c.purgeEvery, 30*time.Second)
	set(&c.watchEvery, 30*time.Second)
	if c.MaxWarmupReplicas == 0 {
		c.MaxWarmupReplicas = 2
	}
	if c.AcceptableRecoveryLag == 0 {
		c.AcceptableRecoveryLag = 10_000
	}
	bytes(&c.DirtyBytes, 64<<20)
	bytes(&c.InputBytes, 64<<20)
	bytes(&c.OutputBytes, 32<<20)
	bytes(&c.CacheBytes, 256<<20)
	if c.BatchBytes == 0 {
		c.BatchBytes = 128 << 10
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Validate reports every fault at once. New calls it.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf("config: "+format, args...)) }
	switch {
	case c.ApplicationID == "":
		fault("ApplicationID is empty; it names the consumer group and the internal topics")
	case !applicationID.MatchString(c.ApplicationID), c.ApplicationID == ".", c.ApplicationID == "..":
		fault("ApplicationID %q: only letters, digits, '.', '_' and '-' are possible, for topics are named after it", c.ApplicationID)
	case len(c.ApplicationID) > maxApplicationID:
		fault("ApplicationID has %d characters, at most %d are possible, for topics are named after it", len(c.ApplicationID), maxApplicationID)
	}
	if len(c.Brokers) == 0 {
		fault("Brokers is empty; give at least one host:port")
	}
	for _, b := range c.Brokers {
		if _, _, err := net.SplitHostPort(b); err != nil {
			fault("broker %q is not of the form host:port", b)
		}
	}
	if c.Workers < 1 || c.Workers > maxWorkers {
		fault("Workers is %d, want 1 to %d", c.Workers, maxWorkers)
	}
	if c.Guarantee > AtLeastOnce {
		fault("Guarantee is %d, want ExactlyOnce or AtLeastOnce", c.Guarantee)
	}
	for _, d := range []struct {
		name       string
		value, min time.Duration
	}{
		{"CommitInterval", c.CommitInterval, time.Millisecond},
		{"TransactionTimeout", c.TransactionTimeout, time.Second},
		{"SessionTimeout", c.SessionTimeout, time.Second},
		{"RebalanceTimeout", c.RebalanceTimeout, time.Second},
		{"TaskTimeout", c.TaskTimeout, time.Second},
		{"ConnectTimeout", c.ConnectTimeout, time.Millisecond},
		{"ShutdownTimeout", c.ShutdownTimeout, time.Millisecond},
		{"ProbingRebalanceInterval", c.ProbingRebalanceInterval, time.Second},
	} {
		if d.value < d.min {
			fault("%s is %v, want at least %v", d.name, d.value, d.min)
		}
	}
	if c.CommitInterval > c.TransactionTimeout/2 {
		fault("CommitInterval %v is more than half of TransactionTimeout %v: transactions would time out", c.CommitInterval, c.TransactionTimeout)
	}
	if !c.Compression.codec().Valid() {
		fault("Compression is %d, want one of the constants", c.Compression)
	}
	c.validateCopies(fault)
	if c.MaxEventTimeSkew < 0 || c.MaxEventTimeSkew > 0 && c.MaxEventTimeSkew < time.Millisecond {
		fault("MaxEventTimeSkew is %v, want at least 1ms, or 0 for none", c.MaxEventTimeSkew)
	}
	if c.ReplicationFactor < -1 {
		fault("ReplicationFactor is %d, want at least 1, or 0 for the log's default", c.ReplicationFactor)
	}
	c.validateSizes(fault)
	return errors.Join(errs...)
}

// validateSizes checks what is given in bytes.
func (c *Config) validateSizes(fault func(format string, args ...any)) {
	if c.BatchBytes < minBatchBytes || c.BatchBytes > maxBatchBytes {
		fault("BatchBytes is %d, want %d to %d", c.BatchBytes, minBatchBytes, maxBatchBytes)
	}
	if c.MaxRecordBytes != 0 && c.MaxRecordBytes < minBatchBytes {
		fault("MaxRecordBytes is %d, want at least %d, or 0 for what the topics allow", c.MaxRecordBytes, minBatchBytes)
	}
	for _, b := range []struct {
		name  string
		value int64
	}{
		{"DirtyBytes", c.DirtyBytes}, {"InputBytes", c.InputBytes}, {"OutputBytes", c.OutputBytes}, {"CacheBytes", c.CacheBytes},
	} {
		if b.value < minBytes {
			fault("%s is %d, want at least %d", b.name, b.value, minBytes)
		}
	}
}

const (
	maxWorkers    = 1024
	minBytes      = 1 << 20
	minBatchBytes = 1 << 10
	maxBatchBytes = 16 << 20
)

// Bounds of what the group is told about an instance.
const (
	maxTags      = 5
	maxTagKey    = 20
	maxTagValue  = 30
	maxStandbies = 100
	maxRack      = 249
	maxRackCost  = 1_000_000
)

// deliveryTimeout is how long what is written is tried before the production handler is asked: while there is time left to commit without
// it (delivery.timeout.ms).
func (c *Config) deliveryTimeout() time.Duration {
	return min(30*time.Second, c.TransactionTimeout*2/3)
}

// validateCopies checks what concerns standbys and where the instance is.
func (c *Config) validateCopies(fault func(format string, args ...any)) {
	if c.NumStandbyReplicas < 0 || c.NumStandbyReplicas > maxStandbies {
		fault("NumStandbyReplicas is %d, want 0 to %d", c.NumStandbyReplicas, maxStandbies)
	}
	if c.MaxWarmupReplicas < 1 {
		fault("MaxWarmupReplicas is %d, want at least 1", c.MaxWarmupReplicas)
	}
	if c.AcceptableRecoveryLag < 1 {
		fault("AcceptableRecoveryLag is %d, want at least 1", c.AcceptableRecoveryLag)
	}
	if len(c.ClientTags) > maxTags {
		fault("ClientTags has %d tags, at most %d are possible", len(c.ClientTags), maxTags)
	}
	for _, k := range slices.Sorted(maps.Keys(c.ClientTags)) {
		if v := c.ClientTags[k]; k == "" || len(k) > maxTagKey || v == "" || len(v) > maxTagValue {
			fault("ClientTags has %q=%q; a key has 1 to %d bytes, a value 1 to %d", k, v, maxTagKey, maxTagValue)
		}
	}
	for _, k := range c.RackAwareTags {
		if _, ok := c.ClientTags[k]; !ok {
			fault("RackAwareTags names %q, which is not a key of ClientTags", k)
		}
	}
	if len(c.ClientRack) > maxRack {
		fault("ClientRack has %d bytes, at most %d are possible", len(c.ClientRack), maxRack)
	}
	if c.RackAwareStrategy > BalanceSubtopology {
		fault("RackAwareStrategy is %d, want one of the constants", c.RackAwareStrategy)
	}
	if c.RackAwareStrategy != AnyRack && c.ClientRack == "" {
		fault("RackAwareStrategy takes a ClientRack")
	}
	if m := max(c.RackAwareTrafficCost, c.RackAwareNonOverlapCost); m > maxRackCost {
		fault("RackAwareTrafficCost or RackAwareNonOverlapCost is %d, at most %d is possible", m, maxRackCost)
	}
	if c.Endpoint != "" {
		host, port, err := net.SplitHostPort(c.Endpoint)
		if n, errPort := strconv.ParseUint(port, 10, 16); err != nil || errPort != nil || host == "" || n == 0 {
			fault("Endpoint %q is not of the form host:port", c.Endpoint)
		}
	}
}
