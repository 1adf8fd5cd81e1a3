// Package state holds the stores of a stream processing task: typed, transactional, and kept in bytes below.
//
// # Nouns
//
// A store has one partition for each partition of its task. A store partition is three layers over each other:
//
//   - the transaction layer, typed ([KeyValue], [LRU], [ListValue], [Window], [Session], [JoinWindow], [Versioned]): what this transaction has written, deduplicated by key. It is the
//     record cache of Kafka Streams as well: Changes gives one change per key and commit. It belongs to a task.
//   - the committed layer ([Partition] in a [DB]): bytes in memory, of what is committed and not yet in the engine, and of clean
//     entries as far as the bound goes. It outlives tasks.
//   - the [Engine], one for all stores of an instance: Pebble on disk, or a map in memory.
//
// Reads and scans see the first over the second over the third; a delete above hides what is below. A commit moves the
// first into the second. Beside that, a goroutine of the DB applies the second to the third in sorted batches. The changelog is
// what makes a store durable: Flush appends to it, and a Position says how much of it a partition holds.
//
// [Global] is the store of a global table: typed, in memory, shared by all tasks.
//
// A store of one's own wraps what another's [Spec] opens; the example of Spec shows it. An engine of one's own implements [Engine], and passes
// the suite of statetest.
//
// # Invariants
//
// Where code relies on one it names it: T1 to T3 stand at transaction, P1 to P3 at [Partition]. To users:
//
//   - S1: what is dropped or crashes before its commit was never there; what is committed is there, or is read again from the
//     changelog at the Position's offset.
//   - S2: iteration is in the order of the encoded bytes, not of the types (S-02 of Kafka Streams' rows).
//   - S3: changelogs are Kafka Streams', byte for byte: the plain value under the key, for windows key, start, sequence, for
//     sessions key, end, start; the time is the record's, and so are the headers of a store that keeps some ([KeepHeaders]).
//
// # Whose is a value
//
// User code may change the objects it is given, so a store that kept them would change behind its own back. A type is
// plain if it holds no pointers but those of strings: numbers, strings, and structs and arrays of such. Plain values are copied when
// they are handed over, and stay typed in memory. Of all others:
//
//   - A1: below the transaction layer there are only bytes.
//   - A2: in it a value is decoded at most once per key and transaction, into an object that is the store's own. Entry.Value lends it
//     to an operator, which may change it and give it back with Entry.Set; it is encoded once.
//   - A3: what Changes gives is frozen: the old value is decoded from the old bytes, the new one is given away and the store
//     keeps bytes.
//   - A4: Put and Entry.SetShared encode at once, Get and iterators decode anew: those objects are the caller's.
//   - A5: a serde whose values share memory with what it decodes (serde.Aliaser) is given copies.
//
// Built with the tag invariants, a commit encodes again whatever should not have changed, and refuses if it has.
//
// # Concurrency
//
// A typed store belongs to one task's goroutine. A Partition may be committed to or restored by one goroutine at a time. DB and
// Engine are safe for several. Lock order: DB.apply, DB.mu, Partition.mu; no lock is held over the engine's reads, except to
// open a scan.
//
// # Bounds
//
// [Config] bounds what waits for the engine, which holds commits back, and the clean entries. What a transaction has written is
// never evicted: the worker looks at Layer.Bytes and commits early.
//
// # Format
//
// FORMAT.md in this directory draws the keys and values of the engine.
//
// # Left out
//
// Queries from other goroutines are not here yet.
package state
