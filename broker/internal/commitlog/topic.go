package commitlog

import (
	"encoding/base64"
)

// TopicID is a topic's random id (a version 4 UUID). A topic that is deleted and created again has a new one.
type TopicID [16]byte

// String returns the id as Kafka prints it: base64, URL alphabet, no padding.
func (id TopicID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// TopicSpec is what CreateTopic is given.
type TopicSpec struct {
	Name       string
	Partitions int32 // 1 to 10,000
	// Configs holds the topic's own configs by Kafka's names; see CheckConfigs.
	Configs map[string]string
}

// Topic describes a topic. It is a copy, and Configs must not be changed.
type Topic struct {
	ID         TopicID
	Name       string
	Partitions int32
	Configs    map[string]string
}

// CheckConfigs returns an error that wraps ErrInvalidConfig, naming every fault, if the log could not honour configs.
//
// Honoured now: max.message.bytes, message.timestamp.type, cleanup.policy (a compacted topic refuses records without a
// key), compression.type=producer. Kept, described and checked, but without effect in this version: retention.ms, retention.bytes,
// segment.bytes, segment.ms, delete.retention.ms, min.cleanable.dirty.ratio and the other configs of topics that only say when
// records may go. Anything else is refused.
func CheckConfigs(configs map[string]string) error { return nil }

// CreateTopic creates a topic and its empty partitions. The topic can be used at once; Wait for the LSN before telling anybody.
//
// Errors: ErrTopicExists, ErrInvalidTopicName, ErrInvalidPartitions, ErrInvalidConfig, ErrStopped, ErrClosed.
func (l *Log) CreateTopic(spec TopicSpec) (Topic, LSN, error) { return Topic{}, 0, ErrClosed }

// DeleteTopic deletes a topic: its partitions fail from now on, their waiters are woken, their files go after the next
// checkpoint.
//
// Errors: ErrUnknownTopic, ErrStopped, ErrClosed.
func (l *Log) DeleteTopic(id TopicID) (LSN, error) { return 0, ErrClosed }

// Topic returns the topic of that name.
func (l *Log) Topic(name string) (Topic, bool) { return Topic{}, false }

// TopicByID returns the topic of that id.
func (l *Log) TopicByID(id TopicID) (Topic, bool) { return Topic{}, false }

// Topics returns all topics, sorted by name.
func (l *Log) Topics() []Topic { return nil }

// Partition returns a partition, or nil if there is none.
func (l *Log) Partition(id TopicID, partition int32) *Partition { return nil }
