package commitlog

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// topic is a topic. Its id and name are fixed; all else is in versions, which are replaced whole under the catalog's lock.
type topic struct {
	ID      TopicID
	Name    string
	present atomic.Pointer[topicVersion]
}

// topicVersion is a topic between two changes. Nothing in it changes but the partitions' own state.
type topicVersion struct {
	Topic
	config     topicConfig
	partitions []*Partition
}

// now returns the topic's present version.
func (t *topic) now() *topicVersion { return t.present.Load() }

// catalog holds the topics. Reading takes its lock only; a change takes it too, before the partitions' locks.
type catalog struct {
	mu     sync.RWMutex
	byName map[string]*topic
	byID   map[TopicID]*topic

	version atomic.Uint64 // raised after a topic has come, gone or grown
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
	if t == nil {
		return nil
	}
	all := t.now().partitions
	if tp.Partition < 0 || int(tp.Partition) >= len(all) {
		return nil
	}
	return all[tp.Partition]
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
		all = append(all, t.now().partitions...)
	}
	return all
}

// applyCreateLocked adds a topic.
func (l *Log) applyCreateLocked(spec *Topic) error {
	c := l.catalog
	if c.byID[spec.ID] != nil || c.byName[spec.Name] != nil {
		return fmt.Errorf("topic %q is there already", spec.Name)
	}
	t := &topic{ID: spec.ID, Name: spec.Name}
	v := &topicVersion{Topic: *spec, config: l.appliedConfig(spec.Name, spec.Configs)}
	for i := range spec.Partitions {
		v.partitions = append(v.partitions, newPartition(l, t, i))
	}
	t.present.Store(v)
	c.byName[t.Name], c.byID[t.ID] = t, t
	c.version.Add(1)
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
	for _, p := range t.now().partitions {
		p.mu.deleted = true
		p.wakeWatchersLocked()
	}
	l.deleted = append(l.deleted, t)
	c.version.Add(1)
	return nil
}

// applyGrowLocked adds partitions to a topic.
func (l *Log) applyGrowLocked(g *growChange) error {
	t := l.catalog.byID[g.topic]
	if t == nil {
		return fmt.Errorf("topic %s is not there", g.topic)
	}
	v := *t.now()
	if g.partitions <= v.Partitions {
		return fmt.Errorf("topic %q has %d partitions and is to grow to %d", t.Name, v.Partitions, g.partitions)
	}
	v.partitions = slices.Clip(v.partitions) // readers hold the shorter one
	for i := v.Partitions; i < g.partitions; i++ {
		v.partitions = append(v.partitions, newPartition(l, t, i))
	}
	v.Partitions = g.partitions
	t.present.Store(&v)
	l.catalog.version.Add(1)
	return nil
}

// applyConfigureLocked replaces a topic's configs.
func (l *Log) applyConfigureLocked(g *configureChange) error {
	t := l.catalog.byID[g.topic]
	if t == nil {
		return fmt.Errorf("topic %s is not there", g.topic)
	}
	v := *t.now()
	v.Configs, v.config = maps.Clone(g.configs), l.appliedConfig(t.Name, g.configs)
	t.present.Store(&v)
	return nil
}

// appliedConfig reads configs that were checked when they were given. What an earlier version took and this one does not
// understand is no reason not to open: it has its default.
func (l *Log) appliedConfig(topic string, configs map[string]string) topicConfig {
	config, err := parseTopicConfig(configs)
	if err != nil {
		l.cfg.Logger.Warn("commit log: topic configs of an earlier version are without effect", "topic", topic, "err", err)
	}
	return config
}
