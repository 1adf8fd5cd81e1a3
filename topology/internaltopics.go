package topology

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-io/millrace/state"
)

// InternalTopic is a topic that the runtime creates for an application.
type InternalTopic struct {
	Name       string // full name
	Store      string // changelog: the store's name; empty for a repartition topic
	Partitions int32
	Settings   map[string]string
}

// InternalTopics returns the repartition and changelog topics of t, sorted by name, with partition counts from p and the
// settings that Kafka Streams gives them, and one more: see anyTime. A changelog has one partition per task. Those that have
// none, because a pattern has matched no topic yet, are left out.
func (t *Topology) InternalTopics(applicationID string, p Partitions) []InternalTopic {
	var topics []InternalTopic
	for _, r := range t.Repartition {
		topics = append(topics, InternalTopic{
			Name:       t.Internal(applicationID, r.Topic()),
			Partitions: p.Topics[r.Topic()],
			Settings:   repartitionSettings(),
		})
	}
	for _, sub := range t.Subtopologies() {
		for _, spec := range t.Stores {
			if spec.Logging && spec.SourceTopic == "" && slices.Contains(sub.Stores, spec.Name) {
				topics = append(topics, InternalTopic{
					Name:       ChangelogTopic(applicationID, spec.Name),
					Store:      spec.Name,
					Partitions: p.Tasks[sub.Number],
					Settings:   changelogSettings(spec),
				})
			}
		}
	}
	topics = slices.DeleteFunc(topics, func(t InternalTopic) bool { return t.Partitions == 0 })
	slices.SortFunc(topics, func(a, b InternalTopic) int { return strings.Compare(a.Name, b.Name) })
	return topics
}

// anyTime lets a topic take records however far ahead of the log's clock their event times are. Kafka refuses more than an hour by
// default, and would stop an application whose extractor finds such a time in its input. (KIP-937, Kafka 3.6)
const anyTime = "message.timestamp.after.max.ms"

// repartitionSettings: records are deleted once they are consumed, not by age.
func repartitionSettings() map[string]string {
	return map[string]string{
		"cleanup.policy":         "delete",
		"message.timestamp.type": "CreateTime",
		anyTime:                  strconv.FormatInt(math.MaxInt64, 10),
		"retention.ms":           "-1",
		"segment.bytes":          strconv.Itoa(50 << 20),
	}
}

// changelogSlack is kept beyond a window store's retention, since the log's clock is not event time.
const changelogSlack = 24 * time.Hour

func changelogSettings(spec *state.Spec) map[string]string {
	s := map[string]string{
		"cleanup.policy":         "compact",
		"message.timestamp.type": "CreateTime",
		anyTime:                  strconv.FormatInt(math.MaxInt64, 10),
	}
	switch spec.Kind {
	case state.KindWindow, state.KindSession, state.KindJoinWindow:
		retention := int64(math.MaxInt64)
		if spec.Retention < math.MaxInt64 {
			retention = spec.Retention.Milliseconds() + changelogSlack.Milliseconds()
		}
		s["cleanup.policy"] = "compact,delete"
		if spec.Kind == state.KindJoinWindow {
			s["cleanup.policy"] = "delete" // no two of its records have the same key
		}
		s["retention.ms"] = strconv.FormatInt(retention, 10)
	}
	if spec.Kind == state.KindVersioned {
		lag := int64(math.MaxInt64)
		if spec.Retention < math.MaxInt64-changelogSlack {
			lag = (spec.Retention + changelogSlack).Milliseconds()
		}
		s["min.compaction.lag.ms"] = strconv.FormatInt(lag, 10)
	}
	maps.Copy(s, spec.Topic)
	return s
}
