package main

import (
	"fmt"
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/window"
	"github.com/millrace-io/millrace/topology"
)

// What the jobs are made of; java/Jobs.java has the same.
const (
	windowSize    = 10 * time.Second
	finalSize     = time.Second // of the windows whose final results are asked for
	sessionGap    = 500 * time.Millisecond
	sessionGrace  = time.Second
	joinWithin    = 500 * time.Millisecond
	joinGrace     = 10 * time.Second
	secondKeys    = 10_000
	storeOfCounts = "counts"
)

// names are the topics of one run.
type names struct{ in, other, out string }

// buildJob returns the topology of a job.
func buildJob(job string, n names) (*topology.Topology, error) {
	b := stream.NewBuilder()
	build, ok := map[string]func(*stream.Builder, names){
		"passthrough": passThrough, "count": count, "window": windowed, "join": joinTable, "repartition": repartition,
		"streamjoin": joinStreams, "session": sessions, "suppress": suppress,
	}[job]
	if !ok {
		return nil, fmt.Errorf("there is no job %q", job)
	}
	build(b, n)
	return b.Topology()
}

// passThrough copies each value, with one more in its last byte.
func passThrough(b *stream.Builder, n names) {
	in := stream.From(b, n.in, serde.Bytes, serde.Bytes)
	stream.MapValues(in, func(v []byte) []byte {
		out := append([]byte(nil), v...)
		out[len(out)-1]++
		return out
	}).To(n.out, serde.Bytes, serde.Bytes)
}

func grouped(b *stream.Builder, n names) stream.GroupedStream[string, []byte] {
	return stream.GroupByKey(stream.From(b, n.in, serde.String, serde.Bytes))
}

func counts() stream.Store[int64] { return stream.Materialized(storeOfCounts, serde.Int64) }

func count(b *stream.Builder, n names) {
	grouped(b, n).Count(counts()).ToStream().To(n.out, serde.String, serde.Int64)
}

func windowed(b *stream.Builder, n names) {
	table := grouped(b, n).WindowedBy(window.Tumbling(windowSize)).Count(counts())
	stream.ToStream(table).To(n.out, window.KeySerde(serde.String, windowSize), serde.Int64)
}

func suppress(b *stream.Builder, n names) {
	table := grouped(b, n).WindowedBy(window.Tumbling(finalSize)).Count(counts()).
		Suppress(stream.UntilWindowCloses(stream.Unbounded()))
	stream.ToStream(table).To(n.out, window.KeySerde(serde.String, finalSize), serde.Int64)
}

func sessions(b *stream.Builder, n names) {
	table := grouped(b, n).WindowedBySessions(window.Sessions(sessionGap).Grace(sessionGrace)).Count(counts())
	stream.ToStream(table).To(n.out, window.SessionKeySerde(serde.String), serde.Int64)
}

func repartition(b *stream.Builder, n names) {
	in := stream.From(b, n.in, serde.String, serde.Bytes)
	second := stream.GroupBy(in, func(_ string, v []byte) string {
		return string(appendKey(make([]byte, 0, keyBytes), secondPrefix, secondIndex(v)))
	}, stream.GroupedWith(serde.String, serde.Bytes).Named("second"))
	second.Count(counts()).ToStream().To(n.out, serde.String, serde.Int64)
}

const joinedLeft = 84 // bytes of a joined value that come from the stream; the rest is the row's

func joinTable(b *stream.Builder, n names) {
	rows := stream.Table(b, n.other, serde.String, serde.Bytes, stream.Materialized("rows", serde.Bytes))
	in := stream.From(b, n.in, serde.String, serde.Bytes)
	stream.JoinTable(in, rows, joinedRow).To(n.out, serde.String, serde.Bytes)
}

func joinedRow(value, row []byte) []byte {
	out := append(make([]byte, 0, valueBytes), value[:joinedLeft]...)
	return append(out, row[:valueBytes-joinedLeft]...)
}

func joinStreams(b *stream.Builder, n names) {
	left := stream.From(b, n.in, serde.String, serde.Bytes)
	right := stream.From(b, n.other, serde.String, serde.Bytes)
	stream.Join(left, right, joinedPair, window.Within(joinWithin).Grace(joinGrace),
		stream.StreamJoinedWith(serde.String, serde.Bytes, serde.Bytes)).To(n.out, serde.String, serde.Bytes)
}

// joinedPair is the numbers of the two records.
func joinedPair(left, right []byte) []byte {
	return append(append(make([]byte, 0, 16), left[:8]...), right[:8]...)
}
