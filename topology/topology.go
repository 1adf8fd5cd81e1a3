package topology

import (
	"cmp"

	"github.com/millrace-io/millrace/state"
)

// Topology is what to run: nodes, the stores they use, and the topics that they read and write. It is data, made by a
// builder and not changed afterwards; the runtime, the test driver and Describe only read it.
type Topology struct {
	Nodes  []*Node // index = NodeID
	Stores []*state.Spec
	// Repartition are the topics between two of this topology's own nodes.
	Repartition []RepartitionTopic
	Globals     []GlobalTable
	// Copartitioned are groups of source topics whose partition counts must be equal. A repartition topic is
	// named by its Topic method.
	Copartitioned [][]string
}

// RepartitionTopic is an internal topic that regroups records by a new key.
//
// Its name has three forms. Name is the base name, the operator's or the user's: "by-city". Topic is what sources, sinks and
// Copartitioned hold, and what Describe prints: "by-city-repartition"; so a base name may equal a user topic's. The full
// name in the log is "<application id>-by-city-repartition", see Internal.
type RepartitionTopic struct {
	Name       string // base name
	Partitions int32  // 0: derived as X-06 says
	Suffix     string // empty: "-repartition". The topics of a foreign-key join end in "-topic"
}

// Topic returns the name that sources and sinks of the topology hold.
func (r RepartitionTopic) Topic() string { return r.Name + cmp.Or(r.Suffix, repartitionSuffix) }
