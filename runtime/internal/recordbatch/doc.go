// Package recordbatch builds and reads Kafka's record batches, format version 2 (magic 2), byte by byte.
//
// A [Builder] appends records in place into one growing buffer; Finish patches the header and the checksum. A [Reader] walks
// over the record set of one partition of a Fetch answer and is the runtime's implementation of task.Batch.
//
// Invariants:
//
//   - B1: what Finish returns is one complete batch with contiguous offsets 0..n-1, CRC-32C over everything after the CRC.
//   - B2: a Reader never panics, and holds at most 128 MiB for what one batch decompresses to, whatever the bytes are.
//   - B3: under read_committed a Reader shows no record of a transaction in the aborted list, and never a control record;
//     End still lies past them.
//
// A Builder and a Reader belong to one goroutine at a time. The package imports no Kafka client.
//
// Left out: the message sets of magic 0 and 1, which a broker of today no longer serves.
//
// Sources: Kafka protocol guide, "Record Batch"; KIP-98 (transactions), KIP-101 (leader epoch).
package recordbatch
