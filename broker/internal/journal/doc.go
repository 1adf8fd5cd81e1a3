// Package journal is the broker's write-ahead log: one sequence of entries, made durable in groups.
//
// # Nouns
//
// An entry is opaque bytes with an LSN. A group is what one write holds. An epoch numbers journal files: each file has one, and
// files are reused under a new one, so that what is left from an earlier use cannot be mistaken for entries.
//
// # Invariants
//
//   - J1: entries are written in the order of their LSNs, which have no gap, over all files.
//   - J2: a group's header names the last LSN that was durable (synced) before the group was written. So a header that can be read
//     vouches for everything up to that LSN.
//   - J3: nothing is written to a file before the file, its header and its directory entry are synced, and before everything in
//     the file before it is synced.
//   - J4: a failed write or sync is final.
//   - J5: at replay, a bad entry above the highest LSN that any readable header vouches for is a torn tail: it was never
//     acknowledged, and ends the replay. One at or below it is corruption, and refused.
//
// # Concurrency
//
// Enqueue never does I/O. One committer goroutine, started by Open and ended by Close, takes everything that is pending, writes it,
// syncs once, tells the owner (Config.Durable), and then wakes those that wait. Whatever arrives meanwhile is the next round.
//
// The layout is drawn in broker/FORMAT.md.
package journal
