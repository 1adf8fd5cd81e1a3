// Package broker is a durable, single-node log broker that speaks the Kafka protocol and lives in the caller's process.
//
// Open starts it on a data directory. A client reaches it in one of two ways, or both at once:
//
//   - in process, through Dial, which returns one end of a memory pipe (no port, no TCP);
//   - over TCP, when Config.Listen names an address.
//
// Both ways are the same protocol, so any Kafka client works; the broker promises nothing that a client library could
// not see on a wire. PROTOCOL.md lists the keys and versions that are served.
//
// # Promises
//
//   - B1: an acknowledged record, offset, topic or transaction decision is on disk (Durability Sync, the default).
//   - B2: a transaction's end is one journal entry: its markers and its group offsets become visible together or never.
//   - B3: a restart is a pause. Groups, generations, members, offsets, producer epochs and open transactions survive it,
//     session timers start anew, and nobody is made to rebalance because the broker was away.
//   - B5: nobody gets at anything who is not on this machine, unless it is configured who may (Config.Security).
//   - B4: what a client sends costs memory and time by what it sent, never by what it promises to send.
//
// # Concurrency
//
// Every method of Broker may be called from any goroutine. Close stops everything that Open started and waits for it.
//
// # Metrics
//
// With Config.Metrics there are instruments: kafka.request.count, .failed and .errors, kafka.network.io, kafka.partition.count;
// millrace.broker.journal.entries, .written, .syncs and .sync_time; millrace.broker.connections, .groups, .transactions, .segments;
// millrace.broker.log.size, and by topic and partition log.start_offset, log.stable_offset and log.end_offset. They are read when they are
// collected; a request costs a few additions.
//
// # Left out
//
// Replication, by design: this broker is one machine. Whoever needs more points the same program at a Kafka cluster.
package broker
