package topology

import (
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/state"
)

// Validate reports every fault of t at once, joined with errors.Join, each naming the nodes, stores or topics it is about.
// nil: the topology can be run.
func (t *Topology) Validate() error {
	v := &validation{t: t}
	if !v.ids() {
		return errors.Join(v.errs...) // what follows indexes nodes by id
	}
	v.names()
	for _, n := range t.Nodes {
		v.node(n)
	}
	if v.edges() {
		v.cycles()
	}
	v.stores()
	v.topics()
	v.patterns()
	v.repartition()
	v.copartitioned()
	return errors.Join(v.errs...)
}

type validation struct {
	t    *Topology
	errs []error
}

func (v *validation) fault(format string, args ...any) {
	v.errs = append(v.errs, fmt.Errorf(format, args...))
}

// of is fault for a fault of a node.
func (v *validation) of(n *Node, format string, args ...any) {
	v.errs = append(v.errs, errors.New(at(n.Line, fmt.Sprintf(format, args...))))
}

// ids checks that nodes stand at their ids and refer to nodes that exist.
func (v *validation) ids() bool {
	for i, n := range v.t.Nodes {
		if n == nil {
			v.fault("node %d is nil", i)
			continue
		}
		if n.ID != NodeID(i) {
			v.of(n, "node %s has id %d, but is number %d", n.Name, n.ID, i)
		}
		for _, id := range slices.Concat(n.Parents, n.Children) {
			if id < 0 || int(id) >= len(v.t.Nodes) {
				v.of(n, "node %s: no node has the id %d", n.Name, id)
			}
		}
		if len(n.Ports) != len(n.Parents) {
			v.of(n, "node %s has %d parents, but says the ports of %d", n.Name, len(n.Parents), len(n.Ports))
		}
	}
	return len(v.errs) == 0
}

func (v *validation) names() {
	seen := set{}
	for _, n := range v.t.Nodes {
		if n.Name == "" {
			v.of(n, "node %d has no name", n.ID)
			continue
		}
		if _, ok := seen[n.Name]; ok {
			v.of(n, "node %s: the name is taken; give one of the two another", n.Name)
		}
		seen.add(n.Name)
	}
	for _, g := range v.t.Globals {
		for _, name := range []string{g.source(), g.Name} {
			if _, ok := seen[name]; ok {
				v.fault("node %s of the global table over topic %s: the name is taken; give one of the two another", name, g.Topic)
			}
			seen.add(name)
		}
	}
	if !slices.ContainsFunc(v.t.Nodes, func(n *Node) bool { return n.Kind == KindSource }) && len(v.t.Globals) == 0 {
		v.fault("the topology has no source: it would do nothing")
	}
}

func (v *validation) node(n *Node) {
	if n.Build == nil {
		v.of(n, "node %s: Build is nil", n.Name)
	}
	if n.Out != (Edge{}) && n.Fan == nil {
		v.of(n, "node %s emits %v, but Fan is nil", n.Name, n.Out)
	}
	switch n.Kind {
	case KindSource:
		if len(n.Topics) == 0 {
			v.of(n, "source %s reads no topic", n.Name)
		}
		if len(n.Parents) > 0 {
			v.of(n, "source %s has parents", n.Name)
		}
		v.reset(n)
	case KindSink:
		if n.Topic == "" && !n.Dynamic {
			v.of(n, "sink %s writes no topic", n.Name)
		}
		if len(n.Children) > 0 {
			v.of(n, "sink %s has children", n.Name)
		}
	}
	for port := range n.In {
		if n.Kind != KindSource && !slices.Contains(n.Ports, port) {
			v.of(n, "node %s: no parent feeds its input %d", n.Name, port)
		}
	}
	if n.Kind != KindSource && len(n.In) == 0 {
		v.of(n, "node %s takes no input and is no source", n.Name)
	}
}

// edges checks that parents and children agree on each edge and on its type. It reports whether they agree that it is there.
func (v *validation) edges() (agreed bool) {
	agreed = true
	for _, n := range v.t.Nodes {
		for i, id := range n.Parents {
			parent := v.t.Nodes[id]
			if !slices.Contains(parent.Children, n.ID) {
				v.of(n, "node %s has the parent %s, which does not have it as a child", n.Name, parent.Name)
				agreed = false
			}
			port := n.Ports[i]
			if port < 0 || port >= len(n.In) {
				v.of(n, "node %s: parent %s feeds its input %d, it has %d", n.Name, parent.Name, port, len(n.In))
			} else if n.In[port] != parent.Out {
				v.of(n, "node %s takes %v, but its parent %s emits %v", n.Name, n.In[port], parent.Name, parent.Out)
			}
		}
		for _, id := range n.Children {
			if child := v.t.Nodes[id]; !slices.Contains(child.Parents, n.ID) {
				v.of(n, "node %s has the child %s, which does not have it as a parent", n.Name, child.Name)
				agreed = false
			}
		}
	}
	return agreed
}

func (v *validation) cycles() {
	order := v.t.sorted()
	if len(order) == len(v.t.Nodes) {
		return
	}
	for _, n := range v.t.Nodes {
		if !slices.Contains(order, n.ID) {
			v.of(n, "node %s is on a cycle, or below one; send records back through a topic", n.Name)
		}
	}
}

func (v *validation) stores() {
	specs, used := set{}, set{}
	for _, s := range v.t.Stores {
		if s == nil {
			v.fault("a store is nil")
			continue
		}
		if _, ok := specs[s.Name]; ok {
			v.fault("store %s is declared twice", s.Name)
		}
		specs.add(s.Name)
		v.internalName("store", s.Name)
		if s.Open == nil {
			v.fault("store %s: Open is nil", s.Name)
		}
		if s.SourceTopic != "" {
			v.sourceTopic(s)
		}
		if s.KeepsHeaders && !s.Kind.MayKeepHeaders() {
			v.fault("store %s: a %s store keeps no headers; leave state.KeepHeaders out", s.Name, s.Kind)
		}
		if global := v.t.isGlobal(s.Name); global != (s.Kind == state.KindGlobal) {
			if global {
				v.fault("store %s of a global table has another kind", s.Name)
			} else {
				v.fault("store %s is a global table's, but no global table fills it", s.Name)
			}
		}
	}
	for _, n := range v.t.Nodes {
		for _, s := range n.Stores {
			if _, ok := specs[s]; !ok {
				v.of(n, "node %s uses the store %s, which is not declared", n.Name, s)
			}
			used.add(s)
		}
	}
	for _, s := range v.t.Stores {
		if s == nil {
			continue
		}
		if _, ok := used[s.Name]; !ok && s.Kind != state.KindGlobal {
			v.fault("store %s: no node uses it", s.Name)
		}
	}
}

// sourceTopic checks a store whose changelog is a source topic.
func (v *validation) sourceTopic(s *state.Spec) {
	if s.Row == nil || !s.Logging || s.Kind != state.KindKeyValue {
		v.fault("store %s cannot have the topic %s for a changelog: it must be a logged key-value store that says what its records make of its rows", s.Name, s.SourceTopic)
	}
	for _, n := range v.t.Nodes {
		if slices.Contains(n.Stores, s.Name) && slices.ContainsFunc(v.t.Nodes, func(n *Node) bool { return slices.Contains(n.Topics, s.SourceTopic) }) {
			return
		}
	}
	v.fault("store %s has the topic %s for a changelog, which no source reads", s.Name, s.SourceTopic)
}

// topics checks that no topic is read twice: its records would have two positions.
func (v *validation) topics() {
	reader := map[string]string{}
	read := func(topic, by string) {
		if topic == "" {
			v.fault("source %s reads a topic without a name", by)
		} else if first, ok := reader[topic]; ok {
			v.fault("topic %s is read by %s and by %s; read it once and give both the same source", topic, first, by)
		} else {
			reader[topic] = by
		}
	}
	for _, n := range v.t.Nodes {
		for _, topic := range n.Topics {
			read(topic, n.Name)
		}
	}
	filled := map[string]string{}
	for _, g := range v.t.Globals {
		read(g.Topic, g.Name)
		if g.reset != Earliest() {
			v.fault("global store %s is made of all of topic %s, so that it must be read from its start: its offset reset is %v, want %v", g.Name, g.Topic, g.reset, Earliest())
		}
		if !slices.ContainsFunc(v.t.Stores, func(s *state.Spec) bool { return s != nil && s.Name == g.Store }) {
			v.fault("global table %s: its store %s is not declared", g.Name, g.Store)
		}
		if first, ok := filled[g.Store]; ok {
			v.fault("store %s is filled by the global tables %s and %s", g.Store, first, g.Name)
		}
		filled[g.Store] = g.Name
	}
}

// patterns checks that no pattern matches a topic that is read by its name. Patterns that match the same are found where topics are known.
func (v *validation) patterns() {
	for _, n := range v.t.Nodes {
		if n.Pattern == nil {
			continue
		}
		for _, topic := range v.t.UserTopics() {
			if n.Pattern.matches(topic) {
				v.of(n, "source %s: the pattern %s matches topic %s, which is read by its name; make the pattern leave it out, or do not name it", n.Name, n.Pattern, topic)
			}
		}
	}
}

func (v *validation) repartition() {
	names := set{}
	for _, r := range v.t.Repartition {
		v.internalName("repartition topic", r.Name)
		if _, ok := names[r.Name]; ok {
			v.fault("repartition topic %s is declared twice", r.Name)
		}
		names.add(r.Name)
		if r.Partitions < 0 {
			v.fault("repartition topic %s: %d partitions", r.Name, r.Partitions)
		}
		written := slices.ContainsFunc(v.t.Nodes, func(n *Node) bool { return n.Kind == KindSink && n.Topic == r.Topic() })
		read := slices.ContainsFunc(v.t.Nodes, func(n *Node) bool { return slices.Contains(n.Topics, r.Topic()) })
		if !written {
			v.fault("repartition topic %s: no sink writes %s", r.Name, r.Topic())
		}
		if !read {
			v.fault("repartition topic %s: no source reads %s", r.Name, r.Topic())
		}
	}
}

// copartitioned checks what can be checked without partition counts: numbers that the user gave for two repartition topics
// of one group.
func (v *validation) copartitioned() {
	for _, group := range v.t.copartitionGroups() {
		first, count := "", int32(0)
		for _, topic := range group {
			if !slices.ContainsFunc(v.t.Nodes, func(n *Node) bool { return slices.Contains(n.Topics, topic) }) {
				v.fault("co-partitioned topic %s: no source reads it", topic)
			}
			r, ok := v.t.repartition(topic)
			if !ok || r.Partitions == 0 {
				continue
			}
			if count != 0 && r.Partitions != count {
				v.fault("topics %s and %s are joined, so they need one number of partitions, not %d and %d", first, topic, count, r.Partitions)
			}
			first, count = topic, r.Partitions
		}
	}
}

// maxInternalName leaves room in a topic name, of at most 249 bytes, for an application id and a suffix.
const maxInternalName = 200

// internalName checks a name that becomes part of a topic's name.
func (v *validation) internalName(what, name string) {
	switch {
	case name == "":
		v.fault("a %s has no name", what)
	case len(name) > maxInternalName:
		v.fault("%s %s: the name is longer than %d bytes", what, name, maxInternalName)
	default:
		for _, c := range []byte(name) {
			if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '.' && c != '_' && c != '-' {
				v.fault("%s %q: the name may only hold letters, digits, '.', '_' and '-', since it becomes part of a topic's", what, name)
				return
			}
		}
	}
}
