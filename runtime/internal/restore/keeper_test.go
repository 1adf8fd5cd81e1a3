package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/topology"
)

// pushFetcher hands out what a test pushes, for changelogs that were added.
type pushFetcher struct {
	ready chan struct{}
	mu    sync.Mutex
	calls []string
	added map[client.TopicPartition]bool
	queue []client.Fetched
}

func newPushFetcher() *pushFetcher {
	return &pushFetcher{ready: make(chan struct{}, 1), added: make(map[client.TopicPartition]bool)}
}

func (f *pushFetcher) call(format string, args ...any) {
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
}

func (f *pushFetcher) Add(tp client.TopicPartition, offset int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.call("add %d", offset)
	f.added[tp] = true
}

func (f *pushFetcher) Remove(tp client.TopicPartition) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.call("remove")
	delete(f.added, tp)
}

func (f *pushFetcher) Pause(tps ...client.TopicPartition)  { f.change("pause", tps) }
func (f *pushFetcher) Resume(tps ...client.TopicPartition) { f.change("resume", tps) }

func (f *pushFetcher) change(what string, tps []client.TopicPartition) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.call("%s %d", what, len(tps))
}

func (f *pushFetcher) Ready() <-chan struct{} { return f.ready }
func (f *pushFetcher) Close()                 {}

func (f *pushFetcher) Take(dst []client.Fetched) []client.Fetched {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, q := range f.queue {
		if f.added[q.TopicPartition] {
			dst = append(dst, q)
		}
	}
	f.queue = nil
	return dst
}

func (f *pushFetcher) push(news client.Fetched) {
	f.mu.Lock()
	f.queue = append(f.queue, news)
	f.mu.Unlock()
	f.ready <- struct{}{}
}

func (f *pushFetcher) trace() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := strings.Join(f.calls, ", ")
	f.calls = nil
	return s
}

// keeping is a Keeper under test with one task.
type keeping struct {
	*Keeper
	t       *testing.T
	log     *fakeLog
	fetcher *pushFetcher
	store   *fakeStore
	near    chan struct{}
	end     func() error

	mu     sync.Mutex
	events []string
}

func keep(t *testing.T, l Log, log *fakeLog, store *fakeStore) *keeping {
	t.Helper()
	k := &keeping{t: t, log: log, fetcher: newPushFetcher(), store: store, near: make(chan struct{}, 100)}
	k.Keeper = NewKeeper(KeeperConfig{
		ClusterID: "c1", Log: l, Fetcher: k.fetcher, Near: 2, ExactlyOnce: true,
		Changed: func() { k.near <- struct{}{} },
		Listen: func(e Event) {
			k.mu.Lock()
			defer k.mu.Unlock()
			text := fmt.Sprintf("%v %s %d-%d %d", e.Kind, e.Task, e.Next, e.End, e.Records)
			if e.Promoted {
				text += " promoted"
			}
			k.events = append(k.events, text)
		},
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Now:    time.Now,
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx) }()
	k.end = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() { _ = k.end() })
	return k
}

func (k *keeping) want(promoted bool, stores ...*fakeStore) {
	k.t.Helper()
	var tasks []Task
	for _, s := range stores {
		tasks = append(tasks, Task{ID: topology.TaskID{Partition: 1}, Stores: []Store{{Name: "counts", Changelog: changelog, TopicID: topicID, State: s}}})
	}
	if err := k.Keep(k.t.Context(), tasks, func(topology.TaskID) bool { return promoted }); err != nil {
		k.t.Fatal(err)
	}
}

// await waits until the copy has that lag; the Keeper's goroutine is idle then.
func (k *keeping) await(lag int64) {
	k.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		if err := k.do(k.t.Context(), func() {}); err != nil {
			k.t.Fatal(err)
		}
		if c := k.Copies(); len(c) == 1 && c[0].Lag == lag {
			return
		}
		if time.Now().After(deadline) {
			k.t.Fatalf("copies %v, want lag %d", k.Copies(), lag)
		}
		time.Sleep(time.Millisecond)
	}
}

func (k *keeping) told() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	e := k.events
	k.events = nil
	return e
}

func batchAt(at, end int64, values ...string) client.Fetched {
	return client.Fetched{
		TopicPartition: changelog, Batch: &fakeBatch{values: values, at: at}, HighWatermark: end, Lag: end - at - int64(len(values)),
	}
}

func TestKeeperFollowsAndHandsOver(t *testing.T) {
	t.Parallel()
	l := &fakeLog{records: map[client.TopicPartition][]string{changelog: {"a1", "b1", "", "a2", ""}}}
	store := &fakeStore{pos: here(1), known: true, content: []string{"a1"}}
	k := keep(t, l, l, store)
	k.want(false, store)
	k.await(4)
	k.fetcher.push(batchAt(1, 5, "b1", ""))
	k.await(2)
	<-k.near
	if err := k.Hold(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if err := k.Hold(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	k.fetcher.push(batchAt(3, 7, "a2", ""))
	k.await(2)
	k.want(true)                            // the task runs here now
	k.fetcher.push(batchAt(5, 7, "a3", "")) // was on its way
	if err := k.do(t.Context(), func() {}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(store.content, []string{"a1", "b1", "a2"}) || store.pos != here(5) || store.resets > 0 {
		t.Errorf("store holds %v at %+v", store.content, store.pos)
	}
	if got, want := k.told(), []string{"started 0_1 1-5 0", "progressed 0_1 3-5 1", "progressed 0_1 5-7 2", "suspended 0_1 5-7 2 promoted"}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	if got, want := k.fetcher.trace(), "add 1, pause 1, resume 1, remove"; got != want {
		t.Errorf("calls %s, want %s", got, want)
	}
	if len(k.near) > 0 || len(k.Copies()) > 0 {
		t.Errorf("told %d times that it is near, copies %v", len(k.near), k.Copies())
	}
	k.want(false, store) // it moved away again
	k.await(0)           // fakeLog's end
	if err := k.end(); err != nil {
		t.Error(err)
	}
	if got := k.told(); !slices.Equal(got, []string{"started 0_1 5-5 0", "suspended 0_1 5-5 0"}) {
		t.Errorf("told %q", got)
	}
	if err := k.Keep(t.Context(), nil, nil); !errors.Is(err, ErrEnded) {
		t.Errorf("Keep after the end: %v", err)
	}
}

// T2 holds for copies too; one that must not be touched is left alone.
func TestKeeperJudgesWhatItFinds(t *testing.T) {
	t.Parallel()
	other := here(2)
	other.ClusterID = "c2"
	for _, tc := range []struct {
		name    string
		store   fakeStore
		records []string
		start   int64
		lag     int64
		calls   string
		resets  int
	}{
		{"new", fakeStore{}, []string{"a1", "a2"}, 0, 2, "add 0", 1},
		{"of another cluster", fakeStore{pos: other, known: true}, []string{"a1", "a2", "a3"}, 1, 2, "add 1", 1},
		{"below the log's start", fakeStore{pos: here(1), known: true}, []string{"a1", "a2", "a3"}, 2, 1, "add 2", 1},
		{"another cluster, empty", fakeStore{pos: other, known: true}, nil, 0, -1, "", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			l := &fakeLog{records: map[client.TopicPartition][]string{changelog: tc.records}, starts: map[client.TopicPartition]int64{changelog: tc.start}}
			k := keep(t, l, l, &tc.store)
			k.want(false, &tc.store)
			if tc.lag >= 0 {
				k.await(tc.lag)
			} else {
				k.awaitRefused()
			}
			if err := k.end(); err != nil {
				t.Fatal(err)
			}
			if got := strings.TrimSuffix(strings.ReplaceAll(k.fetcher.trace(), "remove", ""), ", "); got != tc.calls || tc.store.resets != tc.resets {
				t.Errorf("calls %q, %d resets", got, tc.store.resets)
			}
		})
	}
}

func (k *keeping) awaitRefused() {
	k.t.Helper()
	for refusedNow := false; !refusedNow; {
		if err := k.do(k.t.Context(), func() { refusedNow = k.kept[changelog].state == refused }); err != nil {
			k.t.Fatal(err)
		}
	}
}

// A changelog that was cut off below the copy, and a log that does not answer, are looked up again.
func TestKeeperLooksAgain(t *testing.T) {
	t.Parallel()
	l := &fakeLog{records: map[client.TopicPartition][]string{changelog: {"a1", "a2", "a3"}}, starts: map[client.TopicPartition]int64{}}
	flaky := &flakyLog{fakeLog: l, fail: 2}
	store := &fakeStore{}
	k := keep(t, flaky, l, store)
	k.want(false, store)
	k.await(3)
	l.mu.Lock()
	l.starts[changelog] = 2
	l.mu.Unlock()
	k.fetcher.push(client.Fetched{TopicPartition: changelog, Err: &client.OutOfRangeError{TopicPartition: changelog}})
	k.await(1)
	if got, want := k.fetcher.trace(), "add 0, remove, add 2"; got != want || store.resets != 2 {
		t.Errorf("calls %s, want %s; %d resets", got, want, store.resets)
	}
}

// flakyLog fails some times.
type flakyLog struct {
	*fakeLog
	fail int
}

func (l *flakyLog) ListOffsets(ctx context.Context, spec client.OffsetSpec, tps []client.TopicPartition) (map[client.TopicPartition]int64, error) {
	if l.fail > 0 {
		l.fail--
		return nil, errors.New("no answer")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	found := make(map[client.TopicPartition]int64)
	for _, tp := range tps {
		found[tp] = l.starts[tp]
		if spec == client.HighWatermark {
			found[tp] = int64(len(l.records[tp]))
		}
	}
	return found, nil
}

// slowLog answers the question about ends when it is told to.
type slowLog struct {
	*fakeLog
	asked, answer chan struct{}
}

func (l *slowLog) ListOffsets(ctx context.Context, spec client.OffsetSpec, tps []client.TopicPartition) (map[client.TopicPartition]int64, error) {
	if spec == client.HighWatermark {
		l.asked <- struct{}{}
		<-l.answer
	}
	return l.fakeLog.ListOffsets(ctx, spec, tps)
}
