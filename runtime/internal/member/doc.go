// Package member is the instance's membership in the consumer group: the classic protocol, cooperative, with the group's
// leader assigning tasks.
//
// A pure core takes answers, time and requests of the owner, and says what to do; [Member] is the shell that does it over
// a client, with one goroutine.
//
// The owner (the instance's lifecycle) is level-driven: it asks for the [Assignment] whenever Changed fires, starts what it
// may run and has not started, stops what it runs and may no longer, and says so with Release.
//
//	            lost tasks released         gate closed          answered            leader: planned
//	┌─ idle ─────────────────────► waiting ────────────► joining ──────────► planning ────────────► syncing ─┐
//	│   ▲                             ▲ ▲                   │                   (followers go straight to it) │
//	│   │ membership lost (any state) │ └───────────────────┘ refused: again after a while                    │
//	│   └─────────────────────────────┤                                                                       │
//	│                                 └── stable ◄────────────────────────────────────────────────────────────┘
//	└► left (any state)                     rebalance in the group, revoked tasks released, or asked for
//
// Invariants:
//
//   - M1 (G1): an identity carries the member id under which it was given; a new member id means a new Incarnation, and
//     what was owned under the old one is lost.
//   - M2 (G2): no JoinGroup is sent while a commit is between Enter and leave, and none enters while a JoinGroup is in flight.
//   - M3 (G3): a task is left out of what the member claims to own only after the owner released it.
//   - M4: a task is assigned to one member at a time: see package assign, A1.
//
// On the wire the group is one of consumers: subscription and assignment are in the consumer protocol's format, so that
// Kafka's tools show members, partitions and lag. What the tools do not know travels in its user data (see wire.go).
package member
