package commitlog

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// MaxPartitions bounds a topic's partitions.
const MaxPartitions = 10_000

// TopicID is a topic's random id (a version 4 UUID). A topic that is deleted and created again has a new one.
type TopicID [16]byte

// String returns the id as Kafka prints it: base64, URL alphabet, no padding.
func (id TopicID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// newTopicID returns a random id. Kafka avoids those whose text begins with a dash, since tools take it for an option.
func newTopicID() TopicID {
	for {
		var id TopicID
		rand.Read(id[:]) // never fails
		id[6] = id[6]&0x0f | 0x40
		id[8] = id[8]&0x3f | 0x80
		if !strings.HasPrefix(id.String(), "-") {
			return id
		}
	}
}

// TopicSpec is what CreateTopic is given.
type TopicSpec struct {
	Name       string
	Partitions int32 // 1 to MaxPartitions
	// Configs holds the topic's own configs by Kafka's names; see CheckConfigs.
	Configs map[string]string
}

// Topic describes a topic. It is a copy, but Configs is shared and must not be changed.
type Topic struct {
	ID         TopicID
	Name       string
	Partitions int32
	Configs    map[string]string
}

// CreateTopic creates a topic and its empty partitions. The topic can be used at once; Wait for the LSN before telling anybody.
//
// Errors: ErrTopicExists, ErrInvalidTopicName, ErrInvalidPartitions, ErrInvalidConfig, ErrStopped, ErrClosed.
func (l *Log) CreateTopic(spec TopicSpec) (Topic, LSN, error) {
	if err := l.CheckTopic(spec); err != nil {
		return Topic{}, 0, err
	}
	t := Topic{ID: newTopicID(), Name: spec.Name, Partitions: spec.Partitions, Configs: maps.Clone(spec.Configs)}
	if t.Configs == nil {
		t.Configs = map[string]string{}
	}
	done, err := l.enter()
	if err != nil {
		return Topic{}, 0, err
	}
	defer done()
	l.catalog.mu.Lock()
	defer l.catalog.mu.Unlock()
	if err := l.checkNameLocked(spec.Name); err != nil { // again: another one may have been faster
		return Topic{}, 0, err
	}
	lsn, err := l.commitLocked(&entry{create: &t}, nil)
	return t, lsn, err
}

// CheckTopic returns the error that CreateTopic would return (validate only).
func (l *Log) CheckTopic(spec TopicSpec) error {
	if err := checkTopicName(spec.Name); err != nil {
		return err
	}
	if spec.Partitions < 1 || spec.Partitions > MaxPartitions {
		return fmt.Errorf("%w: %d is not in 1..%d", ErrInvalidPartitions, spec.Partitions, MaxPartitions)
	}
	if err := CheckConfigs(spec.Configs); err != nil {
		return err
	}
	l.catalog.mu.RLock()
	defer l.catalog.mu.RUnlock()
	return l.checkNameLocked(spec.Name)
}

func (l *Log) checkNameLocked(name string) error {
	if l.catalog.byName[name] != nil {
		return fmt.Errorf("%w: %q", ErrTopicExists, name)
	}
	for other := range l.catalog.byName {
		if collisionKey(other) == collisionKey(name) {
			return fmt.Errorf("%w %q: it differs from topic %q in '.' and '_' only", ErrInvalidTopicName, name, other)
		}
	}
	return nil
}

// DeleteTopic deletes a topic: its partitions fail from now on, their waiters are woken, their files go after the next
// checkpoint, which is begun at once.
//
// Errors: ErrUnknownTopic, ErrStopped, ErrClosed.
func (l *Log) DeleteTopic(id TopicID) (LSN, error) {
	done, err := l.enter()
	if err != nil {
		return 0, err
	}
	defer done()
	l.catalog.mu.Lock()
	defer l.catalog.mu.Unlock()
	t := l.catalog.byID[id]
	if t == nil {
		return 0, fmt.Errorf("%w: %s", ErrUnknownTopic, id)
	}
	unlock := lockAll(t.now().partitions)
	defer unlock()
	defer l.kickCheckpoint()
	return l.commitLocked(&entry{delete: &id}, nil)
}

// GrowTopic gives a topic more partitions, which are empty: partitions in all. They can be used at once; Wait for the LSN before
// telling anybody.
//
// Errors: ErrUnknownTopic, ErrInvalidPartitions, ErrStopped, ErrClosed.
func (l *Log) GrowTopic(id TopicID, partitions int32) (LSN, error) {
	done, err := l.enter()
	if err != nil {
		return 0, err
	}
	defer done()
	l.catalog.mu.Lock()
	defer l.catalog.mu.Unlock()
	t := l.catalog.byID[id]
	if t == nil {
		return 0, fmt.Errorf("%w: %s", ErrUnknownTopic, id)
	}
	if err := t.checkGrow(partitions); err != nil {
		return 0, err
	}
	return l.commitLocked(&entry{grow: &growChange{topic: id, partitions: partitions}}, nil)
}

// CheckGrow returns the error that GrowTopic would return, but for ErrStopped and ErrClosed.
func (l *Log) CheckGrow(id TopicID, partitions int32) error {
	t := l.catalog.topic(id)
	if t == nil {
		return fmt.Errorf("%w: %s", ErrUnknownTopic, id)
	}
	return t.checkGrow(partitions)
}

func (t *topic) checkGrow(partitions int32) error {
	switch have := t.now().Partitions; {
	case partitions > MaxPartitions:
		return fmt.Errorf("%w: %d, the most is %d", ErrInvalidPartitions, partitions, MaxPartitions)
	case partitions == have:
		return fmt.Errorf("%w: topic %q has %d partitions already", ErrInvalidPartitions, t.Name, have)
	case partitions < have:
		return fmt.Errorf("%w: topic %q has %d partitions, and cannot shrink to %d", ErrInvalidPartitions, t.Name, have, partitions)
	}
	return nil
}

// ConfigureTopic replaces a topic's configs with what change makes of the present ones, which it must not change itself; no other
// change comes in between. The new ones apply to every batch that is appended after the return. Wait for the LSN before telling
// anybody.
//
// Errors: those of change, and ErrUnknownTopic, ErrInvalidConfig, ErrStopped, ErrClosed.
func (l *Log) ConfigureTopic(id TopicID, change func(configs map[string]string) (map[string]string, error)) (LSN, error) {
	done, err := l.enter()
	if err != nil {
		return 0, err
	}
	defer done()
	l.catalog.mu.Lock()
	defer l.catalog.mu.Unlock()
	t := l.catalog.byID[id]
	if t == nil {
		return 0, fmt.Errorf("%w: %s", ErrUnknownTopic, id)
	}
	configs, err := change(t.now().Configs)
	if err != nil {
		return 0, err
	}
	if err := CheckConfigs(configs); err != nil {
		return 0, err
	}
	return l.commitLocked(&entry{configure: &configureChange{topic: id, configs: configs}}, nil)
}

// Topic returns the topic of that name.
func (l *Log) Topic(name string) (Topic, bool) {
	l.catalog.mu.RLock()
	defer l.catalog.mu.RUnlock()
	t := l.catalog.byName[name]
	if t == nil {
		return Topic{}, false
	}
	return t.now().Topic, true
}

// TopicByID returns the topic of that id.
func (l *Log) TopicByID(id TopicID) (Topic, bool) {
	t := l.catalog.topic(id)
	if t == nil {
		return Topic{}, false
	}
	return t.now().Topic, true
}

// TopicsVersion returns a number above 0 that is another one after a topic has come, gone or grown. It means nothing over a restart.
func (l *Log) TopicsVersion() uint64 { return l.catalog.version.Load() + 1 }

// Topics returns all topics, sorted by name.
func (l *Log) Topics() []Topic {
	l.catalog.mu.RLock()
	defer l.catalog.mu.RUnlock()
	all := make([]Topic, 0, len(l.catalog.byName))
	for _, t := range l.catalog.byName {
		all = append(all, t.now().Topic)
	}
	slices.SortFunc(all, func(a, b Topic) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Partition returns a partition, or nil if there is none. One whose topic is deleted later fails with ErrUnknownTopic.
func (l *Log) Partition(id TopicID, partition int32) *Partition {
	return l.catalog.partition(TopicPartition{Topic: id, Partition: partition})
}
