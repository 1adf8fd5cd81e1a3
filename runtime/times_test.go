package runtime_test

import (
	"slices"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime"
	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/commit"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/window"
	"github.com/millrace-io/millrace/topology"
)

// runOn lets an instance, whose state is not on this disk, process records, and ends it; it returns how many it dropped as late.
func runOn(t *testing.T, l *testLog, top *topology.Topology, id, in string, records ...record) (late int64) {
	t.Helper()
	for i := range records {
		records[i].timestamp += eventBase
	}
	l.write(t, in, records)
	app := l.start(t, top, runtime.Config{ApplicationID: id, StateDir: t.TempDir(), Workers: 1, TransactionTimeout: takeOver()})
	eventually(t, 30*time.Second, "all is processed", func() bool { return l.drained(t, id, in) })
	if err := app.stop(); err != nil {
		t.Fatal(err)
	}
	for _, d := range app.Stats().Dropped { // complete once it has stopped
		if d.Reason == topology.ReasonLate {
			late += d.Count
		}
	}
	return late
}

// at makes a record at seconds of event time.
func at(seconds int64, key string) record {
	return record{key: key, value: "v", timestamp: seconds * 1000}
}

// results returns what windows of a minute were written, as "key start count", starts in seconds of event time.
func windowResults(t *testing.T, l *testLog, topic string) (results []string) {
	t.Helper()
	keys := window.KeySerde(serde.String, windowSize)
	for _, r := range l.read(t, topic) {
		k, err := keys.Decode([]byte(r.key))
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, k.Key+" "+time.Duration((k.Start-eventBase)*int64(time.Millisecond)).String()+" "+string('0'+rune(int64Of(r.value))))
	}
	return results
}

// D9: what was late before a restart is late after it, though the newest window began long before.
func TestWindowsStayClosedOverARestart(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	in, out, id := unique(t, "in"), unique(t, "out"), unique(t, "app")
	l.createTopics(t, 1, in, out)
	b := stream.NewBuilder()
	counts := stream.GroupByKey(stream.From(b, in, serde.String, serde.String), stream.GroupedWith(serde.String, serde.String)).
		WindowedBy(window.Tumbling(windowSize).Grace(30 * time.Second)).
		Count(stream.Materialized("windows", serde.Int64))
	stream.ToStream(counts).To(out, window.KeySerde(serde.String, windowSize), serde.Int64)
	top, err := b.Topology()
	if err != nil {
		t.Fatal(err)
	}
	if late := runOn(t, l, top, id, in, at(10, "a"), at(119, "b")); late != 0 {
		t.Fatalf("%d records were late", late)
	}
	if late := runOn(t, l, top, id, in, at(50, "a"), at(61, "b")); late != 1 {
		t.Errorf("%d records were late after the restart, want 1", late)
	}
	if got, want := windowResults(t, l, out), []string{"a 0s 1", "b 1m0s 1", "b 1m0s 2"}; !slices.Equal(got, want) {
		t.Errorf("windows %q, want %q", got, want)
	}
}

// D-88: a window that is emitted when it closes is emitted once, whatever restarts come between.
func TestWindowsCloseOnceOverRestarts(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	in, out, id := unique(t, "in"), unique(t, "out"), unique(t, "app")
	l.createTopics(t, 1, in, out)
	b := stream.NewBuilder()
	counts := stream.GroupByKey(stream.From(b, in, serde.String, serde.String), stream.GroupedWith(serde.String, serde.String)).
		WindowedBy(window.Tumbling(windowSize)).EmitOnClose(0).
		Count(stream.Materialized("windows", serde.Int64))
	stream.ToStream(counts).To(out, window.KeySerde(serde.String, windowSize), serde.Int64)
	top, err := b.Topology()
	if err != nil {
		t.Fatal(err)
	}
	runOn(t, l, top, id, in, at(10, "a"), at(20, "b"), at(70, "a"))
	runOn(t, l, top, id, in, at(80, "a"), at(119, "b"))
	runOn(t, l, top, id, in, at(60, "c"))
	runOn(t, l, top, id, in, at(125, "a"))
	runOn(t, l, top, id, in, at(130, "a"))
	if got, want := windowResults(t, l, out), []string{"a 0s 1", "b 0s 1", "a 1m0s 2", "b 1m0s 1", "c 1m0s 1"}; !slices.Equal(got, want) {
		t.Errorf("windows %q, want %q", got, want)
	}
	tp := client.TopicPartition{Topic: in}
	committed, err := l.client.CommittedOffsets(t.Context(), id, []client.TopicPartition{tp})
	if err != nil {
		t.Fatal(err)
	}
	m, err := commit.DecodeMetadata(committed[tp].Metadata)
	if err != nil || m.Times["windows"] != eventBase+130_000 || m.Times["windows/time"] != eventBase+130_000 {
		t.Errorf("metadata %+v, %v", m, err)
	}
}
