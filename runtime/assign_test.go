package runtime_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime"
	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
)

// assignorFunc is an Assignor.
type assignorFunc func(runtime.ApplicationState) (runtime.TaskAssignment, error)

func (f assignorFunc) Assign(s runtime.ApplicationState) (runtime.TaskAssignment, error) { return f(s) }

// an Assignor of one's own decides. The instance in reserve runs nothing and keeps all copies; when the other one is killed it runs all, and
// every record counts once.
func TestAssignorOfOnesOwn(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	n := newJob(t, l, 2)
	top, err := n.topology()
	if err != nil {
		t.Fatal(err)
	}
	start := func(tag string) *running {
		return l.start(t, top, runtime.Config{
			ApplicationID: n.App, StateDir: t.TempDir(), Workers: 1, ClientTags: map[string]string{"reserve": tag}, Assignor: reserve{},
		})
	}
	idle, busy := start("yes"), start("no") // the first one runs all until the second one is there
	l.write(t, n.In, jobInput(1, 1000, 2, 0))
	eventually(t, 60*time.Second, "one works, the other has the copies", func() bool {
		a, b := idle.Stats(), busy.Stats()
		return len(a.Tasks) == 0 && len(a.Standbys) == 4 && len(b.Tasks) == 4 && len(b.Standbys) == 0 && a.State == runtime.Running && b.State == runtime.Running
	})
	eventually(t, 60*time.Second, "all is processed", func() bool { return l.drained(t, n.App, n.inputs()...) })
	if err := busy.stop(); err != nil {
		t.Fatal(err)
	}
	l.write(t, n.In, jobInput(2, 1000, 2, 30_000))
	eventually(t, 60*time.Second, "the other one does the rest", func() bool {
		return len(idle.Stats().Tasks) == 4 && l.drained(t, n.App, n.inputs()...)
	})
	if err := idle.stop(); err != nil {
		t.Fatal(err)
	}
	n.check(t, l)
}

// An answer that is not valid stops the instance, and the error says what is wrong with it (KIP-924).
func TestAssignorThatIsWrong(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	why := errors.New("no idea")
	for _, tc := range []struct {
		name   string
		assign assignorFunc
		want   string
	}{
		{"a task is left out", func(s runtime.ApplicationState) (runtime.TaskAssignment, error) {
			answer := s.Sticky()
			for id, tasks := range answer.Instances {
				tasks.Active = tasks.Active[1:]
				answer.Instances[id] = tasks
			}
			return answer, nil
		}, "task 0_0 is to run nowhere"},
		{"an instance is left out", func(runtime.ApplicationState) (runtime.TaskAssignment, error) { return runtime.TaskAssignment{}, nil }, "is missing"},
		{"it fails", func(runtime.ApplicationState) (runtime.TaskAssignment, error) { return runtime.TaskAssignment{}, why }, why.Error()},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			n := newJob(t, l, 2)
			top, err := n.topology()
			if err != nil {
				t.Fatal(err)
			}
			r := l.start(t, top, runtime.Config{ApplicationID: n.App, StateDir: t.TempDir(), Assignor: tc.assign})
			err = r.failure(t, 60*time.Second)
			if err == nil || !strings.Contains(err.Error(), "assignor") || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Run: %v", err)
			}
		})
	}
}

// with StickyAssignor tasks move whatever their states lack, which is restored where they are put: every record counts once. (That they move
// at once is tested in package assign.)
func TestStickyAssignor(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	n := newJob(t, l, 2)
	top, err := n.topology()
	if err != nil {
		t.Fatal(err)
	}
	l.write(t, n.In, jobInput(1, 2000, 2, 0))
	start := func() *running {
		return l.start(t, top, runtime.Config{ApplicationID: n.App, StateDir: t.TempDir(), Workers: 1, AcceptableRecoveryLag: 1, Assignor: runtime.StickyAssignor()})
	}
	first := start()
	eventually(t, 60*time.Second, "the first instance works", func() bool { return l.drained(t, n.App, n.inputs()...) })
	second := start()
	eventually(t, 60*time.Second, "the tasks are shared", func() bool {
		a, b := first.Stats(), second.Stats()
		return a.State == runtime.Running && b.State == runtime.Running && len(a.Tasks) == 2 && len(b.Tasks) == 2
	})
	l.write(t, n.In, jobInput(2, 1000, 2, 60_000))
	eventually(t, 60*time.Second, "all is processed", func() bool { return l.drained(t, n.App, n.inputs()...) })
	for _, app := range []*running{first, second} {
		if err := app.stop(); err != nil {
			t.Error(err)
		}
	}
	n.check(t, l)
}

// on a Kafka whose nodes are in racks rack-1, rack-2 and rack-3, tasks run where their partitions are, and read there.
func TestTasksAreNearOnKafka(t *testing.T) {
	t.Parallel()
	address := os.Getenv("MILLRACE_KAFKA_RACKS")
	if address == "" {
		t.Skip("MILLRACE_KAFKA_RACKS=host:port,... does not name a Kafka with racks (.ci/kafka/kafka up DIR --nodes 3 --racks)")
	}
	l := connectLog(t, strings.Split(address, ","), nil)
	app, in, out := unique(t, "app"), unique(t, "in"), unique(t, "out")
	if err := l.client.CreateTopics(t.Context(), client.NewTopic{Name: in, Partitions: 12, ReplicationFactor: 1}, client.NewTopic{Name: out, Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	racks, err := l.client.Racks(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	b := stream.NewBuilder()
	stream.From(b, in, serde.String, serde.String).To(out, serde.String, serde.String)
	top, err := b.Topology()
	if err != nil {
		t.Fatal(err)
	}
	apps := make(map[string]*running)
	for _, rack := range []string{"rack-1", "rack-2"} {
		apps[rack] = l.start(t, top, runtime.Config{
			ApplicationID: app, StateDir: t.TempDir(), Workers: 1, ClientRack: rack, RackAwareStrategy: runtime.MinTraffic,
		})
	}
	eventually(t, 60*time.Second, "the tasks are shared", func() bool {
		for _, a := range apps {
			if s := a.Stats(); s.State != runtime.Running || len(s.Tasks) != 6 {
				return false
			}
		}
		return true
	})
	here, near := make(map[string]int), make(map[string]int)
	for tp := range racks {
		for _, rack := range racks[tp] {
			here[rack]++
		}
	}
	for rack, a := range apps {
		for _, task := range a.Stats().Tasks {
			if slices.Contains(racks[client.TopicPartition{Topic: in, Partition: task.ID.Partition}], rack) {
				near[rack]++
			}
		}
		if want := min(here[rack], 6); near[rack] != want {
			t.Errorf("%s: %d tasks are near, want %d of %d", rack, near[rack], want, here[rack])
		}
	}
	var records []record
	for p := range int32(12) {
		records = append(records, record{partition: p, key: "k", value: "v"})
	}
	l.write(t, in, records)
	eventually(t, 60*time.Second, "all is read", func() bool { return l.drained(t, app, in) })
	if got := len(l.read(t, out)); got != len(records) {
		t.Errorf("%d records, want %d", got, len(records))
	}
}
