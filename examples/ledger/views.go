package main

import (
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/window"
	"github.com/millrace-io/millrace/topology"
)

// The windows of the activity. The grace period is a multiple of the size: then whether a record is late depends on the
// newest window alone, which a restarted task finds in its store.
const (
	windowSize  = 2 * time.Second
	windowGrace = 10 * windowSize
)

// sessionGap ends a session of an account. Sessions are kept well beyond the time at which they close, so that what a record finds
// depends on the entries alone.
const (
	sessionGap       = 250 * time.Millisecond
	sessionRetention = 2 * windowGrace
)

// views builds the application that reads the bank's ledger, with the DSL: how often each account was used in each window, how
// often in the end, once the window has closed, and in each session, how often it was the other side of an entry (by way of a
// repartition topic), the entries of the accounts that have an owner, with the owner, and each debit with the credit before it.
func views(n names) (*topology.Topology, error) {
	b := stream.NewBuilder()
	entries := stream.From(b, n.entries(), serde.String, serde.JSON[entry]())

	activity := stream.GroupByKey(entries).
		WindowedBy(window.Tumbling(windowSize).Grace(windowGrace)).
		Count(stream.Materialized(windowsName, serde.Int64))
	stream.ToStream(activity).To(n.activity(), window.KeySerde(serde.String, windowSize), serde.Int64)

	settled := activity.Suppress(stream.UntilWindowCloses(stream.Unbounded()), stream.Named(settledName))
	stream.ToStream(settled).To(n.settled(), window.KeySerde(serde.String, windowSize), serde.Int64)

	visits := stream.GroupByKey(entries).
		WindowedBySessions(window.Sessions(sessionGap).Grace(windowGrace)).
		Count(stream.Materialized(sessionsName, serde.Int64).Retention(sessionRetention))
	stream.ToStream(visits).To(n.visits(), window.SessionKeySerde(serde.String), serde.Int64)

	byPeer := stream.GroupedWith(serde.String, serde.JSON[entry]()).Named(byPeerName)
	peers := stream.GroupBy(entries, func(_ string, e entry) string { return e.Peer }, byPeer).
		Count(stream.Materialized(peersName, serde.Int64))
	peers.ToStream().To(n.peers(), serde.String, serde.Int64)

	owners := stream.GlobalTable(b, n.owners(), serde.String, serde.String)
	statements := stream.JoinGlobal(entries, owners,
		func(account string, _ entry) string { return account },
		func(e entry, owner string) statement { return statement{owner, e.Seq, e.Digest} })
	statements.To(n.statements(), serde.String, serde.JSON[statement]())

	is := func(kind string) func(string, entry) bool {
		return func(_ string, e entry) bool { return e.Kind == kind }
	}
	received := stream.ToTable(entries.Filter(is(credited)), stream.Materialized(receivedName, serde.JSON[entry]()))
	funded := stream.JoinTable(entries.Filter(is(debited)), received,
		func(debit, credit entry) funding { return funding{debit.Seq, credit.Seq, credit.Digest} })
	funded.To(n.funded(), serde.String, serde.JSON[funding]())

	return b.Topology()
}
