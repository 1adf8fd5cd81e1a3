// Package compact decides what log compaction removes. It is a pure core: it reads no file and no clock. The shell, package
// commitlog, feeds it batches in offset order, twice, and writes what it returns.
//
// # Nouns
//
// A Round compacts the oldest segments of a partition up to some end. Its dirty part is what no round has seen before. Keys is the
// last offset of each key of the dirty part. A Filter goes over all batches of the round. A delete horizon is the time after which a
// tombstone or a marker may go; it is written into its batch by the first round that meets it (KIP-534).
//
// # Invariants, which are Kafka's
//
//   - K1: a round ends at or below the last stable offset, before the segment that is written, and before segments with records
//     younger than min.compaction.lag.ms.
//   - K2: a record stays if it is the last one of its key, up to where Keys ends; beyond that every record stays.
//   - K3: offsets, producers, sequence numbers, and a batch's last offset do not change; a batch that loses nothing keeps its bytes.
//   - K4: a tombstone that is the last of its key stays until its horizon has passed.
//   - K5: records of aborted transactions go. The marker of a transaction stays as long as one batch of it is left, and from then on until
//     a horizon has passed.
//   - K6: the last batch of each producer that the partition knows stays, without its records if need be, and so does the last batch
//     of a round: they say where sequence numbers and offsets were.
//   - K7: what cannot be looked into stays as it is. It was acknowledged.
//
// # Memory
//
// Keys is bounded: when it is full, the dirty part ends there, and the next round goes on.
//
// # Left out
//
// max.compaction.lag.ms of a tombstone: rounds begin because of dirty bytes or of the age of dirty records, not because a horizon has
// passed, as in Kafka.
//
// Sources: Kafka's Cleaner, LogCleanerManager and MemoryRecords.filterTo.
package compact
