package restore

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/topology"
)

// A store that has been behind for longer than half of the time for which deletes stay is made anew: one may be gone that it has not seen.
func TestDeletesThatMayBeGone(t *testing.T) {
	t.Parallel()
	now := time.Now()
	ago := func(d time.Duration) int64 { return now.Add(-d).UnixMilli() }
	for _, tc := range []struct {
		name      string
		retention time.Duration
		asOf      int64
		next      int64
		input     bool // its changelog is an input
		resets    int
	}{
		{"behind for long", 10 * time.Hour, ago(5*time.Hour + time.Minute), 1, false, 1},
		{"behind for a while", 10 * time.Hour, ago(5*time.Hour - time.Minute), 1, false, 0},
		{"for long, but not behind", 10 * time.Hour, ago(100 * time.Hour), 3, false, 0},
		{"for long, but deletes stay", 0, ago(100 * time.Hour), 1, false, 0},
		{"for long, behind a marker", 10 * time.Hour, ago(100 * time.Hour), 2, false, 0},
		{"nobody knows for how long", 10 * time.Hour, 0, 1, false, 1},
		{"nobody knows, but not behind", 10 * time.Hour, 0, 3, false, 0},
		{"what an input has lost was never to be processed", 10 * time.Hour, ago(100 * time.Hour), 1, true, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			l := &fakeLog{committed: committedAt(40), retention: tc.retention, records: map[client.TopicPartition][]string{changelog: {"a1", "b1", "a2"}}}
			store := &fakeStore{pos: here(tc.next), known: true, content: []string{"a1", "b1", "a2"}[:tc.next:tc.next], asOf: tc.asOf}
			row := func(k, v []byte, _ int64) (key, value []byte, ok bool) { return k, v, true }
			_, err := prepare(t, l, store, func(task *Task) {
				if tc.input {
					task.Inputs = append(task.Inputs, changelog)
					task.Stores[0].Row = row
					l.committed[changelog] = client.Committed{Offset: 3}
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(store.content, []string{"a1", "b1", "a2"}) || store.resets != tc.resets {
				t.Errorf("store holds %v after %d resets, want %d", store.content, store.resets, tc.resets)
			}
			if tc.input {
				return
			}
			if at := time.UnixMilli(store.asOf); at.Before(now.Add(-time.Second)) || at.After(time.Now()) {
				t.Errorf("it is complete as of %v", at)
			}
			k := keep(t, l, l, &fakeStore{pos: here(tc.next), known: true, asOf: tc.asOf})
			k.want(false, k.store)
			k.await(3 - tc.next*int64(1-tc.resets))
			if err := k.end(); err != nil {
				t.Fatal(err)
			}
			if k.store.resets != tc.resets {
				t.Errorf("a copy was reset %d times, want %d", k.store.resets, tc.resets)
			}
		})
	}
}

// A restore that takes longer than deletes stay fails, says what to change, and leaves nothing that the next one could take for complete.
func TestRestoreOutlivesDeletes(t *testing.T) {
	t.Parallel()
	l := &fakeLog{committed: committedAt(40), retention: time.Minute, records: map[client.TopicPartition][]string{changelog: {"a1", "b1", "a2"}}}
	now := time.Now()
	r := New(Config{
		Group: "app", ClusterID: "c1", Log: l, NewFetcher: l.fetcher, ExactlyOnce: true, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Now: func() time.Time { now = now.Add(20 * time.Second); return now },
	})
	store := &fakeStore{}
	task := Task{
		ID: topology.TaskID{Partition: 1}, Inputs: []client.TopicPartition{orders},
		Stores: []Store{{Name: "counts", Changelog: changelog, TopicID: topicID, State: store}},
	}
	err := r.Prepare(t.Context(), []Task{task}, func(Ready) { t.Error("ready") })
	if err == nil || !strings.Contains(err.Error(), "delete.retention.ms of app-counts-changelog") {
		t.Errorf("error %v", err)
	}
	if store.pos.Next != 0 || len(store.content) != 0 {
		t.Errorf("the store has %v, and goes on from %d", store.content, store.pos.Next)
	}
	l.retention = time.Hour
	ready, began := false, now
	if err := r.Prepare(t.Context(), []Task{task}, func(Ready) { ready = true }); err != nil || !ready || len(store.content) != 3 {
		t.Errorf("it is ready: %v, with %v: %v", ready, store.content, err)
	}
	if want := began.Add(20 * time.Second).UnixMilli(); store.asOf != want { // the clock's first reading
		t.Errorf("it is complete as of %v, want %v: before its end was asked for", time.UnixMilli(store.asOf), time.UnixMilli(want))
	}
}

// However short the time is for which deletes stay, a store may be read for some seconds.
func TestRestoreTakesSeconds(t *testing.T) {
	t.Parallel()
	l := &fakeLog{committed: committedAt(40), retention: time.Millisecond, records: map[client.TopicPartition][]string{changelog: {"a1", "b1", "a2"}}}
	now := time.Now()
	r := New(Config{
		Group: "app", ClusterID: "c1", Log: l, NewFetcher: l.fetcher, ExactlyOnce: true, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Now: func() time.Time { now = now.Add(time.Second); return now },
	})
	task := Task{
		Inputs: []client.TopicPartition{orders}, Stores: []Store{{Name: "counts", Changelog: changelog, TopicID: topicID, State: &fakeStore{}}},
	}
	if err := r.Prepare(t.Context(), []Task{task}, func(Ready) {}); err != nil {
		t.Error(err)
	}
}

// Where the log does not tell for how long deletes stay, it is taken to be a day.
func TestRetentionIsNotTold(t *testing.T) {
	t.Parallel()
	for behind, resets := range map[time.Duration]int{11 * time.Hour: 0, 13 * time.Hour: 1} {
		l := &fakeLog{committed: committedAt(40), untold: io.ErrUnexpectedEOF, records: map[client.TopicPartition][]string{changelog: {"a1", "b1", "a2"}}}
		store := &fakeStore{pos: here(1), known: true, content: []string{"a1"}, asOf: time.Now().Add(-behind).UnixMilli()}
		if _, err := prepare(t, l, store, nil); err != nil || store.resets != resets || len(store.content) != 3 {
			t.Errorf("behind for %v: %d resets, content %v, %v", behind, store.resets, store.content, err)
		}
	}
}

func TestMisses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		next                     int64
		exactlyOnce, atLeastOnce bool
	}{{5, false, false}, {4, false, true}, {3, true, true}} {
		log := bounds{end: 5}
		if e, a := misses(here(tc.next), log, true), misses(here(tc.next), log, false); e != tc.exactlyOnce || a != tc.atLeastOnce {
			t.Errorf("at %d of 5: misses %v under exactly-once, %v else", tc.next, e, a)
		}
	}
}

// A restore that waits for an open transaction says so once.
func TestStalledRestoreIsNamed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &fakeLog{committed: committedAt(40), dry: true, records: map[client.TopicPartition][]string{changelog: {"a1"}}}
		var logged strings.Builder
		r := New(Config{
			Group: "app", ClusterID: "c1", Log: l, ExactlyOnce: true, Logger: slog.New(slog.NewTextHandler(&logged, nil)), Now: time.Now,
			NewFetcher: func() (Fetcher, error) {
				return &fakeFetcher{log: l, at: make(map[client.TopicPartition]int64), ready: make(chan struct{})}, nil
			},
		})
		task := Task{
			Inputs: []client.TopicPartition{orders}, Stores: []Store{{Name: "counts", Changelog: changelog, TopicID: topicID, State: &fakeStore{}}},
		}
		for within, want := range map[time.Duration]int{stalled - time.Second: 0, 3 * stalled: 1} {
			logged.Reset()
			ctx, cancel := context.WithTimeout(t.Context(), within)
			if err := r.Prepare(ctx, []Task{task}, func(Ready) { t.Error("ready") }); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Prepare: %v", err)
			}
			cancel()
			if n := strings.Count(logged.String(), "open transaction"); n != want {
				t.Errorf("within %v it was said %d times", within, n)
			}
		}
	})
}

// A copy that falls behind for too long begins anew, also if it then gets all at once; one that keeps up does not, however long nothing came, which it
// has heard, before much came at once. Nor does one that is read for the first seconds, however short the time is for which deletes stay.
func TestCopyFallsBehind(t *testing.T) {
	t.Parallel()
	nothing, more := client.Fetched{TopicPartition: changelog}, client.Fetched{TopicPartition: changelog, Lag: 5, HighWatermark: 5}
	for name, tc := range map[string]struct {
		behind    time.Duration
		retention time.Duration
		news      []client.Fetched // after that time, before records come
		end       int64            // of the changelog
		resets    int
		fresh     bool // it was complete, or emptied, since
	}{
		"keeps up":                     {29 * time.Minute, time.Hour, nil, 2, 1, true},
		"keeps up, heard a minute ago": {61 * time.Second, time.Millisecond, nil, 2, 1, true},
		"was cut off":                  {31 * time.Minute, time.Hour, nil, 2, 2, true},
		"falls behind":                 {31 * time.Minute, time.Hour, nil, 5, 2, true},
		"hears that there is more":     {31 * time.Minute, time.Hour, []client.Fetched{more}, 5, 2, true},
		"heard that there was no more": {31 * time.Minute, time.Hour, []client.Fetched{nothing}, 5, 1, true},
		"is behind for not quite half": {29 * time.Minute, time.Hour, nil, 5, 1, false},
		"deletes go nearly at once":    {5 * time.Second, time.Millisecond, nil, 5, 1, false},
		"deletes went some time ago":   {11 * time.Second, time.Millisecond, nil, 5, 2, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := &fakeLog{retention: tc.retention, records: map[client.TopicPartition][]string{changelog: {"", "", "", "", ""}}}
			store := &fakeStore{}
			k := keep(t, l, l, store)
			k.want(false, store)
			k.await(5)
			if err := k.do(t.Context(), func() { store.asOf = time.Now().Add(-tc.behind).UnixMilli() }); err != nil {
				t.Fatal(err)
			}
			for _, news := range tc.news {
				k.fetcher.push(news)
			}
			k.fetcher.push(batchAt(0, tc.end, "a1", "a2"))
			k.await(map[int]int64{1: tc.end - 2, 2: 5}[tc.resets])
			if err := k.end(); err != nil {
				t.Fatal(err)
			}
			if asOf := time.UnixMilli(store.asOf); store.resets != tc.resets || time.Since(asOf) < tc.behind != tc.fresh {
				t.Errorf("%d resets, want %d; complete as of %v", store.resets, tc.resets, asOf)
			}
		})
	}
}
