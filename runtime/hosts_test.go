package runtime_test

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/topology"
)

// Every instance knows who runs what, and who has copies; so a question about a key finds the way to its state.
func TestHostsAreKnownToAll(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	n := newJob(t, l, 2)
	top, err := n.topology()
	if err != nil {
		t.Fatal(err)
	}
	start := func(endpoint string) *running {
		return l.start(t, top, runtime.Config{
			ApplicationID: n.App, StateDir: t.TempDir(), Workers: 1, NumStandbyReplicas: 1, Endpoint: endpoint,
			ClientTags: map[string]string{"zone": endpoint[:1]}, RackAwareTags: []string{"zone"},
		})
	}
	one, two := start("one:1"), start("two:2")
	if _, err := one.HostsOf("no store"); !errors.Is(err, runtime.ErrUnknownStore) {
		t.Errorf("HostsOf an unknown store: %v", err)
	}
	eventually(t, 60*time.Second, "both know what both run", func() bool {
		a, b := one.Hosts(), two.Hosts()
		return len(a) == 2 && len(b) == 2 && len(a[0].Tasks) == 2 && len(a[1].Tasks) == 2 && len(a[0].Standbys) == 2 && len(a[1].Standbys) == 2 &&
			slices.EqualFunc(a, b, func(x, y runtime.Host) bool {
				return x.Endpoint == y.Endpoint && slices.Equal(x.Tasks, y.Tasks) && slices.Equal(x.Standbys, y.Standbys)
			})
	})
	if hosts, err := two.HostsOf("counts"); err != nil || len(hosts) != 2 {
		t.Errorf("HostsOf = %v, %v", hosts, err)
	}
	owners := make(map[string]int)
	for _, word := range []string{"word-1", "word-2", "word-3", "word-4", "word-5", "word-6"} {
		at, err := runtime.HostsOfKey(t.Context(), one.App, "counts", word, serde.String)
		if err != nil {
			t.Fatal(err)
		}
		same, err := two.HostsOfPartition("counts", at.Partition)
		if err != nil || same.Active != at.Active || len(at.Standbys) != 1 || at.Standbys[0] == at.Active {
			t.Errorf("%s is at %+v, or at %+v, %v", word, at, same, err)
		}
		owners[at.Active]++
	}
	if len(owners) != 2 {
		t.Errorf("owners %v: six keys in two partitions on two instances", owners)
	}
	if _, err := one.HostsOfPartition("counts", 7); !errors.Is(err, runtime.ErrNoHost) {
		t.Errorf("HostsOfPartition of a partition that there is not: %v", err)
	}
}

// the copy of a state is where the client tags say that it does not go down with it, however many instances are nearer.
func TestStandbysAreSpread(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	n := newJob(t, l, 2)
	top, err := n.topology()
	if err != nil {
		t.Fatal(err)
	}
	var apps []*running
	for _, endpoint := range []string{"a1:1", "a2:1", "a3:1", "b1:1"} {
		apps = append(apps, l.start(t, top, runtime.Config{
			ApplicationID: n.App, StateDir: t.TempDir(), Workers: 1, NumStandbyReplicas: 1, Endpoint: endpoint,
			ClientTags: map[string]string{"zone": endpoint[:1], "machine": endpoint[:2]}, RackAwareTags: []string{"zone"},
		}))
	}
	eventually(t, 60*time.Second, "each state is in both zones", func() bool {
		hosts := apps[0].Hosts()
		if len(hosts) != len(apps) {
			return false
		}
		zones := make(map[topology.TaskID]string)
		busy := 0
		for _, h := range hosts {
			if len(h.Tasks) > 0 {
				busy++
			}
			for _, id := range slices.Concat(h.Tasks, h.Standbys) {
				zones[id] += h.Endpoint[:1]
			}
		}
		stateful := 0
		for _, z := range zones {
			if len(z) == 1 {
				continue // it has no state, or no copy yet
			}
			if z != "ab" && z != "ba" {
				return false
			}
			stateful++
		}
		return busy == len(apps) && stateful == 4
	})
}

// The state of tasks that have moved away is removed after a while, and restored if they come back.
func TestUnusedStateIsRemoved(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	n := newJob(t, l, 2)
	top, err := n.topology()
	if err != nil {
		t.Fatal(err)
	}
	l.write(t, n.In, jobInput(1, 1000, 2, 0))
	cfg := runtime.Config{ApplicationID: n.App, StateDir: t.TempDir(), Workers: 1, StateCleanupDelay: 50 * time.Millisecond}
	first := l.start(t, top, cfg)
	eventually(t, 60*time.Second, "it works", func() bool { return l.drained(t, n.App, n.inputs()...) })
	if got := runtime.StoredPartitions(first.App); got != 4 {
		t.Fatalf("%d store partitions at first", got)
	}
	second := l.start(t, top, runtime.Config{ApplicationID: n.App, StateDir: t.TempDir(), Workers: 1})
	eventually(t, 60*time.Second, "two tasks have moved, and their state is gone", func() bool {
		return len(second.Stats().Tasks) == 2 && runtime.StoredPartitions(first.App) == 2
	})
	if err := second.stop(); err != nil {
		t.Fatal(err)
	}
	l.write(t, n.In, jobInput(2, 1000, 2, 20_000))
	eventually(t, 60*time.Second, "they are back", func() bool {
		return l.drained(t, n.App, n.inputs()...) && runtime.StoredPartitions(first.App) == 4
	})
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	n.check(t, l)
}

// R-54, fault 26: partitions that a topic gains are read where there is no state to be torn apart.
func TestSourceTopicGrows(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	in, out, id := unique(t, "in"), unique(t, "out"), unique(t, "app")
	l.createTopics(t, 1, in, out)
	b := stream.NewBuilder()
	stream.From(b, in, serde.String, serde.String).To(out, serde.String, serde.String)
	top, err := b.Topology()
	if err != nil {
		t.Fatal(err)
	}
	app := l.start(t, top, runtime.WatchEvery(runtime.Config{ApplicationID: id}, 20*time.Millisecond))
	eventually(t, 30*time.Second, "it runs", func() bool { return app.State() == runtime.Running })
	if err := l.client.CreatePartitions(t.Context(), in, 3); err != nil {
		t.Fatal(err)
	}
	l.write(t, in, []record{{partition: 2, key: "k", value: "new"}})
	eventually(t, 30*time.Second, "the new partition is read", func() bool { return len(l.read(t, out)) == 1 })
	if got := len(app.Stats().Tasks); got != 3 {
		t.Errorf("%d tasks", got)
	}
}

// With state, a grown topic stops the application while it runs, and says why and what to do.
func TestSourceTopicGrowsUnderState(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	n := newJob(t, l, 2)
	top, err := n.topology()
	if err != nil {
		t.Fatal(err)
	}
	app := l.start(t, top, runtime.WatchEvery(runtime.Config{ApplicationID: n.App}, 20*time.Millisecond))
	eventually(t, 30*time.Second, "it runs", func() bool { return app.State() == runtime.Running })
	if err := l.client.CreatePartitions(t.Context(), n.In, 3); err != nil {
		t.Fatal(err)
	}
	err = app.failure(t, 30*time.Second)
	for _, part := range []string{
		"topic " + n.In + " has 3 partitions, and had 2", "Keys would move away from their state", "Reset the application", n.App + "-by-word-repartition",
	} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v does not say %q", err, part)
		}
	}
}

// R-54, fault 26: a source topic that is deleted stops the application while it runs, and the error says which, why, and what to do.
func TestSourceTopicIsDeleted(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	n := newJob(t, l, 2)
	top, err := n.topology()
	if err != nil {
		t.Fatal(err)
	}
	l.write(t, n.In, jobInput(1, 100, 2, 0))
	said := &lines{}
	app := l.start(t, top, runtime.WatchEvery(runtime.Config{
		ApplicationID: n.App, StateDir: t.TempDir(), Logger: slog.New(slog.NewTextHandler(said, nil)),
	}, 20*time.Millisecond))
	eventually(t, 30*time.Second, "it works", func() bool { return l.drained(t, n.App, n.inputs()...) })
	l.deleteTopic(t, n.In)
	err = app.failure(t, 30*time.Second)
	for _, part := range []string{"topic " + n.In + " does not exist", "was it deleted", "create it"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v does not say %q", err, part)
		}
	}
	if said.having("level=WARN", "source topics have changed", "topic "+n.In+" has 0 partitions, and had 2") == "" {
		t.Errorf("it says\n%s", said.b.String())
	}
}
