package topology

import (
	"fmt"
	"reflect"

	"github.com/millrace-io/millrace/state"
)

// NodeID numbers a node within one topology, in the order of creation.
type NodeID int32

// Kind is what a node is to the runtime.
type Kind uint8

// The kinds of node.
const (
	KindProcessor Kind = iota // has parents, may have children and stores
	KindSource                // reads topics, has no parents
	KindSink                  // writes one topic, has no children
)

// Edge is the type of the records on an edge. Two nodes may be joined only where the edges are equal; Validate checks it.
type Edge struct{ Key, Value reflect.Type }

// EdgeOf returns the edge that carries Record[K, V].
func EdgeOf[K, V any]() Edge { return Edge{reflect.TypeFor[K](), reflect.TypeFor[V]()} }

// Node is one step of a topology, its types erased. Erasure sits in the function fields and nowhere else: Build is given
// the children as one value and returns typed code, Fan makes one typed Emit of several. Both are made where the
// types are known.
type Node struct {
	ID       NodeID
	Name     string // the name contract of DESIGN D10: KSTREAM-FILTER-0000000003 or the user's
	Line     string // of the program that made it, for messages, see Where; may be empty
	Kind     Kind
	In       []Edge // one per port; empty for a source
	Out      Edge   // zero for a sink, or a node that emits nothing
	Parents  []NodeID
	Ports    []int    // Ports[i] is the port of this node that Parents[i] feeds
	Children []NodeID // in the order they were attached, which is the order they are called in
	Stores   []string // names of the stores it uses

	Topics []string // of a source; a repartition topic by its Topic method
	// Pattern says that a source reads all topics whose names match it. Topics then holds what stands for them, see Topology.Match.
	Pattern *Pattern
	Reset   OffsetReset // of a source
	Topic   string      // of a sink; likewise. Empty if it is dynamic
	// Dynamic says that a sink chooses the topic of each record (P-29).
	Dynamic bool

	// Build makes the running node for one task. down is the Emit[K, V] that takes what it emits (nil for a sink or a
	// node that emits nothing), already fanned out. It returns one value per port: an Emit[K, V] of the port's types; for a
	// source one NewHead.
	Build func(s Scope, down any) (Instance, error)
	// Fan returns one Emit[K, V] of this node's Out types that calls each of the children in order; a child is an Emit[K, V] or
	// one behind a Guard, see EmitOf. Nil if Out is zero.
	Fan func(children []any) any
}

// Instance is a node built for one task.
type Instance struct {
	Ports []any // Emit[K, V] per port; for a source one NewHead
	// Flush emits what the node holds back for the commit: the changes of its stores, one per key, in the order of the
	// keys' last writes. The task calls it on nodes in topological order, again until nothing is dirty.
	// It may be nil.
	Flush func() error
	// Close releases what the node holds. It may be nil.
	Close func() error
}

// NewHead returns a new Head. The task holds one for each input partition of the source.
type NewHead func() Head

// Head is the typed end of one record queue: it decodes the record at the head of the queue, so that its event time is
// known before it is processed.
type Head interface {
	// Decode decodes r and holds the result until the next Decode. partitionTime is the highest event time seen on the
	// partition, -1 if none. It returns the event time that the source's timestamp extractor chose; a negative one
	// means: drop the record as ReasonTimestamp. An error goes to the deserialisation handler, see ReasonOf.
	Decode(c Coordinates, r *Raw, partitionTime int64) (timestamp int64, err error)
	// Emit sends the decoded record down.
	Emit()
}

// GlobalTable is a table of which every instance holds all partitions, or a store that a processor of the user's fills from all of them. Its records reach the store before the first task
// starts and beside the tasks from then on.
type GlobalTable struct {
	Name   string // of the node that fills the store: KTABLE-SOURCE-0000000002
	Source string // of the source node before it; empty: Name with "-source"
	Topic  string
	Store  string // name of its store in Topology.Stores
	After  int    // number of nodes that were made before it, for the numbers of sub-topologies
	// Build makes the code that fills the store; nil: the topic's records are the store's rows. See NewGlobalStore.
	Build func(scope GlobalScope, store state.GlobalLayer) (GlobalInstance, error)

	reset OffsetReset // that its source was given
}

// String returns the edge as "Record[K, V]".
func (e Edge) String() string {
	if e == (Edge{}) {
		return "nothing"
	}
	return fmt.Sprintf("Record[%v, %v]", e.Key, e.Value)
}
