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
// # What fails
//
// A failure takes one of three doors, each with a [Handler]: a record that cannot be decoded (Config.Deserialization), an error or
// a panic of a node (Processing), a record that cannot be encoded or that the log does not take (Production): too large for its topic,
// refused by the broker after it was sent, or for a partition that cannot be written in time. The handler
// answers [Fail], [Continue] or [Retry], and may send the record to Config.DeadLetterTopic with Kafka Streams' headers
// (Failure.DeadLetter), in the transaction of the record. The processor of a global store has a handler of its own (GlobalProcessing), and without
// one stops the instance. Dead letters are not written for records that global tables or the operators
// themselves drop, nor is a handler asked about what a changelog does not take: a store would not be what is restored.
//
// A broker refuses a batch before it appends any of it. So a record that the broker has refused is left out of its transaction, which goes
// on: the rest of the batch is sent again without it. Kafka Streams has to lose the transaction there, for its producer does. Only where
// an answer was lost, so that the log may hold what is to be left out, is the transaction aborted and done again without that partition.
//
// What no handler lets pass, and trying again cannot help, goes to Config.Uncaught, which chooses an [Action]: stop the instance (the
// default), stop the application, replace the worker, or stop the task alone. What may pass by itself (time-outs, leaders that move,
// fencing, rebalances) never comes so far: the transaction is aborted and its records are processed again, for at most TaskTimeout
// without a commit.
//
// # Where tasks run
//
// The instance that leads the group decides. A task stays where it runs, as far as the number of tasks by worker is balanced, of those with state by
// themselves too; it moves only to where its state is, which is made ready there before ([Config], AcceptableRecoveryLag and
// MaxWarmupReplicas). Where brokers and instances say in which rack they are, tasks and copies of states go where their data has replicas
// (RackAwareStrategy), and replicas are read (ClientRack). An [Assignor] may decide instead: [StickyAssignor], or one of the application's own.
//
// # Memory
//
// Bounded over the instance, however many workers and tasks it has: what is fetched ([Config], InputBytes), uncommitted (DirtyBytes), not yet
// acknowledged (OutputBytes), and cached of what is committed (CacheBytes); what is committed and not on disk yet, 128 MiB; runs of what is
// restored, 128 MiB; Pebble's blocks and memtables, 64 MiB. A join's windows and a table's rows take no more than that either: the rest of them is on disk.
//
// Go lets the heap grow to twice what is alive before it collects. The environment variable GOMEMLIMIT bounds that: a stream-stream join at full
// speed on the embedded broker, with 420 MB alive, took 920 MB, and with a limit of 500 MiB 520 MB and a fifth more processor time.
//
// # Control
//
// [App.Pause] and [App.Resume] stop and go on with processing; [App.AddWorker] and [App.RemoveWorker] change the number of workers;
// [App.Stop] ends Run, and says whether the group waits for the instance ([KeepMembership]).
//
// # Concurrency
//
// Run is called once. Every other method of App may be called by any goroutine at any time. Handlers are called by worker
// goroutines, several at a time; the listener by one goroutine at a time, without locks held.
//
// Sources: Kafka Streams' threading model; KIP-98, KIP-447, KIP-890 (transactions); KIP-429 (cooperative rebalancing);
// KIP-441, KIP-708, KIP-924, KIP-925 (assignment), KIP-392 (nearest replica);
// KIP-161, KIP-210, KIP-1033, KIP-1034 (handlers, dead letters); KIP-671 (uncaught failures); KIP-663, KIP-812, KIP-834 (control).
package runtime
