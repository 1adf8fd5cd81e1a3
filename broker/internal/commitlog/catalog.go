package commitlog

import (
	"fmt"
	"slices"
	"sync"
)

// topic is a topic with its partitions. All but the partitions' own state is fixed.
type topic struct {
	Topic
	config     topicConfig
	partitions []*Partition
}

// catalog holds the topics. Reading takes its lock only; a change takes it too, before the partitions' locks.
type catalog struct {
	mu     sync.RWMutex
	byName map[string]*topic
	byID   map[TopicID]*topic
}

func newCatalog() *catalog {
	return &catalog{byName: map[string]*topic{}, byID: map[TopicID]*topic{}}
}

func (c *catalog) topic(id TopicID) *topic {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.byID[id]
}

func (c *catalog) partition(tp TopicPartition) *Partition {
	t := c.topic(tp.Topic)
	if t == nil || tp.Partition < 0 || int(tp.Partition) >= len(t.partitions) {
		return nil
	}
	return t.partitions[tp.Partition]
}

// topics returns all topics, by id.
func (c *catalog) topics() []*topic {
	c.mu.RLock()
	defer c.mu.RUnlock()
	all := make([]*topic, 0, len(c.byID))
	for _, t := range c.byID {
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b *topic) int { return slices.Compare(a.ID[:], b.ID[:]) })
	return all
}

// partitions returns all partitions, in their lock order.
func (c *catalog) partitions() (all []*Partition) {
	for _, t := range c.topics() {
		all = append(all, t.partitions...)
	}
	return all
}

// applyCreateLocked adds a topic.
func (l *Log) applyCreateLocked(spec *Topic) error {
	c := l.catalog
	if c.byID[spec.ID] != nil || c.byName[spec.Name] != nil {
		return fmt.Errorf("topic %q is there already", spec.Name)
	}
	config, err := parseTopicConfig(spec.Configs)
	if err != nil {
		return err
	}
	t := &topic{Topic: *spec, config: config}
	for i := range spec.Partitions {
		t.partitions = append(t.partitions, newPartition(l, t, i))
	}
	c.byName[t.Name], c.byID[t.ID] = t, t
	return nil
}

// applyDeleteLocked removes a topic. Its partitions keep what they have until a checkpoint has no need of it any more.
func (l *Log) applyDeleteLocked(id TopicID) error {
	c := l.catalog
	t := c.byID[id]
	if t == nil {
		return fmt.Errorf("topic %s is not there", id)
	}
	delete(c.byID, id)
	delete(c.byName, t.Name)
	for _, p := range t.partitions {
		p.mu.deleted = true
		p.wakeWatchersLocked()
	}
	l.deleted = append(l.deleted, t)
	return nil
}
