package runtime_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime"
	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/topology"
)

// errPoison is what the tests' programs panic with.
var errPoison = errors.New("poison")

// fragile is a topology that counts its input and copies it, and panics at "poison" as long as it is told to.
func fragile(t testing.TB, in, out string, panics func() bool) *topology.Topology {
	t.Helper()
	b := stream.NewBuilder()
	records := stream.From(b, in, serde.String, serde.String)
	stream.MapValues(records, func(v string) string {
		if v == "poison" && panics() {
			panic(errPoison)
		}
		return v
	}, stream.Named("fragile")).To(out, serde.String, serde.String)
	stream.GroupByKey(records).Count(stream.Materialized("counts", serde.Int64))
	top, err := b.Topology()
	if err != nil {
		t.Fatal(err)
	}
	return top
}

func always() bool { return true }

// poisonOne writes ten records to each of four partitions, and one that is poison in the middle of partition 2.
func poisonOne(t testing.TB, l *testLog, topic string) {
	t.Helper()
	var records []record
	for p := range int32(4) {
		for i := range 10 {
			r := record{partition: p, key: fmt.Sprintf("k%d", p), value: fmt.Sprintf("v%d", i), timestamp: eventBase + int64(i)}
			if p == 2 && i == 5 {
				r.value = "poison"
			}
			records = append(records, r)
		}
	}
	l.write(t, topic, records)
}

// committed returns how far the group has come on each partition of a topic.
func (l *testLog) committed(t testing.TB, group, topic string) []int64 {
	t.Helper()
	tps := l.partitions(t, topic)
	offsets, err := l.client.CommittedOffsets(t.Context(), group, tps)
	if err != nil {
		t.Fatal(err)
	}
	next := make([]int64, len(tps))
	for i, tp := range tps {
		next[i] = offsets[client.TopicPartition{Topic: topic, Partition: tp.Partition}].Offset
	}
	return next
}

// isPoison wants a failure with the coordinates of the poisoned record.
func isPoison(t testing.TB, err error) {
	t.Helper()
	e, ok := errors.AsType[*runtime.TaskError](err)
	p, panicked := errors.AsType[*runtime.PanicError](err)
	if !ok || !panicked || !errors.Is(err, errPoison) || e.Task != (topology.TaskID{Partition: 2}) || e.Source.Partition != 2 || e.Source.Offset != 5 ||
		!strings.Contains(string(p.Stack), "uncaught_test.go") {
		t.Errorf("failure %v", err)
	}
}

// by default a poisoned record stops the instance, with its coordinates; nothing behind the record is committed.
func TestPoisonStopsTheInstance(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	app, in, out := unique(t, "app"), unique(t, "in"), unique(t, "out")
	l.createTopics(t, 4, in, out)
	poisonOne(t, l, in)
	r := l.start(t, fragile(t, in, out, always), runtime.Config{ApplicationID: app, StateDir: t.TempDir(), Workers: 2})
	isPoison(t, r.failure(t, 30*time.Second))
	if s := r.State(); s != runtime.Failed {
		t.Errorf("state %v", s)
	}
	if at := l.committed(t, app, in); at[2] > 5 {
		t.Errorf("committed %v", at)
	}
}

// StopTask: the poisoned task stops and says why; all others, of its worker too, go on, with what comes later as well, and the
// poisoned record is met again at the next start.
func TestPoisonStopsItsTaskAlone(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	app, in, out := unique(t, "app"), unique(t, "in"), unique(t, "out")
	l.createTopics(t, 4, in, out)
	poisonOne(t, l, in)
	var poisoned atomic.Bool
	poisoned.Store(true)
	top := fragile(t, in, out, poisoned.Load)
	cfg := runtime.Config{ApplicationID: app, StateDir: t.TempDir(), Workers: 1}
	cfg.Uncaught = func(err error) runtime.Action { isPoison(t, err); return runtime.StopTask }
	r := l.start(t, top, cfg)
	others := func(n int64) func() bool {
		return func() bool {
			at := l.committed(t, app, in)
			return at[0] >= n && at[1] >= n && at[3] >= n // with markers, if the log counts them
		}
	}
	eventually(t, 30*time.Second, "the other tasks go on", others(10))
	poisonOne(t, l, in)
	eventually(t, 30*time.Second, "the other tasks take what comes", others(20))
	eventually(t, 30*time.Second, "the instance runs", func() bool { return r.State() == runtime.Running })
	s := r.Stats()
	if len(s.Tasks) != 4 || s.Tasks[2].Ready || s.Tasks[0].Err != nil || !s.Tasks[3].Ready {
		t.Errorf("tasks %+v", s.Tasks)
	}
	isPoison(t, s.Tasks[2].Err)
	if at := l.committed(t, app, in); at[2] > 5 {
		t.Errorf("committed %v", at)
	}
	if err := r.stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	poisoned.Store(false)
	again := l.start(t, top, cfg)
	eventually(t, 30*time.Second, "the task goes on", func() bool { return l.drained(t, app, in) })
	if err := again.stop(); err != nil {
		t.Fatal(err)
	}
	sameRecords(t, "output", l.read(t, out), l.read(t, in))
}

// ReplaceWorker: the worker begins again from the last commit until the record passes; nothing is counted twice.
func TestPoisonReplacesTheWorker(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	app, in, out := unique(t, "app"), unique(t, "in"), unique(t, "out")
	l.createTopics(t, 4, in, out)
	poisonOne(t, l, in)
	var tries atomic.Int64
	cfg := runtime.Config{ApplicationID: app, StateDir: t.TempDir(), Workers: 2}
	cfg.Uncaught = func(err error) runtime.Action { isPoison(t, err); return runtime.ReplaceWorker }
	r := l.start(t, fragile(t, in, out, func() bool { return tries.Add(1) <= 3 }), cfg)
	eventually(t, 30*time.Second, "the record passes", func() bool { return l.drained(t, app, in) })
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if n := tries.Load(); n != 4 {
		t.Errorf("tried %d times", n)
	}
	sameRecords(t, "output", l.read(t, out), l.read(t, in))
	last := map[string]int64{}
	for _, c := range l.read(t, app+"-counts-changelog") {
		last[c.key] = int64Of(c.value)
	}
	if len(last) != 4 || last["k2"] != 10 {
		t.Errorf("counts %v", last)
	}
}

// StopApplication: the group is told, and every instance ends; a later start is not stopped by it.
func TestPoisonStopsTheApplication(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	app, in, out := unique(t, "app"), unique(t, "in"), unique(t, "out")
	l.createTopics(t, 4, in, out)
	top := fragile(t, in, out, always)
	var asked sync.Map
	instance := func(name string) *running {
		return l.start(t, top, runtime.Config{
			ApplicationID: app, StateDir: t.TempDir(), Workers: 1,
			Uncaught: func(error) runtime.Action { asked.Store(name, true); return runtime.StopApplication },
		})
	}
	apps := []*running{instance("a"), instance("b"), instance("c")}
	eventually(t, 30*time.Second, "three instances share the tasks", func() bool {
		n := 0
		for _, a := range apps {
			s := a.Stats()
			if s.State != runtime.Running || len(s.Tasks) == 0 {
				return false
			}
			n += len(s.Tasks)
		}
		return n == 4
	})
	poisonOne(t, l, in)
	told := 0
	for _, a := range apps {
		switch err := a.failure(t, 30*time.Second); {
		case errors.Is(err, runtime.ErrApplicationStopped):
			told++
		default:
			isPoison(t, err)
		}
		if s := a.State(); s != runtime.Failed {
			t.Errorf("state %v", s)
		}
	}
	if told != 2 {
		t.Errorf("%d instances were told, want 2", told)
	}
	again := instance("d")
	eventually(t, 30*time.Second, "a later start is not stopped, but by the record itself", func() bool {
		_, met := asked.Load("d")
		return met
	})
	isPoison(t, again.failure(t, 30*time.Second))
}

// A decision that panics stops the instance.
func TestUncaughtThatPanics(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	in, out := unique(t, "in"), unique(t, "out")
	l.createTopics(t, 4, in, out)
	poisonOne(t, l, in)
	r := l.start(t, fragile(t, in, out, always), runtime.Config{
		ApplicationID: unique(t, "app"), Uncaught: func(error) runtime.Action { panic("undecided") },
	})
	isPoison(t, r.failure(t, 30*time.Second))
}
