package plan

import "github.com/millrace-io/millrace/state"

// rows says of a node that its store holds the rows of the topic that it reads.
type rows struct {
	store string
	valid func(key, value []byte, timestamp int64) bool // which records make rows
}

// HoldsTopic says that a store of n, if there is one, holds the last record of each key of the one topic that n's parent reads, as it
// is, but for those that are not valid.
func (n *Node) HoldsTopic(store string, valid func(key, value []byte, timestamp int64) bool) {
	n.rows = rows{store, valid}
}

// ReuseSources lets Topology restore tables from the topics that they are read from.
func (g *Graph) ReuseSources() { g.reusing = true }

// reuseSources makes the topic of a table the changelog of its store. Versioned stores keep their own: a compacted topic does not have the
// history.
func (g *Graph) reuseSources() {
	for _, n := range g.nodes {
		if n.rows.valid == nil {
			continue
		}
		for _, s := range g.stores {
			if s.Name == n.rows.store && s.Kind == state.KindKeyValue && s.Logging {
				s.SourceTopic, s.Valid = n.inputs[0].parent.Topics[0], n.rows.valid
			}
		}
	}
}
