// Package sim is a simulation of an application of several instances, in one process and under one seed: the real worker, commit
// machine, membership, assignment, restoring, keeper of standbys and warm-ups, task core and state, over a model of the log. It has no other code than tests.
//
// A test runs in a bubble of testing/synctest, so that time is virtual. Every request to the log is a call that waits until
// the scheduler takes it: one call, one answer, one marker, one passage of time, one fault after the other, drawn from the
// seed, and nothing goes on before all goroutines wait again. So one seed is one history (TestRepeats).
//
// The scheduler may lose a request or its answer, hold both back for as long as it likes, and deliver what a dead or fenced
// instance once sent. It kills instances at any moment, while they keep copies for others, and at the named points C1 to C16 and K1 to
// K4; it pauses them beyond their time-outs, stops and starts them, throws them out of the group. A killed instance loses what its disk had not
// synced, from any point on, and now and then its disk.
//
// The oracles recompute every output and every store from the committed log alone, at the end, for what stands on a disk after each crash, for
// a copy with each batch that it takes in, and for a task, be it restored or promoted from a copy, when it begins: there from its input. At the
// end every copy that is wanted must be there and lack nothing. G1 to G4 of the design are followed where they can be seen at the log, T4 where
// stores are written.
//
//	go test ./runtime/internal/sim -run TestSimulation -seeds 500     # more seeds
//	go test ./runtime/internal/sim -run TestSimulation -seed 17 -v    # one seed, with its trace
//
// The model of the log (log_test.go, group_test.go) has transactions as of KIP-890, whose markers are written one by one, offsets
// that are pending until theirs is, and groups of the classic protocol with static members. The Kafka client and the real
// coordinators are not in it: examples/ledger tests those, with processes.
package sim
