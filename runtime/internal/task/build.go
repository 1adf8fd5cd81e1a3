package task

import (
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// instance is a node of this task.
type instance struct {
	node *topology.Node
	topology.Instance
}

// topic is a topic that sinks of this task write.
type topic struct {
	name, full string // as the nodes hold it; in the log
	partitions int32  // 0: ask again
}

// build opens the stores and builds the nodes, children before parents, since a parent's code calls its children's.
func (t *Task) build() (err error) {
	defer t.catch(&err)
	top := t.cfg.Topology
	for _, name := range t.sub.Sinks {
		t.topics = append(t.topics, topic{name: name, full: top.Internal(t.cfg.ApplicationID, name)})
	}
	t.dynamic = slices.ContainsFunc(t.sub.Nodes, func(id topology.NodeID) bool { return top.Nodes[id].Dynamic })
	if err := t.openStores(); err != nil {
		return err
	}
	t.nodes = make([]*instance, len(t.sub.Nodes))
	built := make(map[topology.NodeID]*instance, len(t.sub.Nodes))
	for i, id := range slices.Backward(t.sub.Nodes) {
		node := top.Nodes[id]
		inst := &instance{node: node}
		inst.Instance, err = node.Build((*scope)(t), t.down(node, built))
		if err == nil {
			err = t.err
		}
		if err == nil {
			err = ports(inst)
		}
		t.nodes[i], built[id] = inst, inst
		if err != nil {
			return fmt.Errorf("task %s: build node %s: %w", t.id, node.Name, err)
		}
	}
	t.built = true
	return t.openQueues()
}

// down returns the Emit that takes what node emits: its children's ports, each behind a guard if failures are decided about,
// fanned out.
func (t *Task) down(node *topology.Node, built map[topology.NodeID]*instance) any {
	if node.Fan == nil {
		return nil
	}
	var children []any
	seen := map[topology.NodeID]bool{}
	for _, id := range node.Children {
		if seen[id] {
			continue
		}
		seen[id] = true
		child := built[id]
		for i, parent := range child.node.Parents {
			if parent == node.ID {
				port := child.Ports[child.node.Ports[i]]
				if t.guarded {
					port = topology.Guard((*scope)(t), id, port)
				}
				children = append(children, port)
			}
		}
	}
	if len(children) == 1 && !t.guarded {
		return children[0]
	}
	return node.Fan(children)
}

// ports checks that a node was built with the ports that it declares.
func ports(inst *instance) error {
	want := len(inst.node.In)
	if inst.node.Kind == topology.KindSource {
		want = 1
	}
	if len(inst.Ports) != want {
		return fmt.Errorf("built with %d ports, it declares %d", len(inst.Ports), want)
	}
	return nil
}

func (t *Task) openStores() error {
	for _, spec := range t.cfg.Topology.Stores {
		if !slices.Contains(t.sub.Stores, spec.Name) {
			continue
		}
		if t.cfg.Committed == nil {
			return fmt.Errorf("task %s: open store %s: Config.Committed is nil", t.id, spec.Name)
		}
		committed, err := t.cfg.Committed(spec)
		if err != nil {
			return fmt.Errorf("task %s: open store %s: %w", t.id, spec.Name, err)
		}
		env := state.Env{Committed: committed}
		var log *changelog
		if t.guarded {
			env.Origins = &t.origins
		}
		if spec.Logging && spec.SourceTopic == "" {
			log = &changelog{task: t, topic: topology.ChangelogTopic(t.cfg.ApplicationID, spec.Name), headers: spec.Headers}
			env.Changelog = log
		}
		if spec.Sources {
			env.Source = (*scope)(t)
		}
		layer, err := spec.Open(env)
		if err != nil {
			return fmt.Errorf("task %s: open store %s: %w", t.id, spec.Name, err)
		}
		t.stores = append(t.stores, &store{spec: spec, layer: layer, log: log})
	}
	return nil
}

// openQueues makes one queue per topic of each source, in the order of nodes and their topics.
func (t *Task) openQueues() error {
	for _, inst := range t.nodes {
		if inst.node.Kind != topology.KindSource {
			continue
		}
		newHead, ok := inst.Ports[0].(topology.NewHead)
		if !ok {
			return fmt.Errorf("task %s: source %s was built with %T, want topology.NewHead", t.id, inst.node.Name, inst.Ports[0])
		}
		for _, name := range inst.node.Topics {
			in := Input{Topic: t.cfg.Topology.Internal(t.cfg.ApplicationID, name), Partition: t.cfg.Partition}
			if t.cfg.Inputs != nil && !slices.Contains(t.cfg.Inputs, in) {
				continue
			}
			t.queues = append(t.queues, newQueue(in, inst.node, newHead()))
			t.hashes = append(t.hashes, TopicHash(in.Topic))
		}
	}
	return nil
}
