// Package group is the core of the group coordinator: the classic consumer group protocol, that of KIP-848, and committed offsets, as a
// state machine without clock, goroutine or I/O.
//
// # Nouns
//
// A Coordinator holds all groups of a broker. A group goes through generations; each has members, a leader, a protocol
// that all members support, and assignments that the leader made. A call is a request that waits for other members:
// JoinGroup until the generation is complete, SyncGroup until the leader's assignment is there. Subscriptions and
// assignments are opaque bytes, protocol types opaque names: Kafka Connect and Kafka Streams bring their own.
//
// # States
//
//	          first join                    all joined, or time-out
//	Empty ───────────────► PreparingRebalance ───────────────────────► CompletingRebalance
//	  ▲                      ▲         │                                   │          │
//	  │   nobody joined      │         │             join with news, leave │          │ leader's SyncGroup
//	  └──────────────────────┼─────────┘         ◄─────────────────────────┘          ▼
//	                         └────────────────────────────────────────────────────── Stable
//
// # Invariants
//
//   - G1: what a restart must not lose is in records: generations with members and assignments, offsets, staged offsets.
//     A generation's record is complete in itself; replaying it into the group that made it changes nothing.
//   - G2: waiting calls, session timers, ids promised to members that must come back with them, and the state
//     PreparingRebalance are memory only: after a restart the last recorded generation goes on, with timers anew. A downgrade alone
//     records PreparingRebalance: the generation before was another kind of group's.
//   - G3: offsets change by Replay only, because the end of a transaction applies them in the entry that holds its
//     markers.
//   - G4: a later plain commit wins over an earlier staged one: entries carry their order, and staged ones apply only
//     over older ones.
//   - G5: an offset belongs to a topic's id. A topic created anew under the name has none.
//
// # Concurrency
//
// A Coordinator belongs to whoever holds the lock of its shell (package coordinator).
//
// # KIP-848 groups
//
// A group of the other kind has no leader and no generations. Its epoch is raised whenever its members, or the topics that they read,
// change; the coordinator itself then makes a target for that epoch, by the assignor that most members ask for, and every member comes to
// its part of it in its own time (consumer_reconcile.go): by heartbeats, which tell it what to give up and what to take. A group is of one kind
// at a time, which is not that of all its members:
//
//	              a member of KIP-848 joins
//	classic ─────────────────────────────────► KIP-848, where members of the classic protocol
//	        ◄───────────────────────────────── take their epochs for generations (consumer_classic.go)
//	              only classic members are left
//
// Neither moves anybody by itself: upgraded, members are where their leader has put them; downgraded, where their targets have, or they are
// told to join again (migration.go). Empty, a group becomes what the next one that joins asks for. The consumer protocol's bytes are read and
// written for this alone (subscription.go).
//
//   - G6: no partition is given to a member while another may have it, be it from before the group changed its kind.
//
// # Left out
//
// Racks.
//
// # Sources
//
// Kafka's GroupMetadataManager and ClassicGroup; KIP-345 (static members), KIP-394 (member id required), KIP-447 (fencing
// of transactional commits, unstable offsets), KIP-814 (static leader), KIP-848 (ConsumerGroup, CurrentAssignmentBuilder,
// RangeAssignor, UniformAssignor), KIP-1251 (epochs of partitions).
package group
