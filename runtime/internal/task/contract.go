package task

import "github.com/millrace-io/millrace/topology"

// Input is one input partition of a task.
type Input struct {
	Topic     string
	Partition int32
}

// Batch is a run of records of one input partition, in offset order, as fetched. The task takes it over and calls Release
// when it has read it to the end.
type Batch interface {
	// Next moves to the next record and fills r, whose slices stay valid until Release. It returns false at the end.
	Next(r *topology.Raw) (bool, error)
	// End is the offset after the batch, control records and filtered ones included: the position once it is read.
	End() int64
	// LeaderEpoch is the epoch of the batch, -1 if unknown.
	LeaderEpoch() int32
	// Bytes is the memory it holds, for back-pressure.
	Bytes() int
	Release()
}

// Progress is how far a task has come on one input partition: what its next commit says.
type Progress struct {
	Input
	LeaderEpoch   int32
	Next          int64 // offset of the next record to process
	PartitionTime int64 // highest event time seen, -1 if none
	// Times are event times of operators, by name, of some or all inputs of the task (D9). Of those that several have the latest counts.
	Times map[string]int64
}

// Output takes what a task writes in the open transaction: sinks and changelogs. The worker implements it over record
// batches, the test driver over slices.
type Output interface {
	// Partitions returns the partition count of a topic (full name): 0 if it does not exist, -1 if it cannot be looked up.
	Partitions(topic string) int32
	// Send appends a copy of r to the open batch of a topic partition. A *topology.WriteError says that the log does not take this
	// record, which changes nothing; any other error ends the transaction. If the log refuses the record later, Task.Refused is to be
	// told with the origin, which Send copies.
	Send(topic string, partition int32, r *topology.Raw, from *Origin) error
}
