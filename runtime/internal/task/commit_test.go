package task_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/task"
	"github.com/millrace-io/millrace/topology"
)

// holding keeps records back until the flush and writes a store for each.
func holding(store topology.Store[*layer]) proc {
	held := map[*topology.Context[string, string]][]record{}
	return proc{
		process: func(ctx *topology.Context[string, string], r record) error {
			s, err := store.In(ctx)
			if err != nil {
				return err
			}
			s.put(r.Key)
			held[ctx] = append(held[ctx], r)
			return nil
		},
		flush: func(ctx *topology.Context[string, string]) error {
			list := held[ctx]
			held[ctx] = nil
			for _, r := range list {
				r.Value += "+"
				ctx.Forward(r)
			}
			return nil
		},
	}
}

// twoStages is source -> hold (store one) -> hold (store two) -> sink.
func twoStages(trace *[]string) *topology.Builder {
	b := topology.NewBuilder()
	src := topology.AddSource(b, "source", "in", text{}, text{})
	two := topology.AddStore[*layer](b, layerSpec("two", trace)) // stores need not be declared in the order of use
	one := topology.AddStore[*layer](b, layerSpec("one", trace))
	first := topology.AddProcessor(b, "first", each(holding(one)), src, one)
	second := topology.AddProcessor(b, "second", each(holding(two)), first, two)
	topology.AddSink(b, "sink", "out", text{}, text{}, second)
	return b
}

// A flush emits in topological order, so that what the first stage emits dirties the second before that is flushed; then
// stores append to their changelogs; a commit hands them the offsets.
func TestFlushAndCommit(t *testing.T) {
	t.Parallel()
	var trace []string
	h := start(t, twoStages(&trace))
	h.offer("in", "0:k=v@1", "1:j=w@2")
	h.expect(h.run(), "")
	if dirty, cached := h.Bytes(); dirty != 2 || cached != 6 {
		t.Errorf("Bytes = %d, %d", dirty, cached)
	}
	h.flush()
	h.expect(h.out.take(), lines("out-0 k=v++@1", "out-0 j=w++@2",
		"app-two-changelog-0 k=1@5", "app-two-changelog-0 j=1@5", "app-one-changelog-0 k=1@5", "app-one-changelog-0 j=1@5"))
	if err := h.Committed(map[string]int64{"one": 20}); err != nil {
		t.Fatal(err)
	}
	h.expect(strings.Join(trace, "; "), "two flush [k j]; one flush [k j]; two commit -1; one commit 20")
}

// Counters show each record once, when the transaction that took it has committed.
func TestStatsOfSeveralCommits(t *testing.T) {
	t.Parallel()
	h := start(t, pipe(proc{}))
	for i := range int64(3) {
		h.offer("in", fmt.Sprintf("%d:k=v@1", 2*i), fmt.Sprintf("%d:k=v@1", 2*i+1))
		h.run()
		if h.Pending().Read != 2 || h.Stats().Read != 2*i {
			t.Errorf("before commit %d: %d and %d records", i, h.Stats().Read, h.Pending().Read)
		}
		h.flush()
		if err := h.Committed(nil); err != nil {
			t.Fatal(err)
		}
		if h.Pending().Read != 0 || h.Stats().Read != 2*i+2 || h.Uncommitted() {
			t.Errorf("after commit %d: %d and %d records", i, h.Stats().Read, h.Pending().Read)
		}
	}
}

// Two nodes that share a store, the lower one writing it during the upper one's flush: another pass.
func TestFlushUntilNothingIsDirty(t *testing.T) {
	t.Parallel()
	var trace []string
	b := topology.NewBuilder()
	src := topology.AddSource(b, "source", "in", text{}, text{})
	shared := topology.AddStore[*layer](b, layerSpec("shared", &trace))
	emit := 0
	upper := topology.AddProcessor(b, "upper", each(proc{
		process: func(*topology.Context[string, string], record) error { emit = 3; return nil },
		flush: func(ctx *topology.Context[string, string]) error {
			if emit > 0 {
				ctx.Forward(topology.NewRecord("k", fmt.Sprint(emit), 1))
				emit--
			}
			return nil
		},
	}), src)
	lower := topology.AddProcessor(b, "lower", each(proc{
		process: func(ctx *topology.Context[string, string], r record) error {
			s, err := shared.In(ctx)
			s.put(r.Value)
			ctx.Forward(r)
			return err
		},
	}), upper, shared)
	topology.AddSink(b, "sink", "out", text{}, text{}, lower)
	h := start(t, b)
	h.offer("in", "0:k=v@1")
	h.run()
	h.flush()
	h.expect(strings.Join(trace, "; "), "shared flush [3]; shared flush [2]; shared flush [1]")
}

func TestFlushThatNeverSettles(t *testing.T) {
	t.Parallel()
	var trace []string
	b := topology.NewBuilder()
	src := topology.AddSource(b, "source", "in", text{}, text{})
	store := topology.AddStore[*layer](b, layerSpec("store", &trace))
	topology.AddProcessor(b, "node", each(proc{flush: func(ctx *topology.Context[string, string]) error {
		s, err := store.In(ctx)
		s.put("again")
		return err
	}}), src, store)
	h := start(t, b)
	if err := h.Flush(); err == nil || !strings.Contains(err.Error(), "a node writes in every Flush") {
		t.Errorf("Flush = %v", err)
	}
}

// which offset, and which partition time.
func TestProgress(t *testing.T) {
	t.Parallel()
	in := task.Input{Topic: "in"}
	h := start(t, pipe(picky), continuing)
	progress := func(next, partitionTime int64) {
		t.Helper()
		got := h.Progress()
		want := task.Progress{Input: in, LeaderEpoch: 7, Next: next, PartitionTime: partitionTime}
		if len(got) != 1 || !reflect.DeepEqual(got[0], want) {
			t.Errorf("Progress = %+v, want %+v", got, want)
		}
	}
	if p := h.Progress(); len(p) != 0 {
		t.Errorf("Progress at the start = %+v", p)
	}
	b := batchOf("5:k=v@50", "6:k=v@40", "9:k=v@60")
	b.end = 12 // control records
	if err := h.Offer(in, b); err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.Step(h.now, 2); err != nil {
		t.Fatal(err)
	}
	progress(7, 50) // two of three
	if _, ok := h.Ready(h.now); !ok {
		t.Error("nothing is ready")
	}
	progress(9, 50) // the head is known: what is missing before it is not there
	h.run()
	progress(12, 60)
	h.offer("in", "12:k=bad@99")
	h.run()
	progress(13, 60) // dropped, and so done with
	if !h.Uncommitted() {
		t.Error("Uncommitted = false")
	}
	if err := h.Committed(nil); err != nil {
		t.Fatal(err)
	}
	if h.Uncommitted() {
		t.Error("Uncommitted = true after the commit")
	}
	if err := h.Offer(in, &batch{end: 15, epoch: 7}); err != nil {
		t.Fatal(err)
	}
	h.run()
	progress(15, 60) // control records alone
	if !h.Uncommitted() {
		t.Error("Uncommitted = false after control records: the lag would never become 0")
	}
}

// a task that starts where the last commit left off: nothing is read twice, and event time does not fall back.
func TestStart(t *testing.T) {
	t.Parallel()
	in := task.Input{Topic: "in"}
	h := start(t, pipe(proc{process: func(ctx *topology.Context[string, string], r record) error {
		r.Value = fmt.Sprint(ctx.StreamTime())
		ctx.Forward(r)
		return nil
	}}), func(c *task.Config) {
		c.Start = []task.Progress{{Input: in, LeaderEpoch: 3, Next: 6, PartitionTime: 100}, {Input: inA, Next: 1, PartitionTime: 1000}}
	})
	if h.StreamTime() != 100 {
		t.Errorf("StreamTime = %d", h.StreamTime())
	}
	if got := h.Progress(); !reflect.DeepEqual(got, []task.Progress{{Input: in, LeaderEpoch: 3, Next: 6, PartitionTime: 100}}) {
		t.Errorf("Progress = %+v", got)
	}
	h.offer("in", "5:k=v@500", "6:k=v@60", "7:k=v@170") // a batch is fetched whole
	h.expect(h.run(), lines("out-0 k=100@60", "out-0 k=170@170"))
}

// TestRequestCommit: a node may ask for a commit, which is not done at once (P-15).
func TestRequestCommit(t *testing.T) {
	t.Parallel()
	h := start(t, pipe(proc{process: func(ctx *topology.Context[string, string], r record) error {
		ctx.RequestCommit()
		return nil
	}}))
	if h.CommitRequested() {
		t.Error("requested at the start")
	}
	h.offer("in", "0:k=v@1")
	h.run()
	if !h.CommitRequested() {
		t.Error("not requested")
	}
	h.flush()
	if err := h.Committed(nil); err != nil || h.CommitRequested() {
		t.Errorf("Committed = %v, requested = %v", err, h.CommitRequested())
	}
}

// Close without a commit is an abort.
func TestClose(t *testing.T) {
	t.Parallel()
	var trace []string
	b := topology.NewBuilder()
	src := topology.AddSource(b, "source", "in", text{}, text{})
	store := topology.AddStore[*layer](b, layerSpec("store", &trace))
	h := start(t, func() *topology.Builder {
		topology.AddProcessor(b, "closes", each(proc{close: func() error { return errBoom }}), src, store)
		topology.AddProcessor(b, "panics", each(proc{close: func() error { panic("close") }}), src)
		return b
	}())
	released := 0
	batch := batchOf("0:k=v@1")
	batch.released = &released
	if err := h.Offer(task.Input{Topic: "in"}, batch); err != nil {
		t.Fatal(err)
	}
	err := h.Close()
	if !errors.Is(err, errBoom) || !strings.Contains(err.Error(), "node panics: close: panic: close") {
		t.Errorf("Close = %v", err)
	}
	if released != 1 || strings.Join(trace, "; ") != "store drop" {
		t.Errorf("released %d, stores %v", released, trace)
	}
	if err := h.Close(); err != nil {
		t.Errorf("second Close = %v", err)
	}
	if _, _, err := h.Step(time.Time{}, 1); !errors.Is(err, task.ErrClosed) {
		t.Errorf("Step = %v", err)
	}
	if err := h.Offer(task.Input{Topic: "in"}, batch); !errors.Is(err, task.ErrClosed) || released != 2 {
		t.Errorf("Offer = %v, released %d", err, released)
	}
}

// Names are resolved with the application id; a sub-topology has its own tasks.
func TestInternalTopics(t *testing.T) {
	t.Parallel()
	build := func() *topology.Builder {
		b := topology.NewBuilder()
		src := topology.AddSource(b, "source", "in", text{}, text{})
		out := topology.Repartition(b, "by-key", 0, text{}, text{}, src)
		topology.AddSink(b, "sink", "by-key", text{}, text{}, out) // a user topic of the base name
		return b
	}
	first := start(t, build(), func(c *task.Config) { c.Partition = 2 })
	first.expect(fmt.Sprint(first.Inputs(), first.ID()), "[{in 2}] 0_2")
	if err := first.Offer(task.Input{Topic: "in", Partition: 2}, batchOf("0:k=v@1", "1:null=v@2")); err != nil {
		t.Fatal(err)
	}
	first.expect(first.run(), "app-by-key-repartition-0 k=v@1")
	if d := first.Pending().Drops; len(d) != 1 || d[0].Reason != topology.ReasonUnkeyed {
		t.Errorf("drops %v", d)
	}
	second := start(t, build(), func(c *task.Config) { c.Subtopology = 1 })
	second.expect(fmt.Sprint(second.Inputs(), second.ID()), "[{app-by-key-repartition 0}] 1_0")
	second.offer("app-by-key-repartition", "0:k=v@1")
	second.expect(second.run(), "by-key-0 k=v@1")
}

// How many partitions a topic has is asked once in a transaction, so that a key does not move within it, and again in the next: it may have grown.
func TestTopicGrows(t *testing.T) {
	t.Parallel()
	h := start(t, pipe(proc{}))
	h.offer("in", "0:k=1@1")
	h.expect(h.run(), "out-0 k=1@1")
	h.out.partitions = 7
	h.offer("in", "1:k=2@2")
	h.expect(h.run(), "out-0 k=2@2")
	h.flush()
	if err := h.Committed(nil); err != nil {
		t.Fatal(err)
	}
	h.offer("in", "2:k=3@3")
	to := topology.PartitionOf([]byte("k"), 7)
	if to == 0 {
		t.Fatal("the key tells nothing")
	}
	h.expect(h.run(), fmt.Sprintf("out-%d k=3@3", to))
}
