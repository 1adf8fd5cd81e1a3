// Package restore makes tasks ready to run: it finds where their input goes on, and brings their stores to where their
// changelogs end.
//
// It is the one path to a running task, at the start, after a move and after every failure (S6): whatever a transaction
// left, the group's stable offsets and the committed changelog tell.
//
// Rules:
//
//	T1  (G4, S-37) the group's stable offsets are fetched first, then the changelogs' ends as high watermarks, then
//	    committed data is read up to those. A transaction that the offsets include has its changelog records below that
//	    end; asked the other way around, or at the last stable offset, a commit could fall between.
//	T2  a store is trusted only if it names the very log, topic and partition that is read, and an offset within it
//	    (DESIGN D5). Otherwise it is emptied and rebuilt, with a warning; if the changelog is empty while the store is
//	    not, nothing is touched and the start refused.
//	T3  a partition without a committed offset starts at its log's start, or where its source says (auto.offset.reset). That is an
//	    error where an offset must exist: this process has committed one, or the task's changelog holds committed data.
//
//	T5  a store whose changelog is an input of its task is read up to that input's committed offset, not to its end: what lies
//	    beyond will be processed. It has no copies, which would run ahead of the task.
//	T6  one task's failure is no other's: whatever keeps a task from being made ready, the others are, and the error says
//	    which it is (Failed).
//	T7  a store that has been behind its changelog for more than half of delete.retention.ms is made anew: a delete that it has not seen
//	    may have been compacted away, and its key would stay. When a store last had all of its changelog is kept with its position.
//
// Beside that, a [Keeper] keeps copies of stores whose tasks run elsewhere.
//
// Prepare runs in a goroutine of the caller's, beside the workers; it restores store partitions in parallel lanes, each in
// one goroutine. Large ones are restored in bulk, one at a time in each lane: their records become sorted runs that the engine ingests. What was
// read when a restore is interrupted is kept, and the next one goes on from there.
package restore
