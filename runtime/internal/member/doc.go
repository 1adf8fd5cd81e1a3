// Package member is the instance's membership in the consumer group: the classic protocol, cooperative, with the group's
// leader assigning tasks.
//
// [Core] is a pure state machine: answers, time and requests of the owner in, effects out. [Member] is the shell that
// performs the effects over a client, with one goroutine.
//
// The owner (the instance's lifecycle) is level-driven: it asks for the [Assignment] whenever Changed fires, starts what it
// may run and has not started, stops what it runs and may no longer, and says so with Release.
//
// Invariants:
//
//   - M1 (G1): an identity carries the member id under which it was given; a new member id means a new Incarnation, and
//     what was owned under the old one is lost.
//   - M2 (G2): no JoinGroup is sent while a commit is between Enter and leave, and none enters while a JoinGroup is in flight.
//   - M3 (G3): the member rejoins without a task only after the owner released it.
//   - M4: a task is assigned to one member at a time: see package assign, A1.
package member
