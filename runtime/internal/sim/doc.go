// Package sim is a simulation of an application of several instances, in one process and under one seed: the real worker, commit
// machine, membership, assignment, restoring, task core and state, over a model of the log. It has no other code than tests.
//
// A test runs in a bubble of testing/synctest, so that time is virtual. Every request to the log is a call that waits until
// the scheduler takes it: one call, one answer, one marker, one passage of time, one fault after the other, drawn from the
// seed, and nothing goes on before all goroutines wait again. So one seed is one history (TestRepeats).
//
// The scheduler may lose a request or its answer, hold both back for as long as it likes, and deliver what a dead or fenced
// instance once sent. It kills instances at any moment and at the named points C1 to C16, pauses them beyond their time-outs, stops and
// starts them, throws them out of the group. A killed instance loses what its disk had not synced, from any point on.
//
// The oracles recompute every output and every store from the committed log alone, at the end and, for the stores, after
// each crash. G1 to G4 of the design are followed where they can be seen at the log.
//
//	go test ./runtime/internal/sim -run TestSimulation -seeds 500     # more seeds
//	go test ./runtime/internal/sim -run TestSimulation -seed 17 -v    # one seed, with its trace
//
// The model of the log (log_test.go, group_test.go) has transactions as of KIP-890, whose markers are written one by one, offsets
// that are pending until theirs is, and groups of the classic protocol with static members. The Kafka client and the real
// coordinators are not in it: examples/ledger tests those, with processes.
package sim
