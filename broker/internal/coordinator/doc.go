// Package coordinator is the shell around the cores of package group, package txn and package access: it locks them, gives them the time,
// makes what they decide durable through the log, and wakes who waits for the outcome.
//
// # Order of effects
//
// A core decides under its lock. The records go to the log, which enqueues and replays them under the same lock. Answers
// carry the log sequence number of what they rest on and are given out only when that is durable, so nobody is told what
// a crash could take back.
//
// # Invariants
//
//   - C1: the transaction machine is locked before the group machine (ascending MachineID), and only the end of a
//     transaction and TxnOffsetCommit lock both. The access machine is locked by itself.
//   - C2: the end of a transaction is one entry: state, markers, group offsets.
//   - C3: a transactional append that opens the partition, and the record that says so, are one entry under the
//     transaction machine's lock. An append to a partition that is already open needs no lock: the partition itself
//     refuses it once a marker has ended the transaction there.
//
// # Goroutines
//
// One for the timers of each machine and one for transactional ids that expire, started by Start and stopped by Close.
package coordinator
