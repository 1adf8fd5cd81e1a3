// Package commitlog is the storage core of the broker: topics, their partitions and the coordinators' state, made durable
// by one journal (package journal) and kept for reading in segments.
//
// # Nouns
//
// A Log is one data directory. A Partition is one log of record batches. A Machine is replicated coordinator state
// (groups, transactions): it changes only by records that went through the journal. An entry is what the journal holds:
// a list of changes that happen together or not at all. An LSN numbers entries.
//
// # Invariants
//
//   - L1: every change is decided before its entry is written, and apply does the same thing live and in recovery. apply
//     reads no clock and cannot fail on an entry that was decided.
//   - L2: an entry is enqueued under the locks of all it changes, so that journal order is offset order.
//   - L3: high watermark = durable. Nothing above it is ever read, and a transaction that is decided but not yet durable
//     still holds the last stable offset back.
//   - L4: log start <= last stable offset <= high watermark <= end offset.
//   - L5: segments hold durable batches only, and what they hold beyond the last checkpoint is rewritten by recovery.
//   - L6: a failed write or sync stops writes for good: the same error for every waiter, now and later.
//   - L7: what lies below the log start may be gone: batches in memory once the entry that moved it is durable, files of segments once
//     a snapshot does without them. So nothing of a snapshot's segments is ever missing.
//
// # Concurrency
//
// All methods may be called from any goroutine. The lock order is: machines by ascending MachineID, the gate, the catalog,
// partitions by topic id and index, the journal. Each machine's lock belongs to the coordinator that owns it: it is held by the
// caller of Commit or Append for every machine whose records are passed in, and taken by the log only to snapshot.
//
// Durability order: journal entry synced -> high watermark moves -> waiters are answered. Segments synced -> their directories
// synced -> snapshot synced, renamed, directory synced -> older journal files reused, files of deleted topics and of
// purged segments removed.
//
// # Formats
//
// See broker/FORMAT.md.
//
// # Retention
//
// A housekeeper looks every RetentionInterval for what is older, or more, than its topic keeps (retained, a pure function), and moves log
// starts up by the same entry that DeleteRecords makes. The clock is read before the entry is made.
//
// # Compaction
//
// A compactor looks every CompactionInterval for compacted topics with enough closed and not yet compacted segments, and writes what
// package compact says stays of them into new files, beside serving. Swapping them in needs no entry: the snapshot names the files, and
// a crash before it leaves the old ones. L7 holds: old files go once a snapshot does without them. Reads that meet a swap begin again.
//
// # A full disk
//
// Before the reserve of disk space is used up, appends are refused with ErrFull, and resume when there is room: what is in memory can be
// written to segments, and whatever makes room goes on. A write that fails all the same stops the log (L6).
//
// # Left out
//
// Compressed batches are opened only to check keys of a compacted topic, or timestamps where the topic limits them or the header cannot
// be true.
package commitlog
