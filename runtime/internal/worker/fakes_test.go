package worker

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/member"
	"github.com/millrace-io/millrace/runtime/internal/recordbatch"
	"github.com/millrace-io/millrace/runtime/internal/restore"
	"github.com/millrace-io/millrace/runtime/internal/skew"
	"github.com/millrace-io/millrace/runtime/internal/task"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/state/memstore"
	"github.com/millrace-io/millrace/topology"
)

// world is everything around a worker: a producer, a fetcher, a membership and a restorer that note what is asked of them
// and fail as told.
type world struct {
	t  *testing.T
	db *state.DB

	mu       sync.Mutex
	trace    []string
	fail     map[string]error // by call, once
	identity client.Identity
	enterAs  client.Identity // what the gate says, if set
	lost     bool
	offsets  map[client.TopicPartition]client.Committed // committed
	pending  map[client.TopicPartition]client.Committed // in the transaction
	open     bool
	next     map[client.TopicPartition]int64
	fetched  []client.Fetched
	reading  map[client.TopicPartition]int64
	ready    chan struct{}
	dropped  []topology.TaskID
	refuse   func(client.TopicPartition, *recordbatch.Builder) []client.Refusal // of a batch that is sent
	refusals []client.Refusal
	complete []int64 // when the store was said to have all of its changelog, in milliseconds
	known    bool    // when a task was last made ready, it was known that the input has an offset
	hang     string  // call that does not return before its context ends, once
	during   func(call string)

	configure   func(*task.Config)
	align       *skew.Board
	unready     func(restore.Task) *restore.TaskError
	uncaught    func(error) Verdict
	taskTimeout time.Duration
	txnTimeout  time.Duration
	unbuildable topology.TaskID // if its partition is not 0
}

func newWorld(t *testing.T) *world {
	t.Helper()
	db, err := state.NewDB(memstore.New(), state.Config{Inline: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return &world{
		t: t, db: db, fail: make(map[string]error),
		identity: client.Identity{Group: "app", MemberID: "m1", Generation: 4},
		offsets:  make(map[client.TopicPartition]client.Committed),
		next:     make(map[client.TopicPartition]int64),
		reading:  make(map[client.TopicPartition]int64),
		ready:    make(chan struct{}, 1),
	}
}

// note records a call and returns the failure that is planned for it.
func (w *world) note(call string) error {
	if w.during != nil {
		w.during(call)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trace = append(w.trace, call)
	name, _, _ := strings.Cut(call, " ")
	err := w.fail[name]
	delete(w.fail, name)
	return err
}

func (w *world) failOnce(call string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail[call] = err
}

// hangs is note for a call that may hang.
func (w *world) hangs(ctx context.Context, call string) error {
	err := w.note(call)
	name, _, _ := strings.Cut(call, " ")
	w.mu.Lock()
	hang := w.hang == name
	if hang {
		w.hang = ""
	}
	w.mu.Unlock()
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	return err
}

// takeTrace returns the calls since the last takeTrace.
func (w *world) takeTrace() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	trace := w.trace
	w.trace = nil
	return trace
}

// traced returns the calls since the last takeTrace, and keeps them.
func (w *world) traced() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.trace)
}

// committed returns the committed offset of the input.
func (w *world) committed() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.offsets[input0].Offset
}

// producer is the world as a Producer.
type producer struct{ *world }

func (p producer) Init(context.Context) error {
	err := p.note("init")
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pending, p.open, p.refusals = nil, false, nil
	return err
}

func (p producer) Builder() *recordbatch.Builder { return recordbatch.NewBuilder(0, 0) }

func (p producer) Send(_ context.Context, tp client.TopicPartition, b *recordbatch.Builder) error {
	err := p.note(fmt.Sprintf("send %s-%d:%d", tp.Topic, tp.Partition, b.Len()))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = true
	p.next[tp] += int64(b.Len())
	if p.refuse != nil {
		p.refusals = append(p.refusals, p.refuse(tp, b)...)
	}
	return err
}

func (p producer) Flush(ctx context.Context) error {
	p.mu.Lock()
	waits := len(p.refusals) > 0
	p.mu.Unlock()
	if err := p.hangs(ctx, "flush"); err != nil || !waits {
		return err
	}
	return client.ErrRefused
}

func (p producer) Refusals() []client.Refusal {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.refusals)
}

func (p producer) Resume(tp client.TopicPartition) error {
	p.mu.Lock()
	p.refusals = slices.DeleteFunc(p.refusals, func(r client.Refusal) bool { return r.TopicPartition == tp })
	p.mu.Unlock()
	return p.note(fmt.Sprintf("resume %s-%d", tp.Topic, tp.Partition))
}

func (p producer) Next(tp client.TopicPartition) (int64, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, ok := p.next[tp]
	return n, ok
}

func (p producer) CommitOffsets(ctx context.Context, id client.Identity, offsets map[client.TopicPartition]client.Committed) error {
	err := p.hangs(ctx, fmt.Sprintf("offsets %s/%d at %d", id.MemberID, id.Generation, offsets[input0].Offset))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = true
	if err == nil {
		p.pending = offsets
	}
	return err
}

func (p producer) InTransaction() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open
}

func (p producer) End(ctx context.Context, commit bool) error {
	err := p.hangs(ctx, fmt.Sprintf("end commit=%v", commit))
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		if commit {
			for tp, c := range p.pending {
				p.offsets[tp] = c
			}
		}
		p.pending, p.open = nil, false
	}
	return err
}

// fetcher is the world as a Fetcher.
type fetcher struct{ *world }

func (f fetcher) Add(tp client.TopicPartition, offset int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trace = append(f.trace, fmt.Sprintf("read %s-%d from %d", tp.Topic, tp.Partition, offset))
	f.reading[tp] = offset
}

func (f fetcher) Remove(tp client.TopicPartition) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trace = append(f.trace, fmt.Sprintf("close %s-%d", tp.Topic, tp.Partition))
	delete(f.reading, tp)
	f.fetched = nil
}

func (f fetcher) Ready() <-chan struct{} { return f.ready }

func (f fetcher) Take(dst []client.Fetched) []client.Fetched {
	f.mu.Lock()
	defer f.mu.Unlock()
	dst = append(dst, f.fetched...)
	f.fetched = nil
	return dst
}

// feed lets the fetcher find records from offset on, and nothing behind them.
func (w *world) feed(offset int64, values ...string) {
	w.mu.Lock()
	end := offset + int64(len(values))
	w.fetched = append(w.fetched, client.Fetched{
		TopicPartition: input0, Batch: &batch{values: values, at: offset}, HighWatermark: end, LastStable: end,
	})
	w.mu.Unlock()
	select {
	case w.ready <- struct{}{}:
	default:
	}
}

type batch struct {
	values  []string
	at      int64
	i       int
	release func() // may be nil
}

func (b *batch) Next(r *topology.Raw) (bool, error) {
	if b.i == len(b.values) {
		return false, nil
	}
	*r = topology.Raw{Key: []byte(b.values[b.i]), Value: []byte(b.values[b.i]), Offset: b.at + int64(b.i), Timestamp: 1000}
	b.i++
	return true, nil
}
func (b *batch) End() int64         { return b.at + int64(len(b.values)) }
func (b *batch) LeaderEpoch() int32 { return 0 }
func (b *batch) Bytes() int         { return len(b.values) }
func (b *batch) Release() {
	if b.release != nil {
		b.release()
	}
}

// gatekeeper is the world as a Membership.
type gatekeeper struct{ *world }

func (m gatekeeper) Identity() client.Identity {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.identity
}

func (m gatekeeper) Enter(ctx context.Context) (client.Identity, func(), error) {
	if err := m.hangs(ctx, "enter"); err != nil {
		return client.Identity{}, nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lost {
		return client.Identity{}, nil, fmt.Errorf("enter: %w", member.ErrLost)
	}
	id := m.identity
	if m.enterAs.MemberID != "" {
		id = m.enterAs
	}
	return id, func() { _ = m.note("leave") }, nil
}

func (m gatekeeper) Refused() { _ = m.note("refused") }

// prepare is the world as a restorer.
func (w *world) prepare(_ context.Context, tasks []restore.Task, ready func(restore.Ready)) error {
	if err := w.note("prepare"); err != nil {
		return err
	}
	var failed restore.Failed
	for _, t := range tasks {
		w.mu.Lock()
		w.known = len(t.Inputs) > 0 && t.Known[t.Inputs[0]]
		if w.unready != nil {
			if err := w.unready(t); err != nil {
				failed = append(failed, err)
				w.mu.Unlock()
				continue
			}
		}
		r := restore.Ready{ID: t.ID, Offsets: map[client.TopicPartition]client.Committed{}, Fresh: map[client.TopicPartition]bool{}}
		for _, in := range t.Inputs {
			c, ok := w.offsets[in]
			if !ok {
				c, r.Fresh[in] = client.Committed{LeaderEpoch: -1}, true
			}
			r.Offsets[in] = c
		}
		w.mu.Unlock()
		ready(r)
	}
	if len(failed) > 0 {
		return failed
	}
	return nil
}

var (
	input0 = client.TopicPartition{Topic: "in", Partition: 0}
	task0  = topology.TaskID{}
)

// counter counts keys in a store and forwards each count at the commit, and the values at once. It refuses "bad".
type counter struct {
	ctx    *topology.Context[string, string]
	handle topology.Store[*state.KeyValue[string, int64]]
	store  *state.KeyValue[string, int64]
}

func (c *counter) Init(ctx *topology.Context[string, string]) (err error) {
	c.ctx = ctx
	c.store, err = c.handle.In(ctx)
	return err
}

func (c *counter) Process(r topology.Record[string, string]) error {
	if r.Value == "bad" {
		return fmt.Errorf("%q is refused", r.Value)
	}
	n, _, _, err := c.store.Get(r.Key)
	if err != nil {
		return err
	}
	c.ctx.Forward(r)
	return c.store.Put(r.Key, n+1, r.Timestamp, serde.Headers{})
}

func (c *counter) Close() error { return nil }

func (w *world) topology() *topology.Topology {
	w.t.Helper()
	b := topology.NewBuilder()
	in := topology.AddSource(b, "source", "in", serde.String, serde.String)
	counts := topology.AddStore[*state.KeyValue[string, int64]](b, state.KeyValueSpec("counts", serde.String, serde.Int64))
	out := topology.AddProcessor(b, "counter", func() *counter { return &counter{handle: counts} }, in, counts)
	topology.AddSink(b, "sink", "out", serde.String, serde.String, out)
	top, err := b.Build()
	if err != nil {
		w.t.Fatal(err)
	}
	return top
}

// spec is the one task, with its store.
func (w *world) spec() restore.Task {
	return restore.Task{
		ID: task0, Inputs: []client.TopicPartition{input0}, Known: make(map[client.TopicPartition]bool),
		Stores: []restore.Store{{Name: "counts", Changelog: client.TopicPartition{Topic: "app-counts-changelog"}, State: noted{w: w}}},
	}
}

// noted is a store partition of which it is noted as of when it has all of its changelog.
type noted struct {
	restore.Partition
	w *world
}

func (n noted) CompleteAsOf(ms int64) {
	n.w.mu.Lock()
	defer n.w.mu.Unlock()
	n.w.complete = append(n.w.complete, ms)
}

// checkCounts compares the store with want.
func (w *world) checkCounts(want map[string]int64) {
	w.t.Helper()
	spec := state.KeyValueSpec("counts", serde.String, serde.Int64)
	p, err := w.db.Partition(spec, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	layer, err := spec.Open(state.Env{Committed: p})
	if err != nil {
		w.t.Fatal(err)
	}
	store := layer.(*state.KeyValue[string, int64])
	for key, n := range want {
		if got, _, _, err := store.Get(key); got != n || err != nil {
			w.t.Errorf("%q is counted %d, %v; want %d", key, got, err, n)
		}
	}
}

// runningWorker is a worker whose Run is under way.
type runningWorker struct {
	*Worker
	ended chan error
}

func (w *world) run() *runningWorker {
	top := w.topology()
	r := &runningWorker{ended: make(chan error, 1)}
	r.Worker = New(Config{
		Producer: producer{w},
		Fetcher:  fetcher{w},
		Member:   gatekeeper{w},
		Prepare:  w.prepare,
		NewTask: func(id topology.TaskID, out task.Output, start []task.Progress, now time.Time) (*task.Task, error) {
			if id.Partition > 0 && id == w.unbuildable {
				return nil, errUnbuildable
			}
			cfg := task.Config{
				Topology: top, ApplicationID: "app", Output: out, Start: start, Now: now, Logger: discard,
				Committed: func(s *state.Spec) (*state.Partition, error) { return w.db.Partition(s, id.Partition) },
			}
			if w.configure != nil {
				w.configure(&cfg)
			}
			return task.New(cfg)
		},
		Partitions: func(string) int32 { return 1 },
		Dropped: func(ids []topology.TaskID) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.dropped = slices.Concat(w.dropped, ids)
		},
		Align:    w.align,
		Uncaught: w.uncaught,
		ReadInput: func(_ context.Context, tp client.TopicPartition, offset int64) (*topology.Raw, error) {
			if err := w.note(fmt.Sprintf("again %s-%d at %d", tp.Topic, tp.Partition, offset)); err != nil {
				return nil, err
			}
			return &topology.Raw{Key: []byte("key again"), Value: []byte("value again"), Offset: offset}, nil
		},
		Changed:            func() {},
		CommitInterval:     time.Millisecond,
		TransactionTimeout: cmp.Or(w.txnTimeout, 5*time.Second),
		TaskTimeout:        cmp.Or(w.taskTimeout, time.Minute),
		MaxDirtyBytes:      1 << 20,
		Logger:             discard,
		Now:                time.Now,
	})
	ctx, cancel := context.WithCancel(context.Background())
	go func() { r.ended <- r.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		<-r.done
	})
	if err := r.Assign(ctx, []restore.Task{w.spec()}); err != nil {
		w.t.Fatal(err)
	}
	w.await("the task runs", func() bool { return len(r.Snapshot().Running) == 1 })
	return r
}

var discard = slog.New(slog.NewTextHandler(io.Discard, nil))

func (w *world) await(what string, ok func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("never: %s; trace %q", what, w.takeTrace())
		}
	}
}
