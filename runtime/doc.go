// Package runtime runs a topology: it reads the log, executes the topology's tasks, keeps their state, and commits input
// positions, output and state together, exactly once.
//
//	app, err := runtime.New(topology, runtime.Config{
//		ApplicationID: "flights",
//		StateDir:      "state",
//		Brokers:       []string{"localhost:9092"},
//	})
//	if err != nil { ... }
//	err = app.Run(ctx) // until ctx ends or something fails that trying again cannot help
//
// # Nouns
//
// An application is all instances with one ApplicationID: they are one consumer group and share its partitions. An instance
// is one App in one process, a member of the group. It has workers; a worker runs tasks in one goroutine and owns a fetcher
// and a transactional producer. A task is one partition of one sub-topology.
//
// # What is promised
//
// With Guarantee ExactlyOnce, the default: for every record of a source topic, the effect on sink topics and on
// state, as a read-committed reader and a restored store see it, is that of processing it once, in partition order. It
// does not cover calls to the outside world, wall-clock punctuation, or readers that read uncommitted. AtLeastOnce gives
// up the transaction: after a failure records are processed again.
//
// An instance that was killed goes on where its last transaction ended, with its state on disk: the changelog's tail is
// replayed, nothing is wiped. With the same StateDir it fences its own past at once; without one, or on another machine, the
// next owner waits for the open transaction's time-out (TransactionTimeout).
//
// # Concurrency
//
// Run is called once. Stats, State and CaughtUp may be called by any goroutine at any time. Handlers are called by worker
// goroutines, several at a time; the listener by one goroutine at a time, without locks held.
//
// Sources: Kafka Streams' threading model; KIP-98, KIP-447, KIP-890 (transactions); KIP-429 (cooperative rebalancing).
package runtime
