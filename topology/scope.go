package topology

import "github.com/millrace-io/millrace/state"

// Scope is all that a node can reach while its task runs. The task core implements it, for the runtime and for the test
// driver alike. Every method must be called by the goroutine that runs the task.
type Scope interface {
	// Partitions returns the partition count of a topic that a sink of this task writes: 0 if it does not exist, -1 if it cannot be looked
	// up.
	Partitions(topic string) int32
	// Send appends r to a topic in the open transaction, for a node. It copies r. A *WriteError says that the log does not take this
	// record: the node hands it to Fail. Any other error is already sticky in the task. A record that the log refuses later than that
	// goes to the production handler by itself.
	Send(node NodeID, topic string, partition int32, r *Raw) error
	// Store returns the layer of a store that the topology declares for this sub-topology; the typed store behind it is
	// found by a type assertion, once, in Build. It returns nil for an unknown name.
	Store(name string) state.Layer
	// StreamTime is the highest event time that the task has taken so far, -1 before the first record.
	StreamTime() int64
	// Now is the worker's wall clock in milliseconds, read once a round.
	Now() int64
	// Partition is the partition that the task works on: the second half of its id.
	Partition() int32
	// Source returns where the record that is being processed came from.
	Source() Coordinates
	// SetSource makes c the source from now on, until the record or the flush at hand ends, and returns what it was: a node that
	// emits what it held back shows where that came from (D-50).
	SetSource(c Coordinates) Coordinates
	// Child returns the port of the child of a node that has that name, and whether there is one that it feeds on one port.
	Child(node NodeID, name string) (port any, ok bool)
	// Schedule calls f every interval milliseconds, of wall-clock time if wall, else of stream time, until cancel.
	Schedule(interval int64, wall bool, f func(now int64) error) (cancel func())
	// Fail hands an error of a node to the processing handler, an *EncodeError or *WriteError to the production handler. nil
	// means: the record is dropped and counted, go on. Any other result is sticky in the task, which stops after the record; the
	// node returns without emitting.
	Fail(node NodeID, err error) error
	// Guarded reports whether a handler may let the task go on after a failure of a node. Then panics are caught at the node,
	// see Guard, and user code must not leave anything half done in what the node goes on with.
	Guarded() bool
	// Drop counts and logs a record that node leaves out, with the source's coordinates. detail may be nil.
	Drop(node NodeID, reason Reason, detail error)
	// RequestCommit asks for a commit at the next opportunity (P-15).
	RequestCommit()
	// OperatorTime returns where an operator keeps the highest event time that it has taken, under the name of its store (of the first,
	// if there are two): -1 before the first record. The operator raises it as it goes. What it holds at a commit is kept with the
	// committed offsets, so that a restart does not set it back and reopen windows (DESIGN D9, a deviation from X-19).
	OperatorTime(store string) *int64
	// LastClose is as OperatorTime, for the time up to which an operator has emitted the windows that have closed (D-88).
	LastClose(store string) *int64
}

// Coordinates name one record of the log. They are defined in state, since stores remember what was written last.
type Coordinates = state.Coordinates

// Reason says why a record was dropped. Counters and log lines carry it.
type Reason string

// Reasons that the library itself uses. An error may bring its own, see ReasonOf.
const (
	ReasonNullKey         Reason = "null key"
	ReasonNullValue       Reason = "null value"
	ReasonLate            Reason = "late"
	ReasonOutOfOrder      Reason = "out of order" // a table's update that is not its latest
	ReasonOvertaken       Reason = "overtaken"    // an answer in a foreign-key join to a row that has changed since (D-135)
	ReasonTimestamp       Reason = "invalid timestamp"
	ReasonDeserialization Reason = "deserialization"
	ReasonProcessing      Reason = "processing"
	ReasonSerialization   Reason = "serialization"
	ReasonProduction      Reason = "production" // the log does not take it
	ReasonPartition       Reason = "no partition"
	ReasonUnkeyed         Reason = "null key before repartition" // not among Kafka Streams' dropped records
)
