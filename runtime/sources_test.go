package runtime_test

import (
	"log/slog"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/state/memstore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/topology"
)

// TestPatternMatchesLater: an application whose pattern matches nothing waits; topics that are made while it runs are read from their
// starts, by the tasks that there are, which go on where they were (D-01).
func TestPatternMatchesLater(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	prefix, out, id := unique(t, "in"), unique(t, "out"), unique(t, "app")
	l.createTopics(t, 1, out)
	b := stream.NewBuilder()
	stream.GroupByKey(stream.FromPattern(b, regexp.MustCompile(regexp.QuoteMeta(prefix)+"-[a-z]"), serde.String, serde.String)).
		Count(stream.Materialized("n", serde.Int64)).ToStream().To(out, serde.String, serde.Int64)
	top, err := b.Topology()
	if err != nil {
		t.Fatal(err)
	}
	app := l.start(t, top, runtime.WatchEvery(runtime.Config{ApplicationID: id, StateDir: t.TempDir()}, 20*time.Millisecond))
	eventually(t, 30*time.Second, "it runs", func() bool { return app.State() == runtime.Running })
	if n := len(app.Stats().Tasks); n != 0 {
		t.Errorf("%d tasks, and no topic that they could read", n)
	}
	for i, topic := range []string{prefix + "-a", prefix + "-b"} {
		l.createTopics(t, 2, topic)
		l.write(t, topic, []record{{partition: 0, key: "k", value: "v"}, {partition: 1, key: "other", value: "v"}})
		eventually(t, 30*time.Second, topic+" is read", func() bool { return len(l.read(t, out)) == 2*(i+1) })
		if n := len(app.Stats().Tasks); n != 2 {
			t.Errorf("%d tasks read topics of two partitions", n)
		}
	}
	l.createTopics(t, 2, prefix+"-A") // which does not match
	counts := map[string]string{}
	for _, r := range l.read(t, out) {
		counts[r.key] = r.value
	}
	if two := "\x00\x00\x00\x00\x00\x00\x00\x02"; len(counts) != 2 || counts["k"] != two || counts["other"] != two {
		t.Errorf("counts %q, want 2 of each key", counts)
	}
	if err := app.stop(); err != nil {
		t.Error(err)
	}
}

// TestOffsetReset: an application begins where its source says if its group has no offset. Where it began is committed, though it read
// nothing: what comes while it is stopped is not left out (D-09).
func TestOffsetReset(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	hour := time.Now().Add(-time.Hour).UnixMilli()
	for _, c := range []struct {
		reset topology.OffsetReset
		want  int // of the ten records that are there
	}{{topology.Earliest(), 10}, {topology.Latest(), 0}, {topology.Ago(30 * time.Minute), 4}, {topology.Ago(time.Minute), 0}} {
		t.Run(strings.ReplaceAll(c.reset.String(), ":", "-"), func(t *testing.T) {
			t.Parallel()
			in, out, id, dir := unique(t, "in"), unique(t, "out"), unique(t, "app"), t.TempDir()
			l.createTopics(t, 1, in, out)
			for i := range 10 {
				at := hour
				if i >= 6 {
					at += 50 * time.Minute.Milliseconds()
				}
				l.write(t, in, []record{{key: "k", value: "old", timestamp: at}})
			}
			b := stream.NewBuilder()
			stream.From(b, in, serde.String, serde.String, stream.OffsetReset[string, string](c.reset)).To(out, serde.String, serde.String)
			top, err := b.Topology()
			if err != nil {
				t.Fatal(err)
			}
			for run := range 2 {
				app := l.start(t, top, runtime.Config{ApplicationID: id, StateDir: dir})
				eventually(t, 30*time.Second, "it is committed where it is", func() bool { return l.drained(t, id, in) })
				if got, want := len(l.read(t, out)), c.want+run*3; got != want {
					t.Errorf("run %d: %d records, want %d", run, got, want)
				}
				if err := app.stop(); err != nil {
					t.Error(err)
				}
				l.write(t, in, numbered("new", 3))
			}
		})
	}
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		in, out, id := unique(t, "in"), unique(t, "out"), unique(t, "app")
		l.createTopics(t, 1, in, out)
		b := stream.NewBuilder()
		stream.From(b, in, serde.String, serde.String, stream.OffsetReset[string, string](topology.NoReset())).To(out, serde.String, serde.String)
		top, err := b.Topology()
		if err != nil {
			t.Fatal(err)
		}
		err = l.start(t, top, runtime.Config{ApplicationID: id}).failure(t, 30*time.Second)
		for _, part := range []string{"group " + id + " has no committed offset for " + in + "-0", "offset reset of its source is none", "commit where"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("error %q does not say %q", err, part)
			}
		}
	})
}

// TestOneOfTwoTopicsGrows: a task that runs reads what a topic has gained, though it is there already for another topic.
func TestOneOfTwoTopicsGrows(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	small, large, out := unique(t, "small"), unique(t, "large"), unique(t, "out")
	l.createTopics(t, 1, small, out)
	l.createTopics(t, 3, large)
	b := stream.NewBuilder()
	stream.FromTopics(b, []string{small, large}, serde.String, serde.String).To(out, serde.String, serde.String)
	top, err := b.Topology()
	if err != nil {
		t.Fatal(err)
	}
	app := l.start(t, top, runtime.WatchEvery(runtime.Config{ApplicationID: unique(t, "app")}, 20*time.Millisecond))
	eventually(t, 30*time.Second, "it runs", func() bool { return app.State() == runtime.Running })
	if err := l.client.CreatePartitions(t.Context(), small, 3); err != nil {
		t.Fatal(err)
	}
	l.write(t, small, []record{{partition: 2, key: "k", value: "new"}})
	eventually(t, 30*time.Second, "the new partition is read", func() bool { return len(l.read(t, out)) == 1 })
	l.write(t, large, []record{{partition: 2, key: "k", value: "too"}})
	eventually(t, 30*time.Second, "the task goes on", func() bool { return len(l.read(t, out)) == 2 })
}

// TestTopicThatIsWrittenGrows: tasks that run write to the partitions that a topic has gained, though nothing has failed. The partitions of a
// repartition topic are the application's own affair: what somebody adds to them, no task reads.
func TestTopicThatIsWrittenGrows(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	in, out, id := unique(t, "in"), unique(t, "out"), unique(t, "app")
	l.createTopics(t, 1, in, out)
	b := stream.NewBuilder()
	stream.From(b, in, serde.String, serde.String).Repartition(stream.RepartitionedWith(serde.String, serde.String).Named("r").Partitions(1)).To(out, serde.String, serde.String)
	top, err := b.Topology()
	if err != nil {
		t.Fatal(err)
	}
	app := l.start(t, top, runtime.WatchEvery(runtime.Config{ApplicationID: id}, 20*time.Millisecond))
	write := func() {
		for i := range 8 { // murmur2 takes them to different partitions
			l.write(t, in, []record{{key: strconv.Itoa(i), value: "v"}})
		}
	}
	written := 0
	again := func() {
		written += 8
		write()
		eventually(t, 30*time.Second, "all is read", func() bool { return len(l.read(t, out)) == written })
	}
	again()
	own := top.Internal(id, top.Repartition[0].Topic())
	for _, topic := range []string{own, out} {
		if err := l.client.CreatePartitions(t.Context(), topic, 4); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, 30*time.Second, "the new partitions are written to", func() bool {
		again()
		return slices.ContainsFunc(l.read(t, out), func(r record) bool { return r.partition > 0 })
	})
	if slices.ContainsFunc(l.read(t, own), func(r record) bool { return r.partition > 0 }) {
		t.Error("a partition of the repartition topic that no task reads was written to")
	}
	if err := app.stop(); err != nil {
		t.Error(err)
	}
}

// TestPatternTopicIsDeleted: when a topic that a pattern has matched is deleted, its tasks that read nothing else end, and the others go on.
func TestPatternTopicIsDeleted(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	prefix, out, id := unique(t, "in"), unique(t, "out"), unique(t, "app")
	large, small := prefix+"-a", prefix+"-b"
	l.createTopics(t, 1, out, small)
	l.createTopics(t, 3, large)
	b := stream.NewBuilder()
	stream.FromPattern(b, regexp.MustCompile(regexp.QuoteMeta(prefix)+"-[a-z]"), serde.String, serde.String).To(out, serde.String, serde.String)
	top, err := b.Topology()
	if err != nil {
		t.Fatal(err)
	}
	app := l.start(t, top, runtime.WatchEvery(runtime.Config{ApplicationID: id}, 20*time.Millisecond))
	l.write(t, large, []record{{partition: 2, key: "k", value: "v"}})
	eventually(t, 30*time.Second, "it works", func() bool { return l.drained(t, id, large, small) })
	l.deleteTopic(t, large)
	eventually(t, 30*time.Second, "one task is left", func() bool { return len(app.Stats().Tasks) == 1 })
	l.write(t, small, []record{{key: "k", value: "w"}})
	eventually(t, 30*time.Second, "it goes on", func() bool { return len(l.read(t, out)) == 2 })
	if err := app.stop(); err != nil {
		t.Error(err)
	}
}

// TestTopicGrowsAtTheStart: what a topic gains after the start has looked at it, and before the watch does, is a change.
func TestTopicGrowsAtTheStart(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	in, out := unique(t, "in"), unique(t, "out")
	l.createTopics(t, 1, in, out)
	b := stream.NewBuilder()
	stream.From(b, in, serde.String, serde.String).To(out, serde.String, serde.String)
	top, err := b.Topology()
	if err != nil {
		t.Fatal(err)
	}
	said := &lines{}
	l.start(t, top, runtime.Config{
		ApplicationID: unique(t, "app"), Logger: slog.New(slog.NewTextHandler(said, nil)),
		Engine: func(string) (state.Engine, error) {
			return memstore.New(), l.client.CreatePartitions(t.Context(), in, 2)
		},
	})
	eventually(t, 30*time.Second, "it is said", func() bool {
		return said.having("source topics have changed", "topic "+in+" has 2 partitions, and had 1") != ""
	})
}
