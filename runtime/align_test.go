package runtime_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/window"
	"github.com/millrace-io/millrace/topology"
)

const (
	hour      = int64(time.Hour / time.Millisecond)
	skewHours = 100 // of history
)

// past is where it begins: a log may refuse what is ahead of its clock, and delete what is a week old.
var past = eventBase - skewHours*hour

// skewed is a program whose second stage counts by hour what the first has given new keys, with little grace.
func skewed(t testing.TB, in, out string, look func(key string)) *topology.Topology {
	t.Helper()
	b := stream.NewBuilder()
	byKind := stream.SelectKey(stream.From(b, in, serde.String, serde.String), func(k, v string) string {
		look(k)
		kind, _, _ := strings.Cut(v, " ")
		return kind
	})
	counts := stream.GroupByKey(byKind, stream.GroupedWith(serde.String, serde.String)).
		WindowedBy(window.Tumbling(time.Hour).Grace(12 * time.Hour)).Count(stream.Materialized("hours", serde.Int64))
	stream.ToStream(counts).To(out, window.KeySerde(serde.String, time.Hour), serde.Int64)
	top, err := b.Topology()
	if err != nil {
		t.Fatal(err)
	}
	return top
}

// skewedInput is history of which partition 0 has a hundred times as many records as partition 1, whose records are large; partition 2
// has none.
func skewedInput() (records []record) {
	for i := range int64(200 * skewHours) {
		records = append(records, record{partition: 0, key: "dense", value: fmt.Sprintf("kind-%d", i%4), timestamp: past + i*hour/200})
	}
	for i := range int64(2 * skewHours) {
		value := fmt.Sprintf("kind-%d %s", i%4, strings.Repeat("x", 16<<10))
		records = append(records, record{partition: 1, key: "sparse", value: value, timestamp: past + i*hour/2})
	}
	return records
}

// hours recomputes what a topic of counts must hold at last.
func hours(records []record) map[string]int64 {
	want := make(map[string]int64)
	for _, r := range records {
		kind, _, _ := strings.Cut(r.value, " ")
		start := r.timestamp - r.timestamp%hour
		want[kind+string(binary.BigEndian.AppendUint64(nil, uint64(start)))]++
	}
	return want
}

func late(s runtime.Stats) (n int64) {
	for _, d := range s.Dropped {
		if d.Reason == topology.ReasonLate {
			n += d.Count
		}
	}
	return n
}

// runs reports whether all these partitions of a topic are read here.
func runs(a *running, topic string, partitions ...int32) bool {
	here := 0
	for _, task := range a.Stats().Tasks {
		for _, in := range task.Inputs {
			if in.Topic == topic && slices.Contains(partitions, in.Partition) {
				here++
			}
		}
	}
	return here == len(partitions)
}

// D18: a replay gives what live processing gave, however different the partitions are, over workers and instances, with buffers that the
// large records alone would fill; without, it does not.
func TestMaxEventTimeSkew(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name               string
		skew               time.Duration
		workers, instances int
	}{{"not aligned", 0, 1, 1}, {"one worker", 10 * time.Hour, 1, 1}, {"three workers", 10 * time.Hour, 3, 1}, {"two instances", 10 * time.Hour, 1, 2}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := openLog(t, false)
			app, in, out := unique(t, "app"), unique(t, "in"), unique(t, "out")
			l.createTopics(t, 3, in)
			l.createTopics(t, 3, out)
			var apps []*running
			top := skewed(t, in, out, func(string) {})
			for range c.instances {
				r := l.start(t, top, runtime.Config{
					ApplicationID: app, StateDir: t.TempDir(), Workers: c.workers, InputBytes: 1 << 20, MaxEventTimeSkew: c.skew,
				})
				r.Pause()
				apps = append(apps, r)
			}
			eventually(t, 30*time.Second, "all share the tasks", func() bool {
				n := 0
				for _, a := range apps {
					s := a.Stats()
					if s.State != runtime.Running || len(s.Tasks) == 0 {
						return false
					}
					n += len(s.Tasks)
				}
				return n == 6
			})
			records := skewedInput()
			dense := 200 * skewHours
			l.write(t, in, records[:dense])
			for part := range slices.Chunk(records[dense:], 10) { // ten of the large ones make a batch
				l.write(t, in, part)
			}
			eventually(t, 30*time.Second, "each has seen what lies in front of the others", func() bool {
				return !slices.ContainsFunc(apps, func(a *running) bool {
					return c.skew > 0 && !runs(a, in, 0, 1) && !runtime.Watching(a.App)
				})
			})
			for _, a := range apps {
				a.Resume()
			}
			repartition := app + "-hours-repartition"
			eventually(t, 60*time.Second, "history is processed", func() bool { return l.drained(t, app, in, repartition) })
			dropped := int64(0)
			for _, a := range apps {
				if err := a.stop(); err != nil {
					t.Fatal(err)
				}
				dropped += late(a.Stats())
			}
			if c.skew == 0 {
				if dropped == 0 {
					t.Error("nothing is late without alignment: this tests nothing")
				}
				return
			}
			if dropped != 0 {
				t.Errorf("%d records are late", dropped)
			}
			checkCounts(t, "hours", l.read(t, out), hours(records))
		})
	}
}

// A task of which nothing is heard does not hold the others for ever.
func TestStuckTaskHoldsNobodyForEver(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	app, in, out := unique(t, "app"), unique(t, "in"), unique(t, "out")
	l.createTopics(t, 2, in, out)
	release, stuck := make(chan struct{}), make(chan struct{})
	free := sync.OnceFunc(func() { close(release) })
	defer free()
	top := skewed(t, in, out, func(key string) {
		if key == "stuck" {
			close(stuck)
			<-release
		}
	})
	cfg := runtime.AlignPatience(runtime.Config{ApplicationID: app, Workers: 1, MaxEventTimeSkew: time.Hour}, 2*time.Second)
	var apps []*running
	for range 2 {
		cfg.StateDir = t.TempDir()
		apps = append(apps, l.start(t, top, cfg))
	}
	eventually(t, 30*time.Second, "each has a task of the first stage", func() bool {
		for _, a := range apps {
			s := a.Stats()
			if s.State != runtime.Running || len(s.Tasks) != 2 || s.Tasks[0].ID.Subtopology == s.Tasks[1].ID.Subtopology {
				return false
			}
		}
		return true
	})
	l.write(t, in, []record{{partition: 0, key: "stuck", value: "kind-0", timestamp: past}, {partition: 0, key: "k", value: "kind-0", timestamp: past + 1}})
	<-stuck
	eventually(t, 30*time.Second, "that is seen", func() bool { return runtime.Watching(apps[0].App) || runtime.Watching(apps[1].App) })
	var others []record
	for i := range int64(50) {
		others = append(others, record{partition: 1, key: "k", value: "kind-1", timestamp: past + 2*hour*i})
	}
	l.write(t, in, others)
	eventually(t, 30*time.Second, "the other one goes on", func() bool { return l.committed(t, app, in)[1] >= 50 })
	if at := l.committed(t, app, in)[0]; at > 0 {
		t.Errorf("the stuck one has come to %d", at)
	}
	free()
	eventually(t, 30*time.Second, "all is processed", func() bool { return l.drained(t, app, in, app+"-hours-repartition") })
	for _, a := range apps {
		if err := a.stop(); err != nil {
			t.Error(err)
		}
	}
}
