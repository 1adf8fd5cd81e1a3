// Package task is the deterministic core that runs one sub-topology over one partition.
//
// A [Task] is given batches of records, the clock's readings and what the log says about lag; it reads no clock, starts no
// goroutine, and does no I/O but through its store layers and its [Output]. The worker and the test driver are two shells
// around it (DESIGN D6).
//
// The calls of a transaction, all by the goroutine that owns the task:
//
//	Offer, Lag      as fetches answer
//	Step            records, and the stream-time punctuations that they make due
//	Punctuate       once a round
//	Flush           nodes emit what they held back; stores append to their changelogs
//	Progress        the offsets to commit
//	                … the shell commits the transaction …
//	Committed       the stores' writes become committed state; counters show them
//
// To abort, close the task and build a new one from committed state: there is no undo.
//
//	New ──► running ──Close──► closed
//	 │         │ error            ▲
//	 ▼         ▼                  │
//	error    failed ────Close─────┘     failed: every method returns the sticky error
//
// Invariants:
//
//   - T1: the record taken next is the one with the lowest event time among the heads of the inputs, the first input of those
//     that tie; within an input, in offset order.
//   - T2: stream time and partition times never fall, not over a restart either.
//   - T3: Progress never points past a record that has not been processed or dropped, and after Flush nothing of what is
//     before it is held back.
//   - T4: once an error is sticky, nothing more is taken, sent or committed.
//   - T5: no user panic leaves the task; it becomes the sticky error, with the coordinates of its record.
//   - T6: drop counters count each record of a committed transaction once, however often the transaction was redone.
//
// It imports no Kafka client.
package task
