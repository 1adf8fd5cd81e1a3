package runtime_test

import (
	"context"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-io/millrace/broker/brokertest"
	"github.com/millrace-io/millrace/runtime"
	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/topology"
)

// needsEmbedded skips a test that does to its log what must not be done to a shared one.
func needsEmbedded(t *testing.T) {
	t.Helper()
	if os.Getenv("MILLRACE_KAFKA") != "" {
		t.Skip("MILLRACE_KAFKA is set; this test needs a broker of its own")
	}
}

// Instances come and go while records come in: tasks move, and every result is exact.
func TestInstancesComeAndGo(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	n := newJob(t, l, 4)
	top, err := n.topology()
	if err != nil {
		t.Fatal(err)
	}
	var loading sync.WaitGroup
	loading.Go(func() {
		for i := range 30 {
			l.write(t, n.In, jobInput(uint64(i), 200, 4, int64(i)*4000))
			time.Sleep(40 * time.Millisecond)
		}
	})
	defer loading.Wait()
	instance := func() *running {
		return l.start(t, top, runtime.Config{ApplicationID: n.App, StateDir: t.TempDir(), Workers: 2})
	}
	settled := func(apps ...*running) func() bool {
		return func() bool {
			tasks := 0
			for _, a := range apps {
				s := a.Stats()
				if s.State != runtime.Running || len(s.Tasks) == 0 {
					return false
				}
				tasks += len(s.Tasks)
			}
			return tasks == 8
		}
	}
	first := instance()
	eventually(t, 30*time.Second, "one instance has all tasks", settled(first))
	second, third := instance(), instance()
	eventually(t, 60*time.Second, "three instances share the tasks", settled(first, second, third))
	if err := first.stop(); err != nil {
		t.Error(err)
	}
	eventually(t, 60*time.Second, "two instances share the tasks", settled(second, third))
	loading.Wait()
	eventually(t, 60*time.Second, "all is processed", func() bool { return l.drained(t, n.App, n.inputs()...) })
	for _, a := range []*running{second, third} {
		if err := a.stop(); err != nil {
			t.Error(err)
		}
	}
	n.check(t, l)
}

// What was read of a repartition topic, and committed, is deleted; what is read afterwards counts on.
func TestRepartitionTopicsArePurged(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	n := newJob(t, l, 2)
	top, err := n.topology()
	if err != nil {
		t.Fatal(err)
	}
	app := l.start(t, top, runtime.PurgeEvery(runtime.Config{ApplicationID: n.App}, 50*time.Millisecond))
	between := n.inputs()[1]
	for i := range 3 {
		l.write(t, n.In, jobInput(uint64(i), 300, 2, int64(i)*6000))
		eventually(t, 30*time.Second, "all is processed and purged", func() bool {
			if !l.drained(t, n.App, n.inputs()...) {
				return false
			}
			partitions := l.partitions(t, between)
			starts, err := l.client.ListOffsets(t.Context(), client.LogStart, partitions)
			if err != nil {
				t.Fatal(err)
			}
			ends, err := l.client.ListOffsets(t.Context(), client.LastStable, partitions)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range partitions {
				if starts[p] < ends[p] || starts[p] == 0 {
					return false
				}
			}
			return true
		})
	}
	if err := app.stop(); err != nil {
		t.Fatal(err)
	}
	n.check(t, l)
}

// A global table is there before the first record is joined, and follows its topic.
func TestGlobalTable(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	in, names, out, id := unique(t, "in"), unique(t, "names"), unique(t, "out"), unique(t, "app")
	l.createTopics(t, 2, in, names, out)
	l.write(t, names, []record{{partition: 0, key: "a", value: "Anna"}, {partition: 1, key: "b", value: "Bert"}})
	l.write(t, in, []record{{partition: 0, key: "1", value: "a"}, {partition: 1, key: "2", value: "b"}})
	b := stream.NewBuilder()
	table := stream.GlobalTable(b, names, serde.String, serde.String)
	joined := stream.JoinGlobal(stream.From(b, in, serde.String, serde.String), table,
		func(_, v string) string { return v }, func(_, name string) string { return name })
	joined.To(out, serde.String, serde.String)
	top, err := b.Topology()
	if err != nil {
		t.Fatal(err)
	}
	app := l.start(t, top, runtime.Config{ApplicationID: id})
	eventually(t, 30*time.Second, "history is joined", func() bool { return l.drained(t, id, in) })
	l.write(t, names, []record{{partition: 0, key: "c", value: "Carl"}})
	found := func(name string) func() bool {
		return func() bool {
			l.write(t, in, []record{{partition: 0, key: "3", value: "c"}})
			for _, r := range l.read(t, out) {
				if r.value == name {
					return true
				}
			}
			return false
		}
	}
	eventually(t, 30*time.Second, "the table follows", found("Carl"))
	if err := app.stop(); err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, r := range l.read(t, out) {
		got[r.key+r.value] = true
	}
	if !got["1Anna"] || !got["2Bert"] {
		t.Errorf("joined %v", got)
	}
}

// A record that a global table cannot take stops the start, or is left out and counted, as the handler says.
func TestBadRecordOfAGlobalTable(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	in, numbers, out, id := unique(t, "in"), unique(t, "numbers"), unique(t, "out"), unique(t, "app")
	l.createTopics(t, 1, in, numbers, out)
	l.write(t, numbers, []record{{key: "a", value: "1"}, {key: "b", value: "no number"}})
	b := stream.NewBuilder()
	table := stream.GlobalTable(b, numbers, serde.String, number)
	stream.JoinGlobal(stream.From(b, in, serde.String, serde.String), table,
		func(_, v string) string { return v }, func(_ string, n int64) int64 { return n }).
		To(out, serde.String, number)
	top, err := b.Topology()
	if err != nil {
		t.Fatal(err)
	}
	err = l.start(t, top, runtime.Config{ApplicationID: id}).failure(t, 10*time.Second)
	if err == nil || !strings.Contains(err.Error(), numbers+"-0 at offset 1") {
		t.Errorf("error %v", err)
	}
	app := l.start(t, top, runtime.Config{ApplicationID: id, Deserialization: runtime.LogAndContinue})
	eventually(t, 10*time.Second, "it runs", func() bool { return app.State() == runtime.Running })
	if d := app.Stats().Dropped; len(d) != 1 || d[0].Count != 1 || d[0].Reason != topology.ReasonDeserialization {
		t.Errorf("dropped %v", d)
	}
}

// State belongs to a log. On another one, whose changelogs are empty, the start is refused and nothing is touched.
func TestStateOfAnotherLog(t *testing.T) {
	t.Parallel()
	needsEmbedded(t)
	one, two := openLog(t, false), openLog(t, false)
	n := newJob(t, one, partitions)
	two.createTopics(t, partitions, n.In, n.Copy, n.Counts, n.Windows)
	top, err := n.topology()
	if err != nil {
		t.Fatal(err)
	}
	cfg := runtime.Config{ApplicationID: n.App, StateDir: t.TempDir()}
	one.write(t, n.In, jobInput(1, 500, partitions, 0))
	app := one.start(t, top, cfg)
	eventually(t, 30*time.Second, "it is processed", func() bool { return one.drained(t, n.App, n.inputs()...) })
	if err := app.stop(); err != nil {
		t.Fatal(err)
	}
	err = two.start(t, top, cfg).failure(t, 30*time.Second)
	for _, part := range []string{"belongs to cluster", "changelog is empty", cfg.StateDir} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v does not say %q", err, part)
		}
	}
	one.write(t, n.In, jobInput(2, 500, partitions, 10_000))
	app = one.start(t, top, cfg)
	eventually(t, 30*time.Second, "it goes on", func() bool { return one.drained(t, n.App, n.inputs()...) })
	if err := app.stop(); err != nil {
		t.Fatal(err)
	}
	n.check(t, one)
}

// The broker restarts under a running app: a pause, not an event.
func TestBrokerRestarts(t *testing.T) {
	t.Parallel()
	needsEmbedded(t)
	b := brokertest.Start(t)
	var current atomic.Pointer[brokertest.Broker]
	current.Store(b)
	l := &testLog{brokers: b.Brokers(), dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		return current.Load().Dial(ctx, network, address)
	}}
	c, err := client.Connect(t.Context(), client.Config{Brokers: l.brokers, Dial: l.dial, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	l.client = c
	n := newJob(t, l, partitions)
	top, err := n.topology()
	if err != nil {
		t.Fatal(err)
	}
	l.write(t, n.In, jobInput(1, 1000, partitions, 0))
	app := l.start(t, top, runtime.Config{ApplicationID: n.App, StateDir: t.TempDir(), Workers: 2})
	eventually(t, 30*time.Second, "it works", func() bool { return app.Stats().Commits > 0 })
	for i := range 3 {
		current.Store(current.Load().Restart(t))
		l.write(t, n.In, jobInput(uint64(2+i), 1000, partitions, 20_000*int64(i)))
	}
	eventually(t, 60*time.Second, "all is processed", func() bool { return l.drained(t, n.App, n.inputs()...) })
	if err := app.stop(); err != nil {
		t.Fatal(err)
	}
	n.check(t, l)
}
