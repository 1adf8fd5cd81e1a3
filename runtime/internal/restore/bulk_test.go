package restore

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/commit"
	"github.com/millrace-io/millrace/topology"
)

// bulkTask is a task with two large stores and a small one, and their changelogs.
func bulkTask() (l *fakeLog, task Task, stores map[string]*fakeStore) {
	l = &fakeLog{committed: committedAt(40), records: map[client.TopicPartition][]string{}}
	task = Task{ID: topology.TaskID{Partition: 1}, Inputs: []client.TopicPartition{orders}}
	stores = map[string]*fakeStore{}
	for _, name := range []string{"small", "large-a", "large-b"} {
		large := strings.HasPrefix(name, "large")
		n := 4
		if large {
			n = bulkRecords + 4
		}
		tp := client.TopicPartition{Topic: name, Partition: 1}
		l.records[tp] = slices.Repeat([]string{"a1"}, n)
		s := &fakeStore{pos: here(int64(n - 4)), known: false, large: large, note: l.note}
		stores[name] = s
		task.Stores = append(task.Stores, Store{Name: name, Changelog: tp, TopicID: topicID, State: s})
	}
	return l, task, stores
}

func bulkRestorer(l *fakeLog, listen func(Event)) *Restorer {
	now := time.Unix(0, 0)
	return New(Config{
		Group: "app", ClusterID: "c1", Log: l, NewFetcher: func() (Fetcher, error) { return l.fetcher() }, Listen: listen,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Now:    func() time.Time { now = now.Add(time.Millisecond); return now },
	})
}

// TestBulkTakesTurns: a lane restores one large store at a time, the longest first, and small ones beside it. Listeners learn rate and remaining time.
func TestBulkTakesTurns(t *testing.T) {
	t.Parallel()
	l, task, stores := bulkTask()
	started, running := []string(nil), map[string]bool{}
	var last, middle Event
	r := bulkRestorer(l, func(e Event) {
		switch e.Kind {
		case Started:
			started = append(started, e.Store)
			running[e.Store] = true
			if running["large-a"] && running["large-b"] {
				t.Error("both large stores are restored at once")
			}
		case Progressed:
			if e.Store == "large-a" && middle.Store == "" && e.Next > e.End/2 {
				middle = e
			}
		case Ended:
			delete(running, e.Store)
			last = e
		}
	})
	ready := 0
	if err := r.Prepare(t.Context(), []Task{task}, func(Ready) { ready++ }); err != nil {
		t.Fatal(err)
	}
	if ready != 1 || !slices.Equal(started, []string{"large-a", "small", "large-b"}) || len(running) != 0 {
		t.Errorf("%d tasks ready, started in the order %v, not ended %v", ready, started, running)
	}
	for name, s := range stores {
		if want := len(l.records[client.TopicPartition{Topic: name, Partition: 1}]); len(s.content) != want || s.bulk || s.pos.Next != int64(want) {
			t.Errorf("%s: %d records at %d, want %d; in bulk still: %v", name, len(s.content), s.pos.Next, want, s.bulk)
		}
	}
	if middle.Rate <= 0 || middle.Remaining <= 0 || last.Rate <= 0 || last.Remaining != 0 {
		t.Errorf("in the middle %.0f records/s and %v to go, at the end %.0f and %v", middle.Rate, middle.Remaining, last.Rate, last.Remaining)
	}
	elapsed := float64(middle.Records) / middle.Rate
	if want := elapsed * float64(middle.End-middle.Next) / float64(middle.Next); middle.Remaining.Seconds() < want*0.99 || middle.Remaining.Seconds() > want*1.01 {
		t.Errorf("%v to go, want %.3f s", middle.Remaining, want)
	}
}

// TestBulkIsInterrupted: what was read so far is kept.
func TestBulkIsInterrupted(t *testing.T) {
	t.Parallel()
	l, task, stores := bulkTask()
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	seen, suspended := 0, []string(nil)
	r := bulkRestorer(l, func(e Event) {
		switch {
		case e.Kind == Suspended:
			suspended = append(suspended, e.Store)
		case e.Kind == Progressed && e.Store == "large-a":
			if seen++; seen == 10 {
				l.mu.Lock()
				l.dry = true
				l.mu.Unlock()
				cancel(stop)
			}
		}
	})
	if err := r.Prepare(ctx, []Task{task}, func(Ready) { t.Error("a task is ready") }); !errors.Is(err, stop) {
		t.Fatalf("%v, want %v", err, stop)
	}
	if s := stores["large-a"]; s.bulk || s.pos.Next != 20 || len(s.content) != 20 {
		t.Errorf("%d records at %d, in bulk still: %v", len(s.content), s.pos.Next, s.bulk)
	}
	if !slices.Equal(suspended, []string{"large-a"}) {
		t.Errorf("suspended: %v", suspended)
	}
}

// TestBulkFails: a large store that cannot be restored makes way for the next one, which is another task's; nothing more of its own task is begun.
func TestBulkFails(t *testing.T) {
	t.Parallel()
	a, b := client.TopicPartition{Topic: "large-a", Partition: 1}, client.TopicPartition{Topic: "large-b", Partition: 1}
	cause := errors.New("disk is full")
	for name, tc := range map[string]struct {
		harm    func(l *fakeLog, s *fakeStore)
		started bool
		fatal   bool
	}{
		"its changelog cannot be read": {func(l *fakeLog, _ *fakeStore) {
			l.unreadable = map[client.TopicPartition]error{a: cause}
		}, true, false},
		"it cannot begin":     {func(_ *fakeLog, s *fakeStore) { s.begin = cause }, false, false},
		"it cannot end":       {func(_ *fakeLog, s *fakeStore) { s.end = cause }, true, false},
		"a record is not its": {func(l *fakeLog, s *fakeStore) { l.records[a][bulkRecords] = "x"; s.refuses = "x" }, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, first, stores := bulkTask()
			own := first.Stores[1:] // the large ones
			second := Task{ID: topology.TaskID{Partition: 2}, Inputs: first.Inputs, Stores: []Store{own[1]}}
			own[1].Changelog.Topic = "large-c"
			l.records[own[1].Changelog] = l.records[b][:bulkRecords+1]
			other := &fakeStore{large: true, note: l.note}
			own[1].State, own[1].Name = other, "large-c"
			first.Stores = own
			tc.harm(l, stores["large-a"])
			events := map[string][]string{}
			r := bulkRestorer(l, func(e Event) {
				if e.Kind != Progressed {
					events[e.Store] = append(events[e.Store], e.Kind.String())
				}
			})
			var ready []topology.TaskID
			err := r.Prepare(t.Context(), []Task{first, second}, func(r Ready) { ready = append(ready, r.ID) })
			failed, _ := errors.AsType[Failed](err)
			if len(failed) != 1 || failed[0].ID != first.ID || !strings.Contains(err.Error(), "large-a") || (commit.Classify(failed[0]) == commit.ClassFatal) != tc.fatal {
				t.Errorf("Prepare: %v", err)
			}
			if !tc.fatal && !errors.Is(err, cause) {
				t.Errorf("Prepare: %v, want %v", err, cause)
			}
			if !slices.Equal(ready, []topology.TaskID{second.ID}) || len(stores["large-b"].content) != bulkRecords+4 {
				t.Errorf("ready %v, with %d records", ready, len(stores["large-b"].content))
			}
			var of []string
			if tc.started {
				of = []string{"started", "suspended"}
			}
			if !slices.Equal(events["large-a"], of) || len(events["large-c"]) > 0 {
				t.Errorf("events %v", events)
			}
			if stores["large-a"].bulk || l.held != 0 || slices.Contains(l.calls, "closed while large-a-1 is fetched") {
				t.Errorf("in bulk still: %v, %d batches are not released", stores["large-a"].bulk, l.held)
			}
		})
	}
}

// TestBulkCannotBeKept: that what was read of an interrupted restore is lost is named in the log.
func TestBulkCannotBeKept(t *testing.T) {
	t.Parallel()
	l, task, stores := bulkTask()
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	stores["large-a"].end = errors.New("disk is full")
	r := bulkRestorer(l, func(e Event) {
		if e.Kind == Progressed {
			l.mu.Lock()
			l.dry = true
			l.mu.Unlock()
			cancel(stop)
		}
	})
	var logged strings.Builder
	r.cfg.Logger = slog.New(slog.NewTextHandler(&logged, nil))
	err := r.Prepare(ctx, []Task{task}, func(Ready) { t.Error("a task is ready") })
	if !errors.Is(err, stop) {
		t.Errorf("Prepare: %v", err)
	}
	if !strings.Contains(logged.String(), "disk is full") {
		t.Errorf("logged %q", logged.String())
	}
}
