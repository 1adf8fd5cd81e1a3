// Package topologytest runs a topology in a test: without a broker, in one goroutine, on a clock that only the test moves.
//
// A [Driver] is a second shell around the very task core that the runtime drives (DESIGN D6), over stores in memory. Records
// are piped into an [Input] and read from an [Output]:
//
//	d := topologytest.New(t, top)
//	words := topologytest.NewInput(d, "words", serde.String, serde.String)
//	counts := topologytest.NewOutput(d, "counts", serde.String, serde.Int64)
//	words.Pipe("k", "hello world")
//	got := counts.ReadAll()
//
// It stands for Kafka Streams' TopologyTestDriver:
//
//   - A piped record is processed to the end before the call returns, what went through repartition topics included.
//   - After every record the driver commits, so that stores emit each change. With [ManualCommit] only Commit does, which
//     shows what the runtime does between two commits: one change per key.
//   - Every topic has one partition, so there is one task per sub-topology, unless [Partitions] says otherwise. The record taken next is
//     the one with the lowest event time over all tasks.
//   - A global table's record is applied at once.
//   - The wall clock stands still until AdvanceWallClock.
//
// Beside it: a [Mock] runs one processor alone; [Trace] shows a record's way through the graph; [OutOfOrder] shuffles records by a seed
// within bounds; [Golden] compares text, such as a description or [Render]ed output, with a file.
//
// A Driver belongs to the goroutine of its test. It closes itself when the test ends.
package topologytest
