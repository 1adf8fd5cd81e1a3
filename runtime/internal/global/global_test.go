package global

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// fakeLog is one topic of several partitions: values by offset, "" is a control record. It answers as many records as are
// visible, two at a time.
type fakeLog struct {
	mu      sync.Mutex
	records [][]string
	visible []int64      // last stable offsets
	failed  error        // of partition 0
	held    atomic.Int64 // batches that were not given back
	at      map[int32]int64
	ready   chan struct{}
}

func newLog(records ...[]string) *fakeLog {
	l := &fakeLog{records: records, at: make(map[int32]int64), ready: make(chan struct{}, 1)}
	for _, r := range records {
		l.visible = append(l.visible, int64(len(r)))
	}
	l.wake()
	return l
}

func (l *fakeLog) wake() {
	select {
	case l.ready <- struct{}{}:
	default:
	}
}

func (l *fakeLog) ListOffsets(_ context.Context, spec client.OffsetSpec, tps []client.TopicPartition) (map[client.TopicPartition]int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := make(map[client.TopicPartition]int64)
	for _, tp := range tps {
		if spec == client.HighWatermark {
			found[tp] = int64(len(l.records[tp.Partition]))
		} else {
			found[tp] = 0
		}
	}
	return found, nil
}

func (l *fakeLog) Add(tp client.TopicPartition, offset int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at[tp.Partition] = offset
}
func (l *fakeLog) Ready() <-chan struct{} { return l.ready }
func (l *fakeLog) Close()                 {}

func (l *fakeLog) Take(dst []client.Fetched) []client.Fetched {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed != nil {
		dst = append(dst, client.Fetched{TopicPartition: client.TopicPartition{Topic: "names"}, Err: l.failed})
		l.failed = nil
	}
	for _, p := range slices.Sorted(maps.Keys(l.at)) {
		at := l.at[p]
		if end := min(at+2, l.visible[p]); at < end {
			l.held.Add(1)
			dst = append(dst, client.Fetched{
				TopicPartition: client.TopicPartition{Topic: "names", Partition: p},
				Batch:          &batch{values: l.records[p][at:end], at: at, held: &l.held},
			})
			l.at[p] = end
		}
	}
	if len(dst) > 0 {
		l.wake()
	}
	return dst
}

// show makes the records of a partition visible up to end.
func (l *fakeLog) show(p int32, end int64) {
	l.mu.Lock()
	l.visible[p] = end
	l.mu.Unlock()
	l.wake()
}

// batch is a batch of "key=value"; without "=" it is a delete.
type batch struct {
	values []string
	at     int64
	i      int
	held   *atomic.Int64
	failed error // instead of the records
}

func (b *batch) Next(r *topology.Raw) (bool, error) {
	if b.failed != nil {
		return false, b.failed
	}
	for b.i < len(b.values) {
		v := b.values[b.i]
		b.i++
		if v == "" {
			continue
		}
		key, value, some := strings.Cut(v, "=")
		*r = topology.Raw{Key: []byte(key), Offset: b.at + int64(b.i) - 1}
		if some {
			r.Value = []byte(value)
		}
		return true, nil
	}
	return false, nil
}
func (b *batch) End() int64         { return b.at + int64(len(b.values)) }
func (b *batch) LeaderEpoch() int32 { return -1 }
func (b *batch) Bytes() int         { return 0 }
func (b *batch) Release()           { b.held.Add(-1) }

// table opens the store of a global table that takes numbers.
func table(t *testing.T) *state.Global[string, int64] {
	t.Helper()
	number := serde.New(
		func(dst []byte, v int64) ([]byte, error) { return fmt.Appendf(dst, "%d", v), nil },
		func(src []byte) (v int64, err error) {
			_, err = fmt.Sscan(string(src), &v)
			return v, err
		})
	layer, err := state.GlobalSpec("names", serde.String, number).Open(state.Env{})
	if err != nil {
		t.Fatal(err)
	}
	return layer.(*state.Global[string, int64])
}

func tablesOver(l *fakeLog, store state.GlobalLayer, bad func(string, topology.Coordinates, *topology.Raw, bool, error) error) *Tables {
	return New(Config{
		Log: l, Fetcher: l, Bad: bad, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Tables: []Table{{Name: "table", Topic: "names", Partitions: int32(len(l.records)), Take: func(_ topology.Coordinates, r *topology.Raw) (bool, error) {
			return false, store.Apply(r.Key, r.Value, r.Timestamp)
		}}},
	})
}

func get(t *testing.T, g *state.Global[string, int64], key string) (int64, bool) {
	t.Helper()
	v, _, ok, err := g.Get(key)
	if err != nil {
		t.Fatal(err)
	}
	return v, ok
}

func TestLoadThenFollow(t *testing.T) {
	t.Parallel()
	l := newLog([]string{"a=1", "b=2", "", "a=3", "b"}, []string{"c=4"}, nil)
	store := table(t)
	tables := tablesOver(l, store, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := tables.Load(ctx); err != nil {
		t.Fatal(err)
	}
	if v, ok := get(t, store, "a"); v != 3 || !ok {
		t.Errorf("a is %d, %v", v, ok)
	}
	if _, ok := get(t, store, "b"); ok {
		t.Error("b was deleted and is there")
	}
	if v, ok := get(t, store, "c"); v != 4 || !ok {
		t.Errorf("c is %d, %v", v, ok)
	}
	followed := make(chan error, 1)
	following, stop := context.WithCancel(ctx)
	go func() { followed <- tables.Follow(following) }()
	l.mu.Lock()
	l.records[2] = []string{"d=5"}
	l.mu.Unlock()
	l.show(2, 1)
	for v := int64(0); v != 5; v, _ = get(t, store, "d") {
		if ctx.Err() != nil {
			t.Fatal("d does not come")
		}
		time.Sleep(time.Millisecond)
	}
	stop()
	if err := <-followed; err != nil {
		t.Errorf("Follow: %v", err)
	}
	if n := l.held.Load(); n != 0 {
		t.Errorf("%d batches were not given back", n)
	}
}

// L1: what is below the high watermark and not readable yet, because its transaction is being decided, is waited for.
func TestLoadWaitsForTheHighWatermark(t *testing.T) {
	t.Parallel()
	l := newLog([]string{"a=1", "a=2", ""}, []string{"b=1"})
	l.visible[0] = 1
	store := table(t)
	loaded := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	go func() { loaded <- tablesOver(l, store, nil).Load(ctx) }()
	for v := int64(0); v != 1; v, _ = get(t, store, "a") {
		time.Sleep(time.Millisecond)
	}
	l.mu.Lock()
	l.records[1] = append(l.records[1], "b=2")
	l.mu.Unlock()
	l.show(1, 2) // what another partition has beyond its end does not stand for it
	for v := int64(0); v != 2; v, _ = get(t, store, "b") {
		time.Sleep(time.Millisecond)
	}
	select {
	case err := <-loaded:
		t.Fatalf("loaded before the end: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	l.show(0, 3)
	if err := <-loaded; err != nil {
		t.Fatal(err)
	}
	if v, _ := get(t, store, "a"); v != 2 {
		t.Errorf("a is %d", v)
	}
}

func TestBadRecords(t *testing.T) {
	t.Parallel()
	l := newLog([]string{"a=0", "a=1", "b=x", "c=3"})
	store := table(t)
	var from topology.Coordinates
	goOn := func(_ string, c topology.Coordinates, _ *topology.Raw, _ bool, _ error) error { from = c; return nil }
	if err := tablesOver(l, store, goOn).Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v, _ := get(t, store, "c"); v != 3 || from != (topology.Coordinates{Topic: "names", Offset: 2}) {
		t.Errorf("c is %d, the bad record is %+v", v, from)
	}
	refused := errors.New("refused")
	stop := func(string, topology.Coordinates, *topology.Raw, bool, error) error { return refused }
	if err := tablesOver(newLog([]string{"b=x"}), table(t), stop).Load(t.Context()); !errors.Is(err, refused) {
		t.Errorf("Load: %v", err)
	}
}

func TestLoadStopsWithItsContext(t *testing.T) {
	t.Parallel()
	l := newLog([]string{"a=1"})
	l.visible[0] = 0
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := tablesOver(l, table(t), nil).Load(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Load: %v", err)
	}
	if err := tablesOver(newLog(), table(t), nil).Load(ctx); err != nil {
		t.Errorf("nothing to load: %v", err)
	}
}

// A partition that fails is not forgotten for one beside it that does not, nor for one that fails later.
func TestFailureBesideOthers(t *testing.T) {
	t.Parallel()
	stop := func(_ string, from topology.Coordinates, _ *topology.Raw, _ bool, _ error) error {
		return fmt.Errorf("names-%d at %d", from.Partition, from.Offset)
	}
	for _, second := range []string{"b=2", "b=x"} {
		l := newLog(nil, []string{"a=1", "a=x"}, []string{second})
		if err := tablesOver(l, table(t), stop).Load(t.Context()); err == nil || !strings.Contains(err.Error(), "names-1 at 1") {
			t.Errorf("beside %s: %v", second, err)
		}
		if n := l.held.Load(); n != 0 {
			t.Errorf("beside %s: %d batches were not given back", second, n)
		}
	}
}

// What cannot be read stops the instance: a table that lacks it would give wrong answers.
func TestPartitionThatCannotBeRead(t *testing.T) {
	t.Parallel()
	gone := errors.New("offset 0 is below the log start")
	l := newLog([]string{"a=1"}, []string{"b=2"})
	l.failed = gone
	if err := tablesOver(l, table(t), nil).Load(t.Context()); !errors.Is(err, gone) || !strings.Contains(err.Error(), "read names-0") {
		t.Errorf("Load: %v", err)
	}
	damaged := errors.New("damaged")
	tables := tablesOver(newLog([]string{"a=1"}), table(t), nil)
	if err := tables.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := tables.apply(&client.Fetched{TopicPartition: client.TopicPartition{Topic: "names"}, Batch: &batch{failed: damaged, held: &l.held}}); !errors.Is(err, damaged) {
		t.Errorf("a damaged batch: %v", err)
	}
	l = newLog(nil)
	tables = tablesOver(l, table(t), nil)
	if err := tables.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.failed = gone
	if err := tables.Follow(t.Context()); !errors.Is(err, gone) {
		t.Errorf("Follow: %v", err)
	}
}

// A log that cannot be asked where its partitions begin or end stops the load.
func TestBoundsThatCannotBeAsked(t *testing.T) {
	t.Parallel()
	for _, spec := range []client.OffsetSpec{client.LogStart, client.HighWatermark} {
		l := newLog([]string{"a=1"})
		tables := tablesOver(l, table(t), nil)
		tables.cfg.Log = boundless{l, spec}
		if err := tables.Load(t.Context()); !errors.Is(err, errBoundless) {
			t.Errorf("%v: Load = %v", spec, err)
		}
	}
}

var errBoundless = errors.New("cannot say")

// boundless cannot answer one question.
type boundless struct {
	*fakeLog
	spec client.OffsetSpec
}

func (l boundless) ListOffsets(ctx context.Context, spec client.OffsetSpec, tps []client.TopicPartition) (map[client.TopicPartition]int64, error) {
	if spec == l.spec {
		return nil, errBoundless
	}
	return l.fakeLog.ListOffsets(ctx, spec, tps)
}

// A load that stands still says what it waits for; following the topics, which may be quiet for ever, says nothing.
func TestLoadSaysWhatItWaitsFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLog([]string{"a=1", ""})
		l.visible[0] = 1
		var said bytes.Buffer
		tables := tablesOver(l, table(t), nil)
		tables.cfg.Logger = slog.New(slog.NewTextHandler(&said, nil))
		loaded := make(chan error, 1)
		go func() { loaded <- tables.Load(t.Context()) }()
		time.Sleep(2*stalled + 1)
		synctest.Wait()
		if n := strings.Count(said.String(), "open transaction"); n != 2 {
			t.Errorf("it said so %d times in %v, want 2:\n%s", n, 2*stalled, said.String())
		}
		l.show(0, 2)
		if err := <-loaded; err != nil {
			t.Fatal(err)
		}
		said.Reset()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := tables.Follow(ctx); err != nil || said.Len() != 0 {
			t.Errorf("Follow: %v, and it says %s", err, said.String())
		}
	})
}
