package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.opentelemetry.io/otel/metric"
)

// Durability says when a produced record is acknowledged.
type Durability uint8

const (
	// Sync acknowledges after the journal has been synced to the disk: what is acknowledged survives a power cut.
	// One sync serves all requests that arrived during the one before it.
	Sync Durability = iota
	// Async acknowledges once the operating system has the bytes, as Kafka does by default: what is acknowledged
	// survives a crash of the process, but not of the machine.
	Async
)

// String returns "sync" or "async".
func (d Durability) String() string {
	if d == Async {
		return "async"
	}
	return "sync"
}

// GroupMigration says which consumer groups may change their protocol while they have members (group.consumer.migration.policy), which lets
// an application go over to the protocol of KIP-848, and back, member by member. A group without members becomes what the next one that joins
// asks for in any case. Groups of another protocol type than "consumer", and those whose assignor has user data of its own, stay what they are.
type GroupMigration uint8

const (
	// MigrateBothWays: a classic group becomes one of KIP-848 when a member of that protocol joins, and a classic one again when only such
	// members are left in it.
	MigrateBothWays GroupMigration = iota
	// MigrateUp is the first of these alone.
	MigrateUp
	// MigrateDown is the second alone.
	MigrateDown
	// MigrateNever is neither: a group has members of one protocol.
	MigrateNever
)

// groupMigrations are the policies by Kafka's names.
var groupMigrations = [...]string{"bidirectional", "upgrade", "downgrade", "disabled"}

// String returns Kafka's name of the policy: "bidirectional", "upgrade", "downgrade" or "disabled".
func (m GroupMigration) String() string {
	if int(m) < len(groupMigrations) {
		return groupMigrations[m]
	}
	return fmt.Sprintf("GroupMigration(%d)", m)
}

// Config says how a broker runs. The zero value of each field but Dir is its documented default.
type Config struct {
	// Dir is the data directory. It is created if it is missing, and locked while the broker is open. Required.
	Dir string

	// Listen is the TCP address to serve, as in net.Listen: "127.0.0.1:9092", or port 0 for a free one.
	// Default "": no TCP, reachable through Dial only. Another than a loopback address needs authentication; see Security.
	Listen string
	// Advertise is the host:port that TCP clients are told to connect to (advertised.listeners).
	// Default: the address that is listened on, with 127.0.0.1 in place of an unspecified host.
	Advertise string

	// Rack is the rack, or the zone, that clients are told the broker stands in (broker.rack). There is one broker: it says so, and does
	// nothing else by it. Default: none.
	Rack string

	// Durability is Sync by default.
	Durability Durability

	// AutoCreateTopics creates a topic when a client asks for its metadata and allows it
	// (auto.create.topics.enable). Default: false, which is not Kafka's default: a misspelt topic is an error.
	AutoCreateTopics bool
	// DefaultPartitions is the partition count of topics created without one (num.partitions), 1 to 10,000. Default: 1.
	DefaultPartitions int32

	// RetentionInterval is how often it is looked for records that are older, or more, than topics keep
	// (log.retention.check.interval.ms), at least 1 ms. Default: 5 min.
	RetentionInterval time.Duration

	// OffsetsRetention is how long a group without members keeps its committed offsets (offsets.retention.minutes), at least 1 ms; -1: for
	// ever. Default: 7 days.
	OffsetsRetention time.Duration
	// OffsetsRetentionInterval is how often it is looked for such groups (offsets.retention.check.interval.ms), at least 1 ms.
	// Default: 10 min.
	OffsetsRetentionInterval time.Duration

	// GroupHeartbeatInterval is how often members of KIP-848 groups are told to be heard of (group.consumer.heartbeat.interval.ms), at least
	// 1 ms: a rebalance takes a few of them. Those of classic groups decide for themselves. Default: 5 s.
	GroupHeartbeatInterval time.Duration
	// GroupSessionTimeout is how long such a member may be silent before it is taken out (group.consumer.session.timeout.ms), longer than
	// GroupHeartbeatInterval. Default: 45 s.
	GroupSessionTimeout time.Duration
	// GroupMigration is MigrateBothWays by default.
	GroupMigration GroupMigration

	// CompactionInterval is how often it is looked for compacted topics with enough to compact (log.cleaner.backoff.ms), at
	// least 1 ms. Default: 15 s.
	CompactionInterval time.Duration
	// CompactionBytes bounds the table of keys of a compaction (log.cleaner.dedupe.buffer.size), at least 1 KiB: 32 bytes a key.
	// More keys take more rounds. Default: 32 MiB.
	CompactionBytes int

	// ReserveBytes is how much disk space is kept free: with less, produced records are refused with KAFKA_STORAGE_ERROR until there is
	// more; reading, commits and deletions go on. On a small disk it is at most a twentieth of its size; -1: none.
	// Default: 256 MiB.
	ReserveBytes int64

	// MaxConnections bounds the connections open at once, in process and over TCP together (max.connections);
	// one more is closed at once. Default: 1000.
	MaxConnections int
	// MaxRequestBytes bounds one request (socket.request.max.bytes), at least 64 KiB. Only Produce may be so large, 16 MiB is for all else, and
	// 64 KiB for a client that has still to authenticate. Default: 100 MiB, or MaxInFlightBytes if that is less.
	MaxRequestBytes int
	// MaxInFlightBytes bounds the bytes of all requests that are read and not yet answered (queued.max.request.bytes);
	// at the bound reading pauses. At least MaxRequestBytes. Default: 128 MiB, or MaxRequestBytes if that is more.
	MaxInFlightBytes int64

	// Security says who may connect and do what. Default: everybody who reaches a loopback address may do everything.
	Security Security

	// Metrics, if not nil, is given the broker's instruments, which read counters when they are collected (see doc.go). Default: none, and
	// nothing is counted.
	Metrics metric.MeterProvider

	// FS is the file system that holds Dir. Default: the operating system's.
	FS vfs.FS
	// Logger receives lifecycle and faults. Default: slog.Default().
	Logger *slog.Logger
	// Now is the wall clock: record times of topics with LogAppendTime, expiry, and session and transaction time-outs.
	// Default: time.Now.
	Now func() time.Time
}

// minRequestBytes is the least that Config.MaxRequestBytes may be.
const minRequestBytes = 64 << 10

// Validate reports every fault of c at once.
func (c Config) Validate() error {
	var errs []error
	if c.Dir == "" {
		errs = append(errs, errors.New("broker: Dir is empty: name the data directory"))
	}
	for _, a := range []struct{ name, addr string }{{"Listen", c.Listen}, {"Advertise", c.Advertise}} {
		if a.addr == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(a.addr); err != nil {
			errs = append(errs, fmt.Errorf("broker: %s %q is not host:port: %w", a.name, a.addr, err))
		}
	}
	if c.Durability > Async {
		errs = append(errs, fmt.Errorf("broker: Durability %d is neither Sync nor Async", c.Durability))
	}
	if c.DefaultPartitions < 0 || c.DefaultPartitions > 10_000 {
		errs = append(errs, fmt.Errorf("broker: DefaultPartitions %d is not in 1..10000", c.DefaultPartitions))
	}
	if c.RetentionInterval != 0 && c.RetentionInterval < time.Millisecond {
		errs = append(errs, fmt.Errorf("broker: RetentionInterval %v is below 1 ms", c.RetentionInterval))
	}
	if c.OffsetsRetention != 0 && c.OffsetsRetention != -1 && c.OffsetsRetention < time.Millisecond {
		errs = append(errs, fmt.Errorf("broker: OffsetsRetention %v is below 1 ms", c.OffsetsRetention))
	}
	if c.OffsetsRetentionInterval != 0 && c.OffsetsRetentionInterval < time.Millisecond {
		errs = append(errs, fmt.Errorf("broker: OffsetsRetentionInterval %v is below 1 ms", c.OffsetsRetentionInterval))
	}
	if c.GroupHeartbeatInterval != 0 && c.GroupHeartbeatInterval < time.Millisecond {
		errs = append(errs, fmt.Errorf("broker: GroupHeartbeatInterval %v is below 1 ms", c.GroupHeartbeatInterval))
	}
	if d := c.withDefaults(); d.GroupSessionTimeout <= d.GroupHeartbeatInterval {
		errs = append(errs, fmt.Errorf("broker: GroupSessionTimeout %v is not above GroupHeartbeatInterval %v", d.GroupSessionTimeout, d.GroupHeartbeatInterval))
	}
	if c.GroupMigration > MigrateNever {
		errs = append(errs, fmt.Errorf("broker: GroupMigration %d is no policy", c.GroupMigration))
	}
	if c.CompactionInterval != 0 && c.CompactionInterval < time.Millisecond {
		errs = append(errs, fmt.Errorf("broker: CompactionInterval %v is below 1 ms", c.CompactionInterval))
	}
	if c.CompactionBytes != 0 && c.CompactionBytes < 1<<10 {
		errs = append(errs, fmt.Errorf("broker: CompactionBytes %d is below 1024", c.CompactionBytes))
	}
	if c.ReserveBytes < -1 {
		errs = append(errs, fmt.Errorf("broker: ReserveBytes %d is below -1", c.ReserveBytes))
	}
	if c.MaxConnections < 0 {
		errs = append(errs, fmt.Errorf("broker: MaxConnections %d is negative", c.MaxConnections))
	}
	if c.MaxRequestBytes != 0 && (c.MaxRequestBytes < minRequestBytes || c.MaxRequestBytes > math.MaxInt32) {
		errs = append(errs, fmt.Errorf("broker: MaxRequestBytes %d is not in 65536..%d", c.MaxRequestBytes, math.MaxInt32))
	}
	if c.MaxInFlightBytes != 0 && c.MaxInFlightBytes < int64(c.withDefaults().MaxRequestBytes) {
		errs = append(errs, fmt.Errorf("broker: MaxInFlightBytes %d is below MaxRequestBytes", c.MaxInFlightBytes))
	}
	return errors.Join(append(errs, c.Security.validate(c.Listen)...)...)
}

// withDefaults returns c with every zero field set to its default.
func (c Config) withDefaults() Config {
	if c.DefaultPartitions == 0 {
		c.DefaultPartitions = 1
	}
	if c.RetentionInterval == 0 {
		c.RetentionInterval = 5 * time.Minute
	}
	if c.OffsetsRetention == 0 {
		c.OffsetsRetention = 7 * 24 * time.Hour
	}
	if c.OffsetsRetentionInterval == 0 {
		c.OffsetsRetentionInterval = 10 * time.Minute
	}
	if c.GroupHeartbeatInterval == 0 {
		c.GroupHeartbeatInterval = 5 * time.Second
	}
	if c.GroupSessionTimeout == 0 {
		c.GroupSessionTimeout = 45 * time.Second
	}
	if c.CompactionInterval == 0 {
		c.CompactionInterval = 15 * time.Second
	}
	if c.CompactionBytes == 0 {
		c.CompactionBytes = 32 << 20
	}
	if c.MaxConnections == 0 {
		c.MaxConnections = 1000
	}
	if c.MaxRequestBytes == 0 {
		c.MaxRequestBytes = 100 << 20
		if c.MaxInFlightBytes > 0 {
			c.MaxRequestBytes = int(min(100<<20, max(c.MaxInFlightBytes, minRequestBytes)))
		}
	}
	if c.MaxInFlightBytes == 0 {
		c.MaxInFlightBytes = max(128<<20, int64(c.MaxRequestBytes))
	}
	if c.FS == nil {
		c.FS = vfs.Default
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}
