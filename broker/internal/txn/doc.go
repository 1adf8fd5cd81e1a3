// Package txn is the core of the transaction coordinator: producer ids, their epochs, and which transaction of which
// transactional id is open on what. It is a state machine without clock, goroutine or I/O.
//
// # States
//
//	          InitProducerId                 a partition or a group is added
//	(none) ───────────────► Empty ──────────────────────────────────────────► Ongoing
//	                          ▲                                                 │
//	                          └─────────────────────────────────────────────────┘
//	                              EndTxn, time-out, InitProducerId of a successor
//
// There is no prepared state: the decision, the markers on all partitions and the group offsets are one journal entry,
// so that a transaction is open or ended, over every crash, and nobody has to be told to try again.
//
// # Invariants
//
//   - T1: a producer id is given out once, also over restarts: ids are reserved in blocks, by record, before use.
//   - T2: whoever begins a session with a transactional id ends the open transaction of the one before, and its epoch, in
//     one entry. A producer of an older epoch is refused from then on (fenced).
//   - T3: a time-out fences first: the epoch that it leaves is not the client's, so that a late commit never succeeds.
//   - T4: with transaction version 2 every end of a transaction raises the epoch, so that a delayed request cannot touch
//     the next transaction. An EndTxn is recognised as a retry by the id, epoch and decision of the last one.
//   - T5: an epoch that is used up gives a new producer id with epoch 0.
//   - T6: a transactional id is forgotten when it was not used for long, but never with a transaction open.
//
// # Concurrency
//
// A Coordinator belongs to whoever holds the lock of its shell (package coordinator).
//
// # Left out
//
// Two-phase commit by outside coordinators (KIP-939).
//
// # Sources
//
// Kafka's TransactionCoordinator and TransactionMetadata; KIP-98, KIP-360 (recovery of epochs), KIP-890 (transaction
// version 2).
package txn
