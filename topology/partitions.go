package topology

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Partitions are the partition counts that a topology runs with. Topics are named as nodes hold them (Topology.Internal).
type Partitions struct {
	Topics map[string]int32 // of every source topic, repartition topics included
	Tasks  map[int32]int32  // of every sub-topology by its number: how many tasks it has
}

// UnknownTopicError is a source topic whose partition count is not known: it does not exist in the log.
type UnknownTopicError struct {
	Topic string
	Node  string // a source that reads it
}

func (e *UnknownTopicError) Error() string {
	return "source " + e.Node + ": topic " + e.Topic + " does not exist; create it before starting"
}

// UserTopics returns the topics that t reads and does not own, sorted: sources and global tables.
func (t *Topology) UserTopics() []string {
	topics := set{}
	for _, n := range t.Nodes {
		for _, topic := range n.Topics {
			if !t.IsRepartition(topic) {
				topics.add(topic)
			}
		}
	}
	for _, g := range t.Globals {
		topics.add(g.Topic)
	}
	return topics.sorted()
}

// Partition computes the partition counts that t runs with, from those of its user topics (by name). It is a pure function
// of both: a repartition topic has the number that the user gave; else that of the user topics in its co-partition
// group; else the maximum over the sources of the sub-topologies that write it, and over its group.
//
// Missing topics (each an *UnknownTopicError), co-partitioning that does not hold and numbers that conflict are
// reported all at once.
func (t *Topology) Partition(userTopics map[string]int32) (Partitions, error) {
	subs := t.Subtopologies()
	counts := map[string]int32{}
	var errs []error
	for _, n := range t.Nodes {
		for _, topic := range n.Topics {
			if t.IsRepartition(topic) {
				continue
			}
			if c := userTopics[topic]; c > 0 {
				counts[topic] = c
			} else {
				errs = append(errs, &UnknownTopicError{Topic: topic, Node: n.Name})
			}
		}
	}
	for _, g := range t.Globals {
		if userTopics[g.Topic] <= 0 {
			errs = append(errs, &UnknownTopicError{Topic: g.Topic, Node: g.Name})
		}
	}
	if len(errs) > 0 {
		return Partitions{}, errors.Join(errs...)
	}
	for _, r := range t.Repartition {
		if r.Partitions > 0 {
			counts[r.Topic()] = r.Partitions
		}
	}
	for _, group := range t.copartitionGroups() {
		if err := t.settleGroup(group, counts); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return Partitions{}, errors.Join(errs...)
	}
	t.derive(subs, counts)
	p := Partitions{Topics: counts, Tasks: map[int32]int32{}}
	for _, s := range subs {
		p.Tasks[s.Number] = maxOf(s.Sources, counts)
	}
	return p, nil
}

// copartitionGroups returns the groups of t.Copartitioned, those that share a topic united, each sorted. A group of patterns that match
// nothing yet has no topics, and is left out.
func (t *Topology) copartitionGroups() [][]string {
	var groups [][]string
	for _, g := range t.Copartitioned {
		united := slices.Clone(g)
		rest := groups[:0]
		for _, other := range groups {
			if slices.ContainsFunc(other, func(topic string) bool { return slices.Contains(united, topic) }) {
				united = append(united, other...)
			} else {
				rest = append(rest, other)
			}
		}
		groups = rest
		if len(united) > 0 {
			slices.Sort(united)
			groups = append(groups, slices.Compact(united))
		}
	}
	return groups
}

// settleGroup checks that the known counts of a co-partition group are equal, and gives the count to the others.
func (t *Topology) settleGroup(group []string, counts map[string]int32) error {
	var count int32
	var known []string
	equal := true
	for _, topic := range group {
		c, ok := counts[topic]
		if !ok {
			continue
		}
		known = append(known, fmt.Sprintf("%s has %d", topic, c))
		equal = equal && (count == 0 || count == c)
		count = c
	}
	if !equal {
		return fmt.Errorf("topics %s must have equal partition counts to be joined, but %s; repartition one of them, or recreate it",
			strings.Join(group, ", "), strings.Join(known, ", "))
	}
	if count > 0 {
		for _, topic := range group {
			counts[topic] = count
		}
	}
	return nil
}

// derive gives a count to the repartition topics that have none yet: members of one group together. A topic follows the
// sources of the sub-topologies that write it; it waits for those that are repartition topics themselves, unless all
// that is left waits for each other.
func (t *Topology) derive(subs []Subtopology, counts map[string]int32) {
	var units [][]string
	grouped := set{}
	for _, g := range t.copartitionGroups() {
		if counts[g[0]] == 0 {
			units = append(units, g)
			grouped.add(g...)
		}
	}
	for _, r := range t.Repartition {
		if _, ok := grouped[r.Topic()]; !ok && counts[r.Topic()] == 0 {
			units = append(units, []string{r.Topic()})
		}
	}
	for strict := true; len(units) > 0; {
		before := len(units)
		units = slices.DeleteFunc(units, func(unit []string) bool {
			upstream := set{}
			for _, s := range subs {
				if slices.ContainsFunc(s.Sinks, func(topic string) bool { return slices.Contains(unit, topic) }) {
					upstream.add(s.Sources...)
				}
			}
			for _, topic := range unit {
				delete(upstream, topic)
			}
			sources := upstream.sorted()
			waits := slices.ContainsFunc(sources, func(topic string) bool { return counts[topic] == 0 })
			count := maxOf(sources, counts)
			if waits && strict || count == 0 {
				return false
			}
			for _, topic := range unit {
				counts[topic] = count
			}
			return true
		})
		if len(units) == before && !strict {
			break // fed by nothing, which Validate refuses
		}
		strict = len(units) < before
	}
}

func maxOf(topics []string, counts map[string]int32) int32 {
	var n int32
	for _, topic := range topics {
		n = max(n, counts[topic])
	}
	return n
}
