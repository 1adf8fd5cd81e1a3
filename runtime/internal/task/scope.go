package task

import (
	"errors"
	"fmt"

	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// scope is the side of a Task that its nodes see.
type scope Task

var _ topology.Scope = (*scope)(nil)

func (s *scope) topic(name string) *topic {
	for i := range s.topics {
		if s.topics[i].name == name {
			return &s.topics[i]
		}
	}
	if s.dynamic && name != "" {
		s.topics = append(s.topics, topic{name: name, full: name})
		return &s.topics[len(s.topics)-1]
	}
	return nil
}

func (s *scope) Partitions(name string) int32 {
	to := s.topic(name)
	if to == nil {
		return 0
	}
	if to.partitions == 0 {
		to.partitions = s.cfg.Output.Partitions(to.full)
	}
	return to.partitions
}

func (s *scope) Send(node topology.NodeID, name string, partition int32, r *topology.Raw) error {
	t := (*Task)(s)
	if t.err != nil {
		return t.err
	}
	to := s.topic(name)
	if to == nil {
		t.fail("", fmt.Errorf("send to %s: no sink of this sub-topology writes that topic", name))
		return t.err
	}
	if err := t.cfg.Output.Send(to.full, partition, r, t.originOf(node)); err != nil {
		if _, ok := errors.AsType[*topology.WriteError](err); ok {
			return err // the node asks its handler
		}
		t.fail("", fmt.Errorf("send to %s-%d: %w", to.full, partition, err))
		return t.err
	}
	return nil
}

func (s *scope) Store(name string) state.Layer {
	for _, st := range s.stores {
		if st.spec.Name == name {
			return st.layer
		}
	}
	if g, ok := s.cfg.Globals[name]; ok {
		return g
	}
	return nil
}

func (s *scope) Child(id topology.NodeID, name string) (port any, ok bool) {
	for _, n := range s.nodes {
		if n.node.Name != name {
			continue
		}
		for i, parent := range n.node.Parents {
			if parent == id {
				if ok {
					return nil, false
				}
				port, ok = n.Ports[n.node.Ports[i]], true
			}
		}
	}
	return port, ok
}

func (s *scope) StreamTime() int64            { return s.streamTime }
func (s *scope) Partition() int32             { return s.cfg.Partition }
func (s *scope) Now() int64                   { return s.now }
func (s *scope) Source() topology.Coordinates { return s.source }
func (s *scope) SetSource(c topology.Coordinates) topology.Coordinates {
	was := s.source
	s.source = c
	return was
}

func (s *scope) RequestCommit() { s.requested = true }

func (s *scope) Schedule(interval int64, wall bool, f func(now int64) error) (cancel func()) {
	if wall {
		return s.punct.wall.add(s.now+interval, interval, f)
	}
	return s.punct.stream.add(0, interval, f)
}

func (s *scope) Drop(id topology.NodeID, reason topology.Reason, detail error) {
	t := (*Task)(s)
	t.drop(t.cfg.Topology.Nodes[id], reason, detail)
}
