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
	"github.com/millrace-io/millrace/runtime/internal/commit"
	"github.com/millrace-io/millrace/runtime/internal/task"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// fakeLog is a log of one topic set: offsets of a group, changelogs as slices of values. It notes the order of questions.
type fakeLog struct {
	mu        sync.Mutex
	committed map[client.TopicPartition]client.Committed
	later     map[client.TopicPartition]client.Committed // committed once they have been asked for in vain
	starts    map[client.TopicPartition]int64
	records   map[client.TopicPartition][]string // by offset, counted from 0; "" is a control record
	calls     []string
	dry       bool          // there is nothing to fetch any more
	retention time.Duration // of deletes
	untold    error         // why retention cannot be asked for
	beyond    bool          // the last batch of a partition comes twice
	held      int           // batches that were handed out and not released
	// What cannot be asked for, and what cannot be read.
	broken, unreadable map[client.TopicPartition]error
}

func (l *fakeLog) note(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls = append(l.calls, fmt.Sprintf(format, args...))
}

func (l *fakeLog) CommittedOffsets(_ context.Context, _ string, tps []client.TopicPartition) (map[client.TopicPartition]client.Committed, error) {
	l.note("committed")
	found := make(map[client.TopicPartition]client.Committed)
	for _, tp := range tps {
		if c, ok := l.committed[tp]; ok {
			found[tp] = c
		}
	}
	if l.later != nil {
		l.committed, l.later = l.later, nil
	}
	return found, nil
}

func (l *fakeLog) ListOffsets(_ context.Context, spec client.OffsetSpec, tps []client.TopicPartition) (map[client.TopicPartition]int64, error) {
	l.note("%s of %s", map[client.OffsetSpec]string{client.LogStart: "start", client.HighWatermark: "high watermark"}[spec], tps[0].Topic)
	found := make(map[client.TopicPartition]int64)
	for _, tp := range tps {
		if err := l.broken[tp]; err != nil {
			return nil, err
		}
		found[tp] = l.starts[tp]
		if spec == client.HighWatermark {
			found[tp] = int64(len(l.records[tp]))
		}
	}
	return found, nil
}

func (l *fakeLog) TombstoneRetention(_ context.Context, topics []string) (map[string]time.Duration, error) {
	found := make(map[string]time.Duration)
	for _, topic := range topics {
		found[topic] = l.retention
	}
	if l.untold != nil {
		return nil, l.untold
	}
	return found, nil
}

// fakeFetcher hands out two records at a time.
type fakeFetcher struct {
	log   *fakeLog
	at    map[client.TopicPartition]int64
	ready chan struct{}
}

func (l *fakeLog) fetcher() (Fetcher, error) {
	f := &fakeFetcher{log: l, at: make(map[client.TopicPartition]int64), ready: make(chan struct{})}
	close(f.ready)
	return f, nil
}

func (f *fakeFetcher) Add(tp client.TopicPartition, offset int64) {
	f.log.note("fetch %s from %d", partitionName(tp), offset)
	f.at[tp] = offset
}
func (f *fakeFetcher) Remove(tp client.TopicPartition) { delete(f.at, tp) }
func (f *fakeFetcher) Ready() <-chan struct{}          { return f.ready }
func (f *fakeFetcher) Close() {
	for tp := range f.at {
		f.log.note("closed while %s is fetched", partitionName(tp))
	}
}

func (f *fakeFetcher) Take(dst []client.Fetched) []client.Fetched {
	f.log.mu.Lock()
	defer f.log.mu.Unlock()
	if f.log.dry {
		return dst
	}
	for tp, at := range f.at {
		if err := f.log.unreadable[tp]; err != nil {
			dst = append(dst, client.Fetched{TopicPartition: tp, Err: err})
			continue
		}
		all := f.log.records[tp]
		end := min(at+2, int64(len(all)))
		if at >= end {
			continue
		}
		dst = append(dst, client.Fetched{TopicPartition: tp, Batch: f.log.batch(all[at:end], at)})
		f.at[tp] = end
		if f.log.beyond && end == int64(len(all)) {
			dst = append(dst, client.Fetched{TopicPartition: tp, Batch: f.log.batch(all[at:end], at)})
		}
	}
	return dst
}

// batch hands out a batch; mu is held.
func (l *fakeLog) batch(values []string, at int64) *fakeBatch {
	l.held++
	return &fakeBatch{values: values, at: at, release: func() { l.mu.Lock(); l.held--; l.mu.Unlock() }}
}

// fakeBatch is a batch of values; the key is the value's first letter. Each record has a header.
type fakeBatch struct {
	values  []string
	at      int64
	i       int
	release func() // may be nil
}

func (b *fakeBatch) Next(r *topology.Raw) (bool, error) {
	for b.i < len(b.values) {
		v := b.values[b.i]
		b.i++
		if v != "" {
			*r = topology.Raw{Key: []byte(v[:1]), Value: []byte(v), Offset: b.at + int64(b.i) - 1, Headers: []topology.Header{{Key: "h"}}}
			return true, nil
		}
	}
	return false, nil
}
func (b *fakeBatch) End() int64         { return b.at + int64(len(b.values)) }
func (b *fakeBatch) LeaderEpoch() int32 { return 3 }
func (b *fakeBatch) Bytes() int         { return len(b.values) }
func (b *fakeBatch) Release() {
	if b.release != nil {
		b.release()
	}
}

// fakeStore is a store partition.
type fakeStore struct {
	pos     state.Position
	known   bool
	content []string
	pending []string
	headers int // of records that were restored
	refuses string
	resets  int
	asOf    int64 // of pos, apart from it

	large bool // is restored in bulk: pending becomes content with EndBulk
	bulk  bool
	begin error // of BeginBulk
	end   error // of EndBulk
	fail  error // of RestoredTo
	next  int64
	note  func(format string, args ...any)
}

func (s *fakeStore) Position() (state.Position, bool) {
	pos := s.pos
	pos.AsOf = s.asOf
	return pos, s.known
}
func (s *fakeStore) Reset(pos state.Position) error {
	s.asOf, pos.AsOf = pos.AsOf, 0
	s.pos, s.known, s.content, s.pending = pos, true, nil, nil
	s.resets++
	return nil
}
func (s *fakeStore) Restore(_, value []byte, _ int64, headers ...topology.Header) error {
	if s.refuses != "" && string(value) == s.refuses {
		return errors.New("not a row of this store")
	}
	s.headers += len(headers)
	s.pending = append(s.pending, string(value))
	return nil
}
func (s *fakeStore) RestoredTo(next int64) error {
	if s.fail != nil {
		return s.fail
	}
	if !s.bulk {
		s.content, s.pending, s.pos.Next = append(s.content, s.pending...), nil, next
	}
	s.next = next
	return nil
}
func (s *fakeStore) CompleteAsOf(ms int64) { s.asOf = max(s.asOf, ms) }
func (s *fakeStore) BeginBulk(int64) (bool, error) {
	s.bulk = s.large && s.begin == nil
	return s.bulk, s.begin
}
func (s *fakeStore) EndBulk() error {
	if s.bulk {
		s.note("end of bulk at %d", s.next)
		s.bulk = false
		if s.end != nil {
			return s.end
		}
		return s.RestoredTo(s.next)
	}
	return nil
}

var (
	orders    = client.TopicPartition{Topic: "orders", Partition: 1}
	changelog = client.TopicPartition{Topic: "app-counts-changelog", Partition: 1}
	topicID   = [16]byte{7}
)

func here(next int64) state.Position {
	return state.Position{ClusterID: "c1", TopicID: topicID, Partition: 1, Next: next}
}

func prepare(t *testing.T, l *fakeLog, store *fakeStore, change func(*Task)) ([]Ready, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r := New(Config{
		Group: "app", ClusterID: "c1", Log: l, NewFetcher: l.fetcher, ExactlyOnce: true, StateDir: "/state",
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: time.Now,
	})
	task := Task{ID: topology.TaskID{Partition: 1}, Inputs: []client.TopicPartition{orders}}
	if store != nil {
		task.Stores = []Store{{Name: "counts", Changelog: changelog, TopicID: topicID, State: store}}
	}
	if change != nil {
		change(&task)
	}
	var ready []Ready
	err := r.Prepare(ctx, []Task{task}, func(r Ready) { ready = append(ready, r) })
	return ready, err
}

func committedAt(offset int64) map[client.TopicPartition]client.Committed {
	return map[client.TopicPartition]client.Committed{orders: {Offset: offset, LeaderEpoch: 3, Metadata: "m"}}
}

// T1: offsets, then ends, then data.
func TestPrepareAsksInOrder(t *testing.T) {
	t.Parallel()
	l := &fakeLog{committed: committedAt(40), records: map[client.TopicPartition][]string{changelog: {"a1", "b1", "", "a2", ""}}}
	store := &fakeStore{}
	ready, err := prepare(t, l, store, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := "committed, high watermark of app-counts-changelog, start of app-counts-changelog, fetch app-counts-changelog-1 from 0"
	if got := strings.Join(l.calls, ", "); got != want {
		t.Errorf("asked %s\nwant  %s", got, want)
	}
	if !slices.Equal(store.content, []string{"a1", "b1", "a2"}) || store.pos != here(5) || store.headers != 3 {
		t.Errorf("store holds %v with %d headers at %+v", store.content, store.headers, store.pos)
	}
	if len(ready) != 1 || ready[0].Offsets[orders].Offset != 40 || ready[0].Restored != 3 || len(ready[0].Fresh) != 0 {
		t.Errorf("ready %+v", ready)
	}
}

func TestPrepareReadsTheTailOnly(t *testing.T) {
	t.Parallel()
	l := &fakeLog{committed: committedAt(40), records: map[client.TopicPartition][]string{changelog: {"a1", "b1", "", "a2", ""}}}
	store := &fakeStore{pos: here(3), known: true, content: []string{"a1", "b1"}}
	if _, err := prepare(t, l, store, nil); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(store.content, []string{"a1", "b1", "a2"}) || store.resets != 0 {
		t.Errorf("store holds %v after %d resets", store.content, store.resets)
	}
	// At the end there is nothing to fetch.
	l.calls = nil
	if _, err := prepare(t, l, store, nil); err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(l.calls, func(c string) bool { return strings.HasPrefix(c, "fetch") }) {
		t.Errorf("asked %v", l.calls)
	}
}

func TestPrepareStartsFreshInputsAtTheLogStart(t *testing.T) {
	t.Parallel()
	l := &fakeLog{starts: map[client.TopicPartition]int64{orders: 12}}
	ready, err := prepare(t, l, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := ready[0]; got.Offsets[orders] != (client.Committed{Offset: 12, LeaderEpoch: -1}) || !got.Fresh[orders] {
		t.Errorf("ready %+v", got)
	}
}

// T3: no offset where one must exist is an error, not the beginning.
func TestPrepareRefusesLostOffsets(t *testing.T) {
	t.Parallel()
	t.Run("this process committed one", func(t *testing.T) {
		t.Parallel()
		_, err := prepare(t, &fakeLog{}, nil, func(task *Task) {
			task.Known = map[client.TopicPartition]bool{orders: true}
		})
		if err == nil || !strings.Contains(err.Error(), "no committed offset for orders-1") {
			t.Errorf("error %v", err)
		}
	})
	for name, store := range map[string]*fakeStore{
		"the changelog holds committed data":              {},
		"the changelog does, and the store is at its end": {pos: here(2), known: true, content: []string{"a1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := &fakeLog{records: map[client.TopicPartition][]string{changelog: {"a1", ""}}}
			_, err := prepare(t, l, store, nil)
			if err == nil || !strings.Contains(err.Error(), "would count twice") || commit.Classify(err) != commit.ClassFatal {
				t.Errorf("error %v", err)
			}
		})
	}
	// An instance that does not know yet that it is lost, and its successor that commits for the first time.
	t.Run("another instance has committed in between", func(t *testing.T) {
		t.Parallel()
		l := &fakeLog{later: committedAt(1), records: map[client.TopicPartition][]string{changelog: {"a1", ""}}}
		if _, err := prepare(t, l, &fakeStore{}, nil); err == nil || commit.Classify(err) != commit.ClassRetry {
			t.Errorf("error %v", err)
		}
		if _, err := prepare(t, l, &fakeStore{}, nil); err != nil {
			t.Errorf("tried again: %v", err)
		}
	})
	t.Run("aborted transactions alone are no data", func(t *testing.T) {
		t.Parallel()
		l := &fakeLog{records: map[client.TopicPartition][]string{changelog: {"", ""}}}
		if _, err := prepare(t, l, &fakeStore{pos: here(2), known: true}, nil); err != nil {
			t.Error(err)
		}
	})
}

// Without transactions a changelog is written before the offsets are: what it holds is trusted where there are none yet.
func TestPrepareWithoutOffsetsAtLeastOnce(t *testing.T) {
	t.Parallel()
	l := &fakeLog{records: map[client.TopicPartition][]string{changelog: {"a1", "b1"}}}
	store := &fakeStore{pos: here(1), known: true, content: []string{"a1"}}
	r := New(Config{
		Group: "app", ClusterID: "c1", Log: l, NewFetcher: l.fetcher, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: time.Now,
	})
	task := Task{
		Inputs: []client.TopicPartition{orders}, Stores: []Store{{Name: "counts", Changelog: changelog, TopicID: topicID, State: store}},
	}
	ready := 0
	if err := r.Prepare(t.Context(), []Task{task}, func(Ready) { ready++ }); err != nil || ready != 1 {
		t.Errorf("%d tasks are ready: %v", ready, err)
	}
	if !slices.Equal(store.content, []string{"a1", "b1"}) || store.resets != 0 {
		t.Errorf("store holds %v after %d resets", store.content, store.resets)
	}
}

// What is fetched beyond a changelog's end is given back unread.
func TestBeyondTheEnd(t *testing.T) {
	t.Parallel()
	l := &fakeLog{committed: committedAt(40), beyond: true, records: map[client.TopicPartition][]string{changelog: {"a1", "b1", "a2"}}}
	store := &fakeStore{}
	if _, err := prepare(t, l, store, nil); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(store.content, []string{"a1", "b1", "a2"}) || l.held != 0 {
		t.Errorf("store holds %v, %d batches are not released", store.content, l.held)
	}
}

func TestOwnHeaders(t *testing.T) {
	t.Parallel()
	own, mark := topology.Header{Key: "h"}, topology.Header{Key: task.PositionHeader}
	for _, tc := range []struct {
		headers []topology.Header
		own     int
	}{{nil, 0}, {[]topology.Header{mark}, 0}, {[]topology.Header{own}, 1}, {[]topology.Header{own, mark}, 1}} {
		if got := ownHeaders(tc.headers); len(got) != tc.own {
			t.Errorf("of %v: %v", tc.headers, got)
		}
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	full, empty := bounds{start: 10, end: 20}, bounds{start: 10, end: 10}
	for _, tc := range []struct {
		name  string
		have  state.Position
		known bool
		log   bounds
		want  verdict
		why   string
	}{
		{"new store", state.Position{}, false, full, begin, ""},
		{"within", here(15), true, full, trust, ""},
		{"at the start", here(10), true, full, trust, ""},
		{"at the end", here(20), true, full, trust, ""},
		{"at the end of an empty log", here(10), true, empty, trust, ""},
		{"below the start", here(9), true, full, rebuild, "offset 9 below log start 10"},
		{"past the end", here(21), true, full, rebuild, "offset 21 past log end 20"},
		{"another cluster", state.Position{ClusterID: "c2", TopicID: topicID, Partition: 1, Next: 15}, true, full, rebuild, `cluster "c2"`},
		{"a recreated topic", state.Position{ClusterID: "c1", TopicID: [16]byte{8}, Partition: 1, Next: 15}, true, full, rebuild, "deleted and created again"},
		{"another partition", state.Position{ClusterID: "c1", TopicID: topicID, Partition: 2, Next: 15}, true, full, rebuild, "partition 2"},
		{"another cluster, empty", state.Position{ClusterID: "c2", TopicID: topicID, Partition: 1, Next: 15}, true, empty, refuse, `cluster "c2"`},
		{"past the end, empty", here(15), true, empty, refuse, "past log end"},
		{"a new store of another cluster, empty", state.Position{ClusterID: "c2", TopicID: topicID, Partition: 1}, true, bounds{}, rebuild, `cluster "c2"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, why := judge(tc.have, tc.known, here(0), tc.log)
			if got != tc.want || !strings.Contains(why, tc.why) {
				t.Errorf("verdict %d, %q; want %d, %q", got, why, tc.want, tc.why)
			}
		})
	}
}

func TestPrepareRebuildsAndRefuses(t *testing.T) {
	t.Parallel()
	l := &fakeLog{committed: committedAt(40), records: map[client.TopicPartition][]string{changelog: {"a1", ""}}}
	store := &fakeStore{pos: here(9), known: true, content: []string{"x1"}}
	if _, err := prepare(t, l, store, nil); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(store.content, []string{"a1"}) || store.resets != 1 {
		t.Errorf("store holds %v after %d resets", store.content, store.resets)
	}
	l.records = nil
	_, err := prepare(t, l, store, nil)
	if err == nil || !strings.Contains(err.Error(), "/state") || commit.Classify(err) != commit.ClassFatal {
		t.Errorf("empty changelog: %v", err)
	}
	if !slices.Equal(store.content, []string{"a1"}) || store.resets != 1 {
		t.Errorf("the refused store was touched: %v after %d resets", store.content, store.resets)
	}
}

// T5: an input that stands for a changelog is read up to the committed offset, and what the task did not take is left out.
func TestPrepareFromAnInput(t *testing.T) {
	t.Parallel()
	records := map[client.TopicPartition][]string{orders: {"a1", "x9", "b1", "a2", "c1", "d1"}}
	change := func(task *Task) {
		task.Stores[0].Changelog = orders
		task.Stores[0].Row = func(key, value []byte, _ int64) (k, v []byte, ok bool) {
			if string(key) == "c" {
				value = []byte("c2") // what the task makes of it
			}
			return key, value, string(key) != "x"
		}
	}
	for _, c := range []struct {
		name      string
		committed map[client.TopicPartition]client.Committed
		store     fakeStore
		want      []string
		next      int64
		resets    int
	}{
		{"an empty store", committedAt(5), fakeStore{}, []string{"a1", "b1", "a2", "c2"}, 5, 1},
		{"the tail", committedAt(5), fakeStore{pos: here(3), known: true, content: []string{"a1", "b1"}}, []string{"a1", "b1", "a2", "c2"}, 5, 0},
		{"nothing is missing", committedAt(3), fakeStore{pos: here(3), known: true, content: []string{"a1", "b1"}}, []string{"a1", "b1"}, 3, 0},
		{"the input was set back", committedAt(3), fakeStore{pos: here(6), known: true, content: []string{"d1"}}, []string{"a1", "b1"}, 3, 1},
		{"nothing was committed", nil, fakeStore{pos: here(6), known: true, content: []string{"d1"}}, nil, 0, 1},
	} {
		l := &fakeLog{committed: c.committed, records: records}
		store := c.store
		ready, err := prepare(t, l, &store, change)
		if err != nil || len(ready) != 1 {
			t.Errorf("%s: %v, %d tasks are ready", c.name, err, len(ready))
			continue
		}
		if store.headers != 0 {
			t.Errorf("%s: rows got %d headers of the input's records", c.name, store.headers)
		}
		if !slices.Equal(store.content, c.want) || store.pos.Next != c.next || store.resets != c.resets {
			t.Errorf("%s: the store holds %v at %d after %d resets, want %v at %d after %d", c.name, store.content, store.pos.Next, store.resets, c.want, c.next, c.resets)
		}
	}
}
