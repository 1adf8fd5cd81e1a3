package api

import (
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
)

// topicConfig is one config that a topic can have.
type topicConfig struct {
	name, fallback string
	kind           kmsg.ConfigType
	broker         string // the broker config that Kafka takes the default from
	doc            string
}

// topicConfigs is every config that a topic can have, by name, with Kafka's defaults but for segment.bytes and what one
// replica decides. A test compares it with what the log accepts.
var topicConfigs = []topicConfig{
	{"cleanup.policy", "delete", kmsg.ConfigTypeList, "log.cleanup.policy", "compact, delete, both or nothing: how old records go."},
	{"compression.type", "producer", kmsg.ConfigTypeString, "compression.type", "producer: batches are kept as they were sent."},
	{"delete.retention.ms", "86400000", kmsg.ConfigTypeLong, "log.cleaner.delete.retention.ms", "How long tombstones stay in a compacted topic."},
	{"file.delete.delay.ms", "60000", kmsg.ConfigTypeLong, "log.segment.delete.delay.ms", "Without effect: removed files go with the next checkpoint."},
	{"flush.messages", "9223372036854775807", kmsg.ConfigTypeLong, "log.flush.interval.messages", "Without effect: what is acknowledged is durable."},
	{"flush.ms", "9223372036854775807", kmsg.ConfigTypeLong, "log.flush.interval.ms", "Without effect: what is acknowledged is durable."},
	{"index.interval.bytes", "4096", kmsg.ConfigTypeInt, "log.index.interval.bytes", "Without effect: the index has a fixed spacing."},
	{"max.compaction.lag.ms", "9223372036854775807", kmsg.ConfigTypeLong, "log.cleaner.max.compaction.lag.ms", "How long a record may escape compaction."},
	{"max.message.bytes", "1048588", kmsg.ConfigTypeInt, "message.max.bytes", "The largest record batch, as compressed."},
	{"message.timestamp.after.max.ms", "9223372036854775807", kmsg.ConfigTypeLong, "log.message.timestamp.after.max.ms", "How far a record's time may lie ahead of the broker's."},
	{"message.timestamp.before.max.ms", "9223372036854775807", kmsg.ConfigTypeLong, "log.message.timestamp.before.max.ms", "How far a record's time may lie behind the broker's."},
	{"message.timestamp.type", "CreateTime", kmsg.ConfigTypeString, "log.message.timestamp.type", "CreateTime or LogAppendTime."},
	{"min.cleanable.dirty.ratio", "0.5", kmsg.ConfigTypeDouble, "log.cleaner.min.cleanable.ratio", "How much of a log is dirty before it is compacted."},
	{"min.compaction.lag.ms", "0", kmsg.ConfigTypeLong, "log.cleaner.min.compaction.lag.ms", "How long a record stays uncompacted at least."},
	{"min.insync.replicas", "1", kmsg.ConfigTypeInt, "min.insync.replicas", "There is one replica."},
	{"preallocate", "false", kmsg.ConfigTypeBoolean, "log.preallocate", "Without effect."},
	{"retention.bytes", "-1", kmsg.ConfigTypeLong, "log.retention.bytes", "The size of a partition above which old segments go; -1: none."},
	{"retention.ms", "604800000", kmsg.ConfigTypeLong, "log.retention.ms", "The age above which segments go; -1: none."},
	{"segment.bytes", "134217728", kmsg.ConfigTypeInt, "log.segment.bytes", "The size of a segment, at least 1 MiB."},
	{"segment.index.bytes", "10485760", kmsg.ConfigTypeInt, "log.index.size.max.bytes", "Without effect: indexes grow as they need."},
	{"segment.jitter.ms", "0", kmsg.ConfigTypeLong, "log.roll.jitter.ms", "Without effect: segments are closed as they are written."},
	{"segment.ms", "604800000", kmsg.ConfigTypeLong, "log.roll.ms", "How much younger than its first batch a segment's batches may be."},
	{"unclean.leader.election.enable", "false", kmsg.ConfigTypeBoolean, "unclean.leader.election.enable", "There is one replica."},
}

// described is a config with its value.
type described struct {
	name, value string
	kind        kmsg.ConfigType
	source      kmsg.ConfigSource
	readOnly    bool
	doc         string
	fallback    *described // what the value would be without its source
	inherited   bool       // it is what fallback is, and goes by its name there
}

// synonyms returns where the value comes from, the closest source first.
func (d *described) synonyms() (all []*described) {
	if !d.inherited {
		all = append(all, d)
	}
	if d.fallback != nil {
		all = append(all, d.fallback.synonyms()...)
	}
	return all
}

// unset are the broker configs that Kafka does not set by default: it goes on to others, and does not name them.
var unset = []string{"log.flush.interval.ms", "log.retention.ms", "log.roll.jitter.ms", "log.roll.ms"}

func describeTopicConfigs(t commitlog.Topic) []described {
	out := make([]described, 0, len(topicConfigs))
	for _, c := range topicConfigs {
		d := described{name: c.name, value: c.fallback, kind: c.kind, source: kmsg.ConfigSourceDefaultConfig, doc: c.doc, inherited: true}
		if !slices.Contains(unset, c.broker) {
			d.fallback = &described{name: c.broker, value: c.fallback, kind: c.kind, source: kmsg.ConfigSourceDefaultConfig}
		}
		if v, ok := t.Configs[c.name]; ok {
			d.value, d.source, d.inherited = v, kmsg.ConfigSourceDynamicTopicConfig, false
		}
		out = append(out, d)
	}
	return out
}

// describeBrokerConfigs returns the broker's configs by Kafka's names: first what was configured, then what topics
// inherit. All are read-only: a broker is configured where it is opened.
func (a *API) describeBrokerConfigs() []described {
	static := func(name, value string, kind kmsg.ConfigType, doc string) described {
		return described{name: name, value: value, kind: kind, source: kmsg.ConfigSourceStaticBrokerConfig, readOnly: true, doc: doc}
	}
	out := []described{
		static("auto.create.topics.enable", strconv.FormatBool(a.cfg.AutoCreateTopics), kmsg.ConfigTypeBoolean, "Whether metadata requests create topics."),
		static("broker.id", strconv.Itoa(nodeID), kmsg.ConfigTypeInt, "The id of the one broker."),
		static("default.replication.factor", "1", kmsg.ConfigTypeInt, "There is one replica."),
		static("group.consumer.heartbeat.interval.ms", strconv.FormatInt(a.cfg.GroupHeartbeatInterval.Milliseconds(), 10), kmsg.ConfigTypeInt, "How often members of groups of the new protocol are to be heard of."),
		static("group.consumer.migration.policy", a.cfg.GroupMigration, kmsg.ConfigTypeString, "Which groups may change their protocol while they have members."),
		static("group.consumer.session.timeout.ms", strconv.FormatInt(a.cfg.GroupSessionTimeout.Milliseconds(), 10), kmsg.ConfigTypeInt, "How long members of groups of the new protocol may be silent."),
		static("group.initial.rebalance.delay.ms", "0", kmsg.ConfigTypeInt, "An empty group does not wait for more members."),
		static("group.max.session.timeout.ms", "1800000", kmsg.ConfigTypeInt, "The longest session of a group member."),
		static("group.min.session.timeout.ms", "100", kmsg.ConfigTypeInt, "The shortest session of a group member."),
		static("node.id", strconv.Itoa(nodeID), kmsg.ConfigTypeInt, "The id of the one broker."),
		static("num.partitions", strconv.Itoa(int(a.cfg.DefaultPartitions)), kmsg.ConfigTypeInt, "Partitions of a topic that asks for none."),
		static("offset.metadata.max.bytes", "4096", kmsg.ConfigTypeInt, "The longest metadata of a committed offset."),
		static("offsets.retention.minutes", strconv.Itoa(int(a.cfg.OffsetsRetention.Minutes())), kmsg.ConfigTypeInt, "How long a group without members keeps its offsets; 0: for ever, or less than a minute."),
		static("socket.request.max.bytes", strconv.Itoa(a.cfg.MaxRequestBytes), kmsg.ConfigTypeInt, "The largest request."),
		static("transaction.max.timeout.ms", "900000", kmsg.ConfigTypeInt, "The longest transaction."),
		static("transactional.id.expiration.ms", "604800000", kmsg.ConfigTypeInt, "How long a transactional id is known that nobody uses."),
	}
	if a.cfg.Rack != "" {
		out = append(out, static("broker.rack", a.cfg.Rack, kmsg.ConfigTypeString, "The rack of the one broker."))
	}
	for _, c := range topicConfigs {
		out = append(out, described{
			name: c.broker, value: c.fallback, kind: c.kind, source: kmsg.ConfigSourceDefaultConfig, readOnly: true, doc: c.doc,
		})
	}
	return out
}
