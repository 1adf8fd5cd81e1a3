package topology

// Subtopology is a part of a topology that runs in one task per partition: nodes connected by edges or by a shared store
// . A repartition topic cuts.
type Subtopology struct {
	// Number is the first half of its task ids. Numbers are Kafka Streams', which counts the global tables too: they may have
	// gaps, so find a sub-topology by its number, not by its index.
	Number  int32
	Nodes   []NodeID // in topological order: parents before children, else by id
	Sources []string // topics it reads, sorted, as the nodes hold them (see Topology.Internal)
	Sinks   []string // topics it writes, sorted, likewise
	Stores  []string // its stores, sorted, without those of global tables
	Globals []string // stores of global tables that its nodes read, sorted
}

// Subtopologies returns the sub-topologies of t, by number. t must be valid.
func (t *Topology) Subtopologies() []Subtopology { return nil }

// Subtopology returns the sub-topology of that number.
func (t *Topology) Subtopology(number int32) (Subtopology, bool) {
	for _, s := range t.Subtopologies() {
		if s.Number == number {
			return s, true
		}
	}
	return Subtopology{}, false
}
