package commitlog

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// topicConfig holds the configs that the log acts on. Times are in milliseconds.
type topicConfig struct {
	maxBatchBytes int

	compacted bool // cleanup.policy has compact
	expires   bool // cleanup.policy has delete
	deletable bool // records may be deleted by request: unless the topic is compacted only

	logAppendTime bool
	beforeMax     int64 // that a record's time may lie before or after the broker's
	afterMax      int64

	segmentBytes   int64 // 0: Config.SegmentBytes
	segmentAge     int64 // of a batch, counted from the segment's first one, that goes to the next segment
	retentionBytes int64 // -1: no limit
	retention      int64 // -1: no limit

	deleteRetention  int64
	minCompactionLag int64
	maxCompactionLag int64
	minDirtyRatio    float64
}

// limitsTime reports whether records' times are checked.
func (c *topicConfig) limitsTime() bool {
	return !c.logAppendTime && (c.beforeMax < math.MaxInt64 || c.afterMax < math.MaxInt64)
}

// Kafka's defaults.
const (
	defaultMaxBatchBytes   = 1<<20 + 12
	defaultSegmentAge      = 7 * 24 * 3_600_000
	defaultRetention       = 7 * 24 * 3_600_000
	defaultDeleteRetention = 24 * 3_600_000
	defaultMinDirtyRatio   = 0.5
)

// minSegmentBytes is the least that segment.bytes may be, as in Kafka since 4.1 (KIP-1030).
const minSegmentBytes = 1 << 20

func defaultTopicConfig() topicConfig {
	return topicConfig{
		maxBatchBytes: defaultMaxBatchBytes, expires: true, deletable: true, beforeMax: math.MaxInt64, afterMax: math.MaxInt64,
		segmentAge: defaultSegmentAge, retentionBytes: -1, retention: defaultRetention,
		deleteRetention: defaultDeleteRetention, maxCompactionLag: math.MaxInt64, minDirtyRatio: defaultMinDirtyRatio,
	}
}

// rollAge is how much younger than a segment's first batch a batch may be to join it. A compacted topic's segments close
// early enough for max.compaction.lag.ms, since only closed ones are compacted.
func (c *topicConfig) rollAge() int64 {
	if c.compacted {
		return min(c.segmentAge, c.maxCompactionLag)
	}
	return c.segmentAge
}

// maxSegmentBytes is the size of a full segment.
func (c *topicConfig) maxSegmentBytes(cfg *Config) int64 {
	if c.segmentBytes > 0 {
		return c.segmentBytes
	}
	return cfg.SegmentBytes
}

// CheckConfigs returns an error that wraps ErrInvalidConfig, naming every fault, if the log could not honour configs.
//
// Honoured, from the next batch, check or cleaning after a change on: cleanup.policy, retention.ms and .bytes, segment.bytes
// and .ms, max.message.bytes, message.timestamp.type, .before.max.ms and .after.max.ms (without limit unless set, unlike Kafka,
// which takes nothing from more than an hour ahead), delete.retention.ms, min.compaction.lag.ms, max.compaction.lag.ms,
// min.cleanable.dirty.ratio, compression.type=producer. Checked, kept and described, but without a meaning here: flush.ms and
// .messages, index.interval.bytes, segment.index.bytes, segment.jitter.ms, file.delete.delay.ms, preallocate and
// unclean.leader.election.enable. Anything else is refused.
func CheckConfigs(configs map[string]string) error {
	_, err := parseTopicConfig(configs)
	return err
}

// parseTopicConfig returns what configs say. With an error, configs at fault count as not set.
func parseTopicConfig(configs map[string]string) (topicConfig, error) {
	c := defaultTopicConfig()
	var errs []error
	for _, name := range sortedKeys(configs) {
		with := c
		if err := with.set(name, configs[name]); err != nil {
			errs = append(errs, fmt.Errorf("%w: %s=%q: %w", ErrInvalidConfig, name, configs[name], err))
			continue
		}
		c = with
	}
	if c.compacted && c.minCompactionLag > c.maxCompactionLag {
		errs = append(errs, fmt.Errorf("%w: min.compaction.lag.ms %d is above max.compaction.lag.ms %d", ErrInvalidConfig,
			c.minCompactionLag, c.maxCompactionLag))
	}
	return c, errors.Join(errs...)
}

func (c *topicConfig) set(name, value string) (err error) {
	switch name {
	case "max.message.bytes":
		var n int64
		n, err = parseRange(value, 0, 1<<30)
		c.maxBatchBytes = int(n)
	case "cleanup.policy":
		c.compacted, c.expires, err = parseCleanupPolicy(value)
		c.deletable = c.expires || !c.compacted
	case "message.timestamp.type":
		c.logAppendTime = value == "LogAppendTime"
		err = oneOf(value, "CreateTime", "LogAppendTime")
	case "message.timestamp.before.max.ms":
		c.beforeMax, err = parseRange(value, 0, math.MaxInt64)
	case "message.timestamp.after.max.ms":
		c.afterMax, err = parseRange(value, 0, math.MaxInt64)
	case "compression.type":
		err = oneOf(value, "producer")
	case "min.insync.replicas":
		_, err = parseRange(value, 1, 1)
	case "retention.ms":
		c.retention, err = parseRange(value, -1, math.MaxInt64)
	case "retention.bytes":
		c.retentionBytes, err = parseRange(value, -1, math.MaxInt64)
	case "segment.bytes":
		c.segmentBytes, err = parseRange(value, minSegmentBytes, math.MaxInt32)
	case "segment.ms":
		c.segmentAge, err = parseRange(value, 1, math.MaxInt64)
	case "delete.retention.ms":
		c.deleteRetention, err = parseRange(value, 0, math.MaxInt64)
	case "min.compaction.lag.ms":
		c.minCompactionLag, err = parseRange(value, 0, math.MaxInt64)
	case "max.compaction.lag.ms":
		c.maxCompactionLag, err = parseRange(value, 1, math.MaxInt64)
	case "min.cleanable.dirty.ratio":
		c.minDirtyRatio, err = strconv.ParseFloat(value, 64)
		if err != nil || !(c.minDirtyRatio >= 0 && c.minDirtyRatio <= 1) {
			err = errors.New("not in 0..1")
		}
	case "segment.index.bytes", "segment.jitter.ms", "flush.messages", "flush.ms", "file.delete.delay.ms", "index.interval.bytes":
		_, err = parseRange(value, 0, math.MaxInt64)
	case "preallocate", "unclean.leader.election.enable":
		err = oneOf(value, "true", "false")
	default:
		err = errors.New("not supported")
	}
	return err
}

func parseRange(value string, low, high int64) (int64, error) {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return 0, errors.New("not a whole number")
	}
	if n < low || n > high {
		return 0, fmt.Errorf("not in %d..%d", low, high)
	}
	return n, nil
}

func oneOf(value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return fmt.Errorf("not one of %s", strings.Join(allowed, ", "))
}

// parseCleanupPolicy reads a list. An empty one keeps everything, as in Kafka from 4.2 on (KIP-1161).
func parseCleanupPolicy(value string) (compacted, expires bool, err error) {
	if value == "" {
		return false, false, nil
	}
	for policy := range strings.SplitSeq(value, ",") {
		switch strings.TrimSpace(policy) {
		case "compact":
			compacted = true
		case "delete":
			expires = true
		default:
			return false, false, errors.New("not a list of compact, delete")
		}
	}
	return compacted, expires, nil
}
