// Package client is the runtime's one adapter to the Kafka protocol. Nothing else in the runtime imports a Kafka client.
//
// A [Client] makes single requests: metadata, topics, offsets, and the requests of group membership. A [Producer] writes
// record batches, transactionally or not. A [Fetcher] reads them. All requests are raw: franz-go's client only carries
// them, negotiates versions and finds coordinators (DESIGN D16).
//
// Invariants:
//
//   - N1: versions are decided once, by one ApiVersions call in Connect: EndTxn 5, Produce 12 and TxnOffsetCommit 5 are sent
//     only where transaction.version 2 is finalised (KIP-890).
//   - N2: a batch is sent again only with the sequence it was first given, and only while no later batch of its partition
//     has been sent. So a retry cannot duplicate or reorder.
//   - N3: the Producer never has a request in flight for a transaction that End has been called on.
//   - N4: the Fetcher never moves a position by itself except past what it handed out. An offset out of range is an error,
//     if the leader says so: a replica may lag behind.
//   - N5: every failure that comes out of this package has a class, see ClassOf.
//   - N6: what a broker refuses it has not appended, unless an answer was lost or the leader had lost its part: the rest of a batch may be
//     sent again under the same sequence, without the records at fault (Refusal).
//   - N7: a node that has said for how long it wants to be left alone (KIP-219) is sent no batch and no fetch before, but for maxThrottle;
//     until then a batch's time to be delivered has not begun.
//
// Concurrency: a Client is safe for use by several goroutines. A Producer belongs to one goroutine, which may build a batch
// while its own sender goroutines send earlier ones. A Fetcher's methods are safe for use by several goroutines; it
// owns one goroutine per node that it asks, and one that looks for leaders.
//
// Left out: fetch sessions (KIP-227).
package client
