package runtime_test

import (
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime"
	"github.com/millrace-io/millrace/runtime/internal/commit"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
)

const partitions = 3

// One run over all that is there, then over what comes.
func TestJob(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	n := newJob(t, l, partitions)
	top, err := n.topology()
	if err != nil {
		t.Fatal(err)
	}
	l.write(t, n.In, jobInput(1, 5000, partitions, 0))
	app := l.start(t, top, runtime.Config{ApplicationID: n.App, StateDir: t.TempDir(), Workers: 2})
	eventually(t, 30*time.Second, "history is processed", func() bool { return l.drained(t, n.App, n.inputs()...) })
	l.write(t, n.In, jobInput(2, 1000, partitions, 100_000))
	eventually(t, 30*time.Second, "what came is processed", func() bool { return l.drained(t, n.App, n.inputs()...) })
	if err := app.stop(); err != nil {
		t.Fatal(err)
	}
	n.check(t, l)
	n.checkTimes(t, l)
	s := app.Stats()
	if s.Read != 12_000 || s.Lag != 0 && s.Lag != -1 || s.Commits == 0 || s.State != runtime.Closed || len(s.Dropped) != 0 {
		t.Errorf("stats %+v", s)
	}
}

// checkTimes wants the highest event time of each input partition in the metadata of its committed offset.
func (n jobNames) checkTimes(t *testing.T, l *testLog) {
	t.Helper()
	highest := make(map[int32]int64)
	for _, r := range l.read(t, n.In) {
		highest[r.partition] = max(highest[r.partition], r.timestamp)
	}
	committed, err := l.client.CommittedOffsets(t.Context(), n.App, l.partitions(t, n.In))
	if err != nil {
		t.Fatal(err)
	}
	for tp, c := range committed {
		if got, err := commit.DecodeMetadata(c.Metadata); err != nil || got.PartitionTime != highest[tp.Partition] {
			t.Errorf("%s-%d: time %d in the metadata %q, %v; want %d", tp.Topic, tp.Partition, got.PartitionTime, c.Metadata, err, highest[tp.Partition])
		}
	}
}

// A task with an input that has no partition for it, and one whose other input is empty, do not wait for what will not come.
func TestTopicsOfDifferentSizes(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	small, large, empty, out, id := unique(t, "small"), unique(t, "large"), unique(t, "empty"), unique(t, "out"), unique(t, "app")
	l.createTopics(t, 1, small)
	l.createTopics(t, 3, large, empty, out)
	b := stream.NewBuilder()
	from := func(topic string) stream.KStream[string, string] {
		return stream.From(b, topic, serde.String, serde.String)
	}
	from(small).Merge(from(large)).Merge(from(empty)).To(out, serde.String, serde.String)
	top, err := b.Topology()
	if err != nil {
		t.Fatal(err)
	}
	l.write(t, small, []record{{key: "a", value: "1"}})
	l.write(t, large, []record{{partition: 0, key: "b", value: "2"}, {partition: 1, key: "c", value: "3"}, {partition: 2, key: "d", value: "4"}})
	app := l.start(t, top, runtime.Config{ApplicationID: id})
	eventually(t, 30*time.Second, "all is processed", func() bool { return l.drained(t, id, small, large) })
	if err := app.stop(); err != nil {
		t.Fatal(err)
	}
	if got := l.read(t, out); len(got) != 4 {
		t.Errorf("results %v", got)
	}
}

// A second run goes on where the first ended, with its state, and counts nothing twice.
func TestJobGoesOn(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	n := newJob(t, l, partitions)
	top, err := n.topology()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for run := range 3 {
		l.write(t, n.In, jobInput(uint64(run), 1000, partitions, int64(run)*100_000))
		if run == 2 {
			dir = t.TempDir() // the state is lost: restored from the changelogs
		}
		app := l.start(t, top, runtime.Config{ApplicationID: n.App, StateDir: dir, Workers: 1 + run})
		eventually(t, 30*time.Second, "input is processed", func() bool { return l.drained(t, n.App, n.inputs()...) })
		if err := app.stop(); err != nil {
			t.Fatal(err)
		}
	}
	n.check(t, l)
}
