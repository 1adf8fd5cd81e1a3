// Package worker is the loop that runs tasks: fetch, process, punctuate, commit (Kafka Streams' StreamThread).
//
// A [Worker] owns a fetcher, a transactional producer and its tasks, and runs them in one goroutine: no lock is taken for a
// record. The instance tells it by commands which tasks to run; it brings a task to where it can run (package restore) in
// goroutines beside the loop, so that running tasks never wait for one that is not ready.
//
// Invariants:
//
//	W1  a task is built when its offsets are fetched and its stores restored, by the worker's goroutine, and is used by
//	    no other.
//	W2  all tasks of a worker share one transaction. It commits with all of them or is lost with all of them.
//	W3  (G3) a task leaves the worker between transactions only: after a commit that held its offsets, or after an abort.
//	W4  after a failure of any kind no task goes on: all are closed, the producer gets a new session, and then they are
//	    made ready like new ones.
//	W5  while a commit is under way no task processes a record.
//	W6  records that are not committed are bounded: input by the fetcher's buffer, state by an early commit, output by
//	    the producer's buffer.
//
// Durable order of a commit: see package commit, which decides it; the worker performs.
package worker
