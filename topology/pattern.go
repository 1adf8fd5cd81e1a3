package topology

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/serde"
)

// Pattern says which topics a source reads by their names: those that the expression matches as a whole.
type Pattern struct {
	// longest is the expression with its longest matches: one that matches a name as a whole begins with it, and there is none longer. To
	// write anchors around an expression is not the same, not even an expression always: its end may be quoted, or its syntax be POSIX's.
	longest regexp.Regexp
}

func newPattern(expression *regexp.Regexp) *Pattern {
	p := &Pattern{longest: *expression}
	p.longest.Longest()
	return p
}

// String returns the expression as it was given.
func (p *Pattern) String() string { return p.longest.String() }

// matches reports whether the pattern is that of a topic of the log's. Topics that begin with two underscores are the log's own, and a
// placeholder is no topic.
func (p *Pattern) matches(topic string) bool {
	if strings.HasPrefix(topic, "__") || strings.HasPrefix(topic, "/") {
		return false
	}
	found := p.longest.FindStringIndex(topic)
	return found != nil && found[0] == 0 && found[1] == len(topic)
}

// placeholder stands for the topics of a pattern, in Node.Topics and Topology.Copartitioned, until they are known. It is no topic's name.
func (p *Pattern) placeholder() string { return "/" + p.String() + "/" }

// NewPatternSource is NewSource for all topics whose names the expression matches as a whole. Which ones those are is found out while
// the topology runs, see [Topology.Match].
func NewPatternSource[K, V any](
	name string, expression *regexp.Regexp, key serde.Serde[K], value serde.Serde[V], options ...SourceOption[K, V],
) *Node {
	p := newPattern(expression)
	n := NewSource(name, []string{p.placeholder()}, key, value, options...)
	n.Pattern = p
	return n
}

// AddPatternSource is AddSource over all topics whose names the expression matches as a whole, also those that are made later. A
// topic that another source reads must not be among them.
func AddPatternSource[K, V any](
	b *Builder, name string, expression *regexp.Regexp, key serde.Serde[K], value serde.Serde[V], options ...SourceOption[K, V],
) Output[K, V] {
	if expression == nil {
		b.fail(errors.New(at(Where(), "source "+name+": the expression is nil")))
		return Output[K, V]{b: b}
	}
	return Output[K, V]{b: b, ids: []NodeID{b.Add(NewPatternSource(name, expression, key, value, options...))}}
}

// HasPatterns reports whether a source reads topics by a pattern. Such a topology is matched before it runs.
func (t *Topology) HasPatterns() bool {
	return slices.ContainsFunc(t.Nodes, func(n *Node) bool { return n.Pattern != nil })
}

// Match returns a copy of t whose sources read, in place of their patterns, those of a log's topics that the patterns match; internal topics
// of the application are not among them. A source may have none, and its sub-topology no task then. t stays as it is, and is what
// comes back if it has no patterns.
//
// It is an error if two patterns match one topic: its records would have two positions.
func (t *Topology) Match(applicationID string, topics []string) (*Topology, error) {
	if !t.HasPatterns() {
		return t, nil
	}
	topics = slices.Sorted(slices.Values(topics))
	topics = slices.DeleteFunc(slices.Compact(topics), func(topic string) bool { return t.owns(applicationID, topic) })
	matched := *t
	matched.Nodes = slices.Clone(t.Nodes)
	found, readers := map[string][]string{}, map[string]string{}
	var errs []error
	for i, n := range t.Nodes {
		if n.Pattern == nil {
			continue
		}
		c := *n
		c.Pattern, c.Topics = nil, nil
		for _, topic := range topics {
			if !n.Pattern.matches(topic) {
				continue
			}
			if first, ok := readers[topic]; ok {
				errs = append(errs, fmt.Errorf("topic %s is matched by the pattern of source %s and by that of %s; make one of the two leave it out", topic, first, n.Name))
				continue
			}
			readers[topic] = n.Name
			c.Topics = append(c.Topics, topic)
		}
		matched.Nodes[i], found[n.Pattern.placeholder()] = &c, c.Topics
	}
	matched.Copartitioned = make([][]string, len(t.Copartitioned))
	for i, group := range t.Copartitioned {
		for _, topic := range group {
			if those, ok := found[topic]; ok {
				matched.Copartitioned[i] = append(matched.Copartitioned[i], those...)
			} else {
				matched.Copartitioned[i] = append(matched.Copartitioned[i], topic)
			}
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return &matched, nil
}

// owns reports whether a topic of the log is an internal one of the application: of a repartition, or a changelog.
func (t *Topology) owns(applicationID, topic string) bool {
	base, ok := strings.CutPrefix(topic, applicationID+"-")
	if !ok {
		return false
	}
	return t.IsRepartition(base) || strings.HasSuffix(base, changelogSuffix)
}
