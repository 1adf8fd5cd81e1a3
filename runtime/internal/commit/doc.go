// Package commit decides when a worker commits and what it does step by step, as a pure state machine: events in, one
// effect out. The worker performs the effect and feeds its outcome back.
//
//	          Dirty          Due            Flushed           Entered            OffsetsSent            Produced          Ended
//	Idle ───► Open ───► Flushing ───► Entering ───► Offering ───► Producing ───► Ending ───► Applying ───► Idle
//	                                     ▲  generation renewed │                                  │ Applied
//	                                     └─────────────────────┘
//	any ── any other ending ──► Recovering ── Recovered ──► Idle        any ── fatal ──► Stopped ── Restart ──► Recovering
//
// The offsets go out while the log writes the batches of the flush: both are parts of one transaction, whose end waits for both.
// Durable order: outputs, changelogs and offsets, then the transaction's end, then the committed layers. Everything
// before the end of the transaction is invisible to a read-committed reader.
//
// Rules:
//
//	C1  Applied follows a clear success of the transaction's end and nothing else.
//	C2  every other ending of every step takes one path, Recover: new producer session with the same id, layers
//	    dropped, offsets read anew, changelog tail replayed. It never asks whether the commit happened.
//	C3  a transaction commits with the member id under which it was begun (G1). A newer generation of that member is
//	    taken inside the transaction.
//	C4  offsets are sent between Enter and Leave of the membership gate only, so that none is in flight while the
//	    member joins (G2).
//	C5  two fencings within a minute, of a transaction younger than its time-out, stop the instance: another process
//	    uses its id.
//
// In at-least-once mode there is no transaction: Producing follows Flushing, since offsets say that what comes before them is in the log;
// then Entering, Offering, which commits the offsets, and Applying.
//
// The package also holds the class of every failure (Classify), the policy that says when a commit is due (Policy,
// DESIGN D17) and the metadata of committed offsets (Metadata, in Kafka Streams' format).
package commit
