// Package serde turns typed keys and values into the bytes that stand in a log, and back.
//
// A [Serde] is a pure codec: it holds no state, does no I/O and may be used by several goroutines at once.
//
// Invariants:
//
//   - S1: a serde never sees null. Whether a key or a value is present at all is known beside it (the record, the store
//     entry), so Append is called with a real value and Decode with bytes that were present, be they empty.
//   - S2: Append only extends dst; it keeps no reference to dst or v.
//   - S3: the value that Decode returns does not alias src, unless the serde also implements [Aliaser] and says so.
//   - S4: byte formats equal those of Kafka's own serialisers where one of the same name exists (KIP-82 headers apart, a
//     Java application reads what Millrace writes).
//
// Formats that need a dependency of their own (Avro, Protobuf, a schema registry) live in sub-packages.
package serde
