// Package batch reads and makes record batches of version 2 (magic 2), the only ones the broker stores.
//
// # Layout
//
//	 0 base offset        int64   ┐ outside of the checksum: the broker assigns them
//	 8 length             int32   │ of what follows, 49 or more
//	12 leader epoch       int32   │
//	16 magic              int8    ┘ 2
//	17 checksum           uint32    CRC-32C of byte 21 to the end
//	21 attributes         int16     0-2 codec, 3 log append time, 4 transactional, 5 control, 6 delete horizon
//	23 last offset delta  int32
//	27 base timestamp     int64
//	35 max timestamp      int64
//	43 producer id        int64
//	51 producer epoch     int16
//	53 base sequence      int32
//	57 record count       int32
//	61 records                      compressed as one block if a codec is set
//
// # Invariants
//
// Nothing here trusts a length or a count: no input makes a function panic, or allocate more than in proportion to the input
// and MaxDecompressed. Functions that take a raw batch and a Header assume that the header was parsed from it.
//
// Everything is a pure function of its arguments; concurrent use needs no care beyond not changing bytes that others read.
//
// Source: https://kafka.apache.org/documentation/#recordbatch
package batch
