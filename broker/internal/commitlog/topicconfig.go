package commitlog

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// topicConfig holds the configs that the log acts on.
type topicConfig struct {
	maxBatchBytes int
	compacted     bool
	deleted       bool // or neither: records may be deleted
	logAppendTime bool
	beforeMax     int64 // milliseconds that a record's time may lie before or after the broker's
	afterMax      int64
}

// limitsTime reports whether records' times are checked.
func (c *topicConfig) limitsTime() bool {
	return !c.logAppendTime && (c.beforeMax < math.MaxInt64 || c.afterMax < math.MaxInt64)
}

// defaultMaxBatchBytes is Kafka's default of max.message.bytes.
const defaultMaxBatchBytes = 1<<20 + 12

// CheckConfigs returns an error that wraps ErrInvalidConfig, naming every fault, if the log could not honour configs.
//
// Honoured now: max.message.bytes, message.timestamp.type, message.timestamp.before.max.ms and .after.max.ms (without limit
// unless set, unlike Kafka, which takes nothing from more than an hour ahead), cleanup.policy (a compacted topic refuses records
// without a key), compression.type=producer. Checked, kept and described, but without effect in this version, are those that say
// when records may go or files are rolled or flushed: retention.ms, retention.bytes, segment.bytes and their like. Anything
// else is refused.
func CheckConfigs(configs map[string]string) error {
	_, err := parseTopicConfig(configs)
	return err
}

func parseTopicConfig(configs map[string]string) (topicConfig, error) {
	c := topicConfig{deleted: true, maxBatchBytes: defaultMaxBatchBytes, beforeMax: math.MaxInt64, afterMax: math.MaxInt64}
	var errs []error
	for _, name := range sortedKeys(configs) {
		if err := c.set(name, configs[name]); err != nil {
			errs = append(errs, fmt.Errorf("%w: %s=%q: %w", ErrInvalidConfig, name, configs[name], err))
		}
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
		c.compacted, c.deleted, err = parseCleanupPolicy(value)
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
	case "retention.ms", "retention.bytes":
		_, err = parseRange(value, -1, math.MaxInt64)
	case "segment.bytes", "segment.index.bytes", "segment.ms", "segment.jitter.ms", "delete.retention.ms",
		"min.compaction.lag.ms", "max.compaction.lag.ms", "flush.messages", "flush.ms", "file.delete.delay.ms", "index.interval.bytes":
		_, err = parseRange(value, 0, math.MaxInt64)
	case "min.cleanable.dirty.ratio":
		var f float64
		if f, err = strconv.ParseFloat(value, 64); err == nil && !(f >= 0 && f <= 1) {
			err = errors.New("not in 0..1")
		}
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
func parseCleanupPolicy(value string) (compacted, deleted bool, err error) {
	if value == "" {
		return false, true, nil
	}
	for policy := range strings.SplitSeq(value, ",") {
		switch strings.TrimSpace(policy) {
		case "compact":
			compacted = true
		case "delete":
			deleted = true
		default:
			return false, false, errors.New("not a list of compact, delete")
		}
	}
	return compacted, deleted, nil
}

// checkTopicName returns an error that wraps ErrInvalidTopicName unless Kafka takes the name.
func checkTopicName(name string) error {
	reason := ""
	switch {
	case name == "":
		reason = "it is empty"
	case name == "." || name == "..":
		reason = "it is " + name
	case len(name) > 249:
		reason = "it is longer than 249 characters"
	case strings.ContainsFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-')
	}):
		reason = "it has a character other than letters, digits, '.', '_' and '-'"
	default:
		return nil
	}
	return fmt.Errorf("%w %q: %s", ErrInvalidTopicName, name, reason)
}

// collisionKey is equal for names that Kafka holds to be too alike: they differ in '.' and '_' only, which metrics mix up.
func collisionKey(name string) string { return strings.ReplaceAll(name, ".", "_") }
