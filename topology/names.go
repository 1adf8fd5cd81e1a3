package topology

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/state"
)

const (
	repartitionSuffix = "-repartition"
	changelogSuffix   = "-changelog"
)

// ChangelogTopic returns the full name of a store's changelog topic.
func ChangelogTopic(applicationID, store string) string {
	return applicationID + "-" + store + changelogSuffix
}

// LogOf returns the full name of the topic that a logged store is restored from: its changelog, or the source topic that stands for
// it.
func (t *Topology) LogOf(applicationID string, s *state.Spec) string {
	if s.SourceTopic != "" {
		return t.Internal(applicationID, s.SourceTopic)
	}
	return ChangelogTopic(applicationID, s.Name)
}

// Internal returns the full name in the log of a topic that a source or sink of t holds: repartition topics get the
// application id in front, all others are returned as they are.
func (t *Topology) Internal(applicationID, topic string) string {
	if t.IsRepartition(topic) {
		return applicationID + "-" + topic
	}
	return topic
}

// IsRepartition reports whether a topic that a source or sink holds is one of the repartition topics.
func (t *Topology) IsRepartition(topic string) bool {
	_, ok := t.repartition(topic)
	return ok
}

func (t *Topology) repartition(topic string) (RepartitionTopic, bool) {
	for _, r := range t.Repartition {
		if r.Topic() == topic {
			return r, true
		}
	}
	return RepartitionTopic{}, false
}

// TaskID names a task: one sub-topology over one partition. Its text form is Kafka Streams': "0_3".
type TaskID struct {
	Subtopology int32
	Partition   int32
}

// String returns the id as "0_3".
func (id TaskID) String() string {
	return strconv.Itoa(int(id.Subtopology)) + "_" + strconv.Itoa(int(id.Partition))
}

// Compare orders task ids by sub-topology, then partition.
func (id TaskID) Compare(other TaskID) int {
	if id.Subtopology != other.Subtopology {
		return int(id.Subtopology) - int(other.Subtopology)
	}
	return int(id.Partition) - int(other.Partition)
}

// ParseTaskID is the inverse of TaskID.String.
func ParseTaskID(s string) (TaskID, error) {
	sub, part, ok := strings.Cut(s, "_")
	n, err1 := strconv.ParseInt(sub, 10, 32)
	p, err2 := strconv.ParseInt(part, 10, 32)
	if !ok || err1 != nil || err2 != nil || n < 0 || p < 0 {
		return TaskID{}, fmt.Errorf("task id %q: want <sub-topology>_<partition>, such as 0_3", s)
	}
	return TaskID{Subtopology: int32(n), Partition: int32(p)}, nil
}
