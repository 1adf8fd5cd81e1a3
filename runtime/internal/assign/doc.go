// Package assign decides which instance runs which task. It is a pure function: the group's leader calls it with what the
// members said of themselves, and equal input gives equal output.
//
// Invariants:
//
//   - A1: a task is given to at most one instance, and never to one other than its present owner as long as that owner
//     holds it: a task that must move is first taken away (cooperative rebalancing, Kafka Streams' R-52), and given in
//     the follow-up rebalance.
//
//   - A2: the target is balanced by capacity: no instance is above the share of its capacity, rounded up, nor below it, rounded down; the tasks
//     with state are balanced so by themselves too.
//
//   - A3: within A2 a task stays where it runs, else goes where it ran before, for the state is on that disk.
//
//   - A4: a target that has been reached is the target of the next call with the same instances and tasks.
//
//   - A5: a task with state runs where its state is caught up, if that is so anywhere, or else where it lacks the least; meanwhile
//     at most MaxWarmups states are made ready where their tasks belong (KIP-441). So A2 holds once they are.
//     A task that is about to move is among the warm-ups where it moves to, so that its state stays up to date.
//
//   - A6: copies of a state lie on distinct instances, and never beside the task itself; on distinct values of the tags to
//     spread over as far as there are any (KIP-708).
//
//   - A7: if racks are known, the target has the least cost of traffic between them, and of moves, that is possible with as many tasks at each
//     instance (KIP-925): of the tasks with state and of the others. Nothing moves unless that lowers the cost, so A4 holds. Each copy of the states
//     likewise, as far as A6 allows.
//
// The target is this package's own ([Assign]), or one that an assignor of the application has made ([Apply]): then A1 alone is seen to.
//
// Sources: Kafka Streams' HighAvailabilityTaskAssignor, StickyTaskAssignor, RackAwareTaskAssignor and TaskAssignorConvergenceTest; M. Klein, A
// primal method for minimal cost flows (1967).
package assign
