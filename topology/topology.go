package topology

import "github.com/millrace-io/millrace/state"

// Topology is what to run: nodes, the stores they use, and the topics that they read and write. It is data, made by a
// builder and not changed afterwards; the runtime, the test driver and Describe only read it.
type Topology struct {
	Nodes  []*Node // index = NodeID
	Stores []*state.Spec
	// Repartition are the topics between two of this topology's own nodes, named without the application id.
	Repartition []RepartitionTopic
	Globals     []GlobalTable
	// Copartitioned are groups of source topics whose partition counts must be equal. A repartition topic is named
	// as in Repartition.
	Copartitioned [][]string
}

// RepartitionTopic is an internal topic that regroups records by a new key. Its full name is
// "<application id>-<Name>-repartition"; sources and sinks hold Name, and Internal resolves it.
type RepartitionTopic struct {
	Name       string // base name
	Partitions int32  // 0: derived as X-06 says
}
