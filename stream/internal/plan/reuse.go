package plan

import "github.com/millrace-io/millrace/state"

// rows says of a node that its store holds the rows of the topic that it reads.
type rows struct {
	store string
	row   func(key, value []byte, timestamp int64) (k, v []byte, ok bool) // what a record makes of its row, see state.Spec
}

// HoldsTopic says that a store of n, if there is one, holds the last record of each key of the one topic that n's parent reads, as
// row has it.
func (n *Node) HoldsTopic(store string, row func(key, value []byte, timestamp int64) (k, v []byte, ok bool)) {
	n.rows = rows{store, row}
}

// ReuseSources lets Topology restore tables from the topics that they are read from.
func (g *Graph) ReuseSources() { g.reusing = true }

// reuseSources makes the topic of a table the changelog of its store. Versioned stores keep their own: a compacted topic does not have the
// history.
func (g *Graph) reuseSources() {
	for _, n := range g.nodes {
		if n.rows.row == nil {
			continue
		}
		for _, s := range g.stores {
			if s.Name == n.rows.store && s.Kind == state.KindKeyValue && s.Logging {
				s.SourceTopic, s.Row = n.inputs[0].parent.Topics[0], n.rows.row
			}
		}
	}
}
