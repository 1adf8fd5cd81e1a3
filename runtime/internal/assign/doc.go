// Package assign decides which instance runs which task. It is a pure function: the group's leader calls it with what the
// members said of themselves, and equal input gives equal output.
//
// Invariants:
//
//   - A1: a task is given to at most one instance, and never to one other than its present owner as long as that owner
//     holds it: a task that must move is first taken away (cooperative rebalancing, Kafka Streams' R-52), and given in
//     the follow-up rebalance.
//   - A2: the target is balanced by capacity: no instance is above the share of its capacity, rounded up.
//   - A3: within A2 a task stays where it runs, else goes where it ran before, for the state is on that disk.
//   - A4: a target that has been reached is the target of the next call with the same instances and tasks.
package assign
