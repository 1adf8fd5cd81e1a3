package plan

import (
	"errors"

	"github.com/millrace-io/millrace/topology"
)

// lower replaces every logical repartition by filter, sink and source. Nothing moves otherwise: the order of nodes stays,
// and so does the order of children.
func lower(nodes []*Node) ([]*Node, []topology.RepartitionTopic, error) {
	var (
		out    []*Node
		topics []topology.RepartitionTopic
		errs   []error
	)
	ends := map[*Node]*Node{} // logical repartition -> its source
	seen := map[string]bool{}
	for _, n := range nodes {
		moved := &Node{Node: n.Node}
		for _, in := range n.inputs {
			if end, ok := ends[in.parent]; ok {
				in.parent = end
			}
			moved.inputs = append(moved.inputs, in)
		}
		if n.via == nil {
			ends[n] = moved
			out = append(out, moved)
			continue
		}
		v := n.via
		if seen[v.Topic.Name] {
			errs = append(errs, at(n.Line, "repartition topic %s: the name is used twice; give one of the two groupings or repartitions another name", v.Topic.Name))
			continue
		}
		seen[v.Topic.Name] = true
		sink := &Node{Node: v.Sink, inputs: moved.inputs}
		if v.Filter != nil {
			filter := &Node{Node: v.Filter, inputs: moved.inputs}
			sink.inputs = []input{{parent: filter}}
			out = append(out, filter)
		}
		source := &Node{Node: v.Source}
		ends[n] = source
		out = append(out, sink, source)
		topics = append(topics, v.Topic)
	}
	return out, topics, errors.Join(errs...)
}

// lowered returns how many nodes lower makes of nodes.
func lowered(nodes []*Node) int {
	n := len(nodes)
	for _, node := range nodes {
		switch {
		case node.via == nil:
		case node.via.Filter == nil:
			n++
		default:
			n += 2
		}
	}
	return n
}
