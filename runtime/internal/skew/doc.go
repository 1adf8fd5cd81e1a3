// Package skew keeps tasks close together in event time while they replay history (DESIGN D18): none runs more than a bound ahead of the
// slowest one that has data, so that what a slow task writes is not late where it meets what a fast one has written.
//
// Nouns: a bound is the event time of the next record of a task, or below it; the floor is the lowest bound of all tasks that have data;
// the limit, floor + skew, is the event time up to which a task may process. A [Board] is an instance's: its workers publish
// their bounds there, and it is shown what the group has committed for the tasks that do not run here.
//
// Invariants:
//
//	A1  What others see of a task is what it has committed: what it has processed and not committed nobody can read yet, and what is
//	    ahead of it would be read before it. A worker sees itself as it is: what its tasks write becomes visible at once, in the order
//	    in which it was written.
//	A2  The task with the lowest bound is never held: its bound is the floor. A task that is held says at which record, with a commit if
//	    need be; else two instances, each in front of a gap in its input, would wait for each other.
//	A3  A task without data holds nobody, nor does one that nothing is heard of for as long as a take-over takes.
//
// A record from the far future waits until all other tasks have no data. Kafka Streams has nothing like this; its synchronisation ends at
// the task.
package skew
