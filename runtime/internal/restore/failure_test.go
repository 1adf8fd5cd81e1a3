package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/commit"
	"github.com/millrace-io/millrace/topology"
)

// whatever keeps one task from being made ready, the others are, and the error says which one it was, and of what class.
func TestOneTaskFailsAlone(t *testing.T) {
	t.Parallel()
	down := fmt.Errorf("no leader: %w", kerr.LeaderNotAvailable)
	partition := func(topic string, n int) client.TopicPartition {
		return client.TopicPartition{Topic: topic, Partition: int32(n)}
	}
	for _, c := range []struct {
		name  string
		harm  func(l *fakeLog, tasks []Task, stores []*fakeStore)
		cause error
		fatal bool
	}{
		{"its changelog has no leader", func(l *fakeLog, _ []Task, _ []*fakeStore) {
			l.broken = map[client.TopicPartition]error{partition("changelog", 2): down}
		}, kerr.LeaderNotAvailable, false},
		{"its input has no leader", func(l *fakeLog, _ []Task, _ []*fakeStore) {
			delete(l.committed, partition("in", 2))
			l.broken = map[client.TopicPartition]error{partition("in", 2): down}
		}, kerr.LeaderNotAvailable, false},
		{"its changelog cannot be read", func(l *fakeLog, _ []Task, _ []*fakeStore) {
			l.unreadable = map[client.TopicPartition]error{partition("changelog", 2): down}
		}, kerr.LeaderNotAvailable, false},
		{"its state is of another log", func(l *fakeLog, _ []Task, stores []*fakeStore) {
			stores[2].pos.ClusterID, stores[2].pos.Next = "other", 7
			l.records[partition("changelog", 2)] = nil
		}, nil, true},
		{"its offsets are gone", func(l *fakeLog, tasks []Task, _ []*fakeStore) {
			delete(l.committed, partition("in", 2))
			tasks[2].Known = map[client.TopicPartition]bool{partition("in", 2): true}
		}, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := &fakeLog{
				committed: make(map[client.TopicPartition]client.Committed), records: make(map[client.TopicPartition][]string),
			}
			var tasks []Task
			var stores []*fakeStore
			for i := range 4 {
				s := &fakeStore{pos: here(1), known: true}
				s.pos.Partition = int32(i)
				stores = append(stores, s)
				l.committed[partition("in", i)] = client.Committed{Offset: 5}
				l.records[partition("changelog", i)] = []string{"a", "b", "c", "d", "e"}
				tasks = append(tasks, Task{
					ID: topology.TaskID{Partition: int32(i)}, Inputs: []client.TopicPartition{partition("in", i)},
					Stores: []Store{{Name: "counts", Changelog: partition("changelog", i), TopicID: topicID, State: s}},
				})
			}
			c.harm(l, tasks, stores)
			r := New(Config{
				Group: "app", ClusterID: "c1", Log: l, NewFetcher: l.fetcher, Parallel: 2, ExactlyOnce: true, StateDir: "/state",
				Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: time.Now,
			})
			var ready []int32
			err := r.Prepare(t.Context(), tasks, func(r Ready) { ready = append(ready, r.ID.Partition) })
			slices.Sort(ready)
			if !slices.Equal(ready, []int32{0, 1, 3}) {
				t.Errorf("ready: %v", ready)
			}
			failures, all := errors.AsType[Failed](err)
			if !all || len(failures) != 1 || failures[0].ID != (topology.TaskID{Partition: 2}) || c.cause != nil && !errors.Is(err, c.cause) {
				t.Fatalf("Prepare = %v", err)
			}
			if class := commit.Classify(failures[0]); (class == commit.ClassFatal) != c.fatal {
				t.Errorf("class %v of %v", class, err)
			}
			for i, s := range stores {
				if i != 2 && len(s.content) != 4 {
					t.Errorf("store %d holds %v", i, s.content)
				}
			}
		})
	}
}

// Where the log answers for nobody, it is not asked for ever: the error is about all tasks.
func TestLogIsDown(t *testing.T) {
	t.Parallel()
	l := &downLog{}
	r := New(Config{
		Group: "app", Log: l, LookTimeout: 40 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: time.Now,
	})
	tasks := make([]Task, 100)
	for i := range tasks {
		tasks[i] = Task{ID: topology.TaskID{Partition: int32(i)}, Inputs: []client.TopicPartition{{Topic: "in", Partition: int32(i)}}}
	}
	err := r.Prepare(t.Context(), tasks, func(Ready) { t.Error("ready") })
	failures, all := errors.AsType[Failed](err)
	if !all || len(failures) != len(tasks) || commit.Classify(failures[99]) == commit.ClassFatal {
		t.Errorf("Prepare = %v", err)
	}
	if l.calls != 1+maxAlone {
		t.Errorf("asked %d times", l.calls)
	}
}

// Tasks that the log answers for run, whatever tasks stand between them: only many in a row are taken for the log itself, and none that are themselves to
// blame.
func TestSomeTasksFail(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		harm  func(l *fakeLog, task *Task)
		fails []int32
		ready []int32
	}{
		"two in a row": {func(l *fakeLog, task *Task) {
			delete(l.committed, task.Inputs[0])
			l.broken[task.Inputs[0]] = kerr.LeaderNotAvailable
		}, []int32{0, 1, 3, 4}, []int32{2, 5}},
		"their own fault": {func(l *fakeLog, task *Task) {
			delete(l.committed, task.Inputs[0])
			task.Resets = map[client.TopicPartition]topology.OffsetReset{task.Inputs[0]: topology.NoReset()}
		}, []int32{0, 1, 2, 3}, []int32{4, 5}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := &fakeLog{committed: map[client.TopicPartition]client.Committed{}, broken: map[client.TopicPartition]error{}}
			tasks := make([]Task, 6)
			for i := range tasks {
				in := client.TopicPartition{Topic: "in", Partition: int32(i)}
				l.committed[in] = client.Committed{Offset: 5}
				tasks[i] = Task{ID: topology.TaskID{Partition: int32(i)}, Inputs: []client.TopicPartition{in}}
			}
			for _, i := range c.fails {
				c.harm(l, &tasks[i])
			}
			r := New(Config{Group: "app", Log: l, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: time.Now})
			var ready, failed []int32
			err := r.Prepare(t.Context(), tasks, func(r Ready) { ready = append(ready, r.ID.Partition) })
			failures, _ := errors.AsType[Failed](err)
			for _, f := range failures {
				failed = append(failed, f.ID.Partition)
			}
			if !slices.Equal(ready, c.ready) || !slices.Equal(failed, c.fails) {
				t.Errorf("ready %v, failed %v: %v", ready, failed, err)
			}
		})
	}
}

// downLog does not answer.
type downLog struct{ calls int }

func (l *downLog) CommittedOffsets(ctx context.Context, _ string, _ []client.TopicPartition) (map[client.TopicPartition]client.Committed, error) {
	l.calls++
	<-ctx.Done()
	return nil, ctx.Err()
}

func (l *downLog) ListOffsets(ctx context.Context, _ client.OffsetSpec, _ []client.TopicPartition) (map[client.TopicPartition]int64, error) {
	return nil, errors.New("not reached")
}

func (l *downLog) TombstoneRetention(context.Context, []string) (map[string]time.Duration, error) {
	return nil, errors.New("not reached")
}

// What each task says can be read, and be looked for.
func TestFailed(t *testing.T) {
	t.Parallel()
	err := Failed{{topology.TaskID{Partition: 1}, io.EOF}, {topology.TaskID{Partition: 2}, kerr.LeaderNotAvailable}}.orNil()
	if want := "task 0_1: EOF\ntask 0_2: " + kerr.LeaderNotAvailable.Error(); err.Error() != want || !errors.Is(err, io.EOF) || !errors.Is(err, kerr.LeaderNotAvailable) {
		t.Errorf("%v", err)
	}
	if err := (Failed{}).orNil(); err != nil {
		t.Errorf("nothing failed: %v", err)
	}
}

// What fails for all that are behind does not touch a task that was handed over: it may run already.
func TestHandedOverIsNotPreparedAgain(t *testing.T) {
	t.Parallel()
	l := &fakeLog{committed: map[client.TopicPartition]client.Committed{}, records: map[client.TopicPartition][]string{}}
	var tasks []Task
	var stores []*fakeStore
	for i, next := range []int64{5, 1} {
		in, changelog := client.TopicPartition{Topic: "in", Partition: int32(i)}, client.TopicPartition{Topic: "changelog", Partition: int32(i)}
		s := &fakeStore{pos: here(next), known: true}
		s.pos.Partition = int32(i)
		stores = append(stores, s)
		l.committed[in] = client.Committed{Offset: 5}
		l.records[changelog] = []string{"a", "b", "c", "d", "e"}
		tasks = append(tasks, Task{
			ID: topology.TaskID{Partition: int32(i)}, Inputs: []client.TopicPartition{in},
			Stores: []Store{{Name: "counts", Changelog: changelog, TopicID: topicID, State: s}},
		})
	}
	tries := 0
	r := New(Config{
		Group: "app", ClusterID: "c1", Log: l, ExactlyOnce: true, StateDir: "/state",
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: time.Now,
		NewFetcher: func() (Fetcher, error) {
			if tries++; tries == 1 {
				return nil, errors.New("no fetcher")
			}
			return l.fetcher()
		},
	})
	var ready []int32
	if err := r.Prepare(t.Context(), tasks, func(r Ready) { ready = append(ready, r.ID.Partition) }); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(ready, []int32{0, 1}) || !slices.Equal(stores[1].content, []string{"b", "c", "d", "e"}) || tries != 2 {
		t.Errorf("ready %v, the store that was behind holds %v after %d tries", ready, stores[1].content, tries)
	}
}
