package runtime_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/state/memstore"
	"github.com/millrace-io/millrace/topology"
)

// podium is a store that somebody has written for himself (S-25): the best score of each player, over a key-value store, and who leads, which
// is in memory alone and derived from the scores whenever the store is opened.
type podium struct {
	state.Layer
	scores *state.KeyValue[string, int64]
	leader string
	best   int64
}

func podiumSpec(name string, opts ...state.SpecOption) *state.Spec {
	spec := state.KeyValueSpec(name, serde.String, serde.Int64, opts...)
	open := spec.Open
	spec.Open = func(e state.Env) (state.Layer, error) {
		l, err := open(e)
		if err != nil {
			return nil, err
		}
		p := &podium{Layer: l, scores: l.(*state.KeyValue[string, int64])}
		for row, err := range p.scores.Range(serde.None[string](), serde.None[string]()) {
			if err != nil {
				return nil, err
			}
			p.see(row.Key, row.Value)
		}
		return p, nil
	}
	return spec
}

func (p *podium) see(player string, score int64) {
	if score > p.best {
		p.leader, p.best = player, score
	}
}

func (p *podium) score(player string, score, timestamp int64) error {
	e, err := p.scores.At(player)
	if err != nil {
		return err
	}
	if best, ok := e.Value(); ok && best >= score {
		return nil
	}
	p.see(player, score)
	return e.Set(score, timestamp, serde.Headers{})
}

// contest says for each score who led before it and who leads after it. It panics after the first score of poison.
type contest struct {
	store  topology.Store[*podium]
	podium *podium
	ctx    *topology.Context[string, string]
	poison *atomic.Bool
}

func (c *contest) Init(ctx *topology.Context[string, string]) (err error) {
	c.ctx = ctx
	c.podium, err = c.store.In(ctx)
	return err
}

func (c *contest) Process(r topology.Record[string, int64]) error {
	before := c.podium.leader
	if err := c.podium.score(r.Key, r.Value, r.Timestamp); err != nil {
		return err
	}
	if r.Key == "poison" && c.poison.CompareAndSwap(true, false) {
		panic(errPoison)
	}
	c.ctx.Forward(topology.NewRecord(r.Key, fmt.Sprintf("%s>%s", before, c.podium.leader), r.Timestamp))
	return nil
}

func (c *contest) Close() error { return nil }

func contestTopology(t *testing.T, in, out string, poison *atomic.Bool, opts ...state.SpecOption) *topology.Topology {
	t.Helper()
	b := topology.NewBuilder()
	store := topology.AddStore[*podium](b, podiumSpec("podium", opts...))
	scores := topology.AddSource(b, "scores", in, serde.String, serde.Int64)
	leaders := topology.AddProcessor(b, "contest", func() *contest { return &contest{store: store, poison: poison} }, scores, store)
	topology.AddSink(b, "leaders", out, serde.String, serde.String, leaders)
	top, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return top
}

func scored(player string, score int64) record {
	b, _ := serde.Int64.Append(nil, score) // does not fail
	return record{key: player, value: string(b)}
}

// contestRun runs the contest until it has taken all scores, and returns who has led.
func contestRun(t *testing.T, l *testLog, top *topology.Topology, cfg runtime.Config, in, out string, scores ...record) (leaders []string) {
	t.Helper()
	cfg.Workers, cfg.Uncaught = 1, func(error) runtime.Action { return runtime.ReplaceWorker }
	r := l.start(t, top, cfg)
	for _, s := range scores {
		l.write(t, in, []record{s})
	}
	eventually(t, time.Minute, "all scores are taken", func() bool { return l.drained(t, cfg.ApplicationID, in) })
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	for _, rec := range l.read(t, out) {
		leaders = append(leaders, rec.value)
	}
	return leaders
}

// TestCustomStore: a store that a user has written runs, is logged, is rolled back with its transaction, and restored (S-25).
func TestCustomStore(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	app, in, out := unique(t, "app"), unique(t, "in"), unique(t, "out")
	l.createTopics(t, 1, in, out)
	var poison atomic.Bool
	poison.Store(true)
	cfg := runtime.Config{ApplicationID: app, StateDir: t.TempDir()}
	want := []string{">a", "a>b", "b>poison", "poison>poison"}
	got := contestRun(t, l, contestTopology(t, in, out, &poison), cfg, in, out,
		scored("a", 5), scored("b", 9), scored("poison", 20), scored("a", 10))
	if !slices.Equal(got, want) || poison.Load() {
		t.Fatalf("led: %q, want %q; failed on the way: %v", got, want, !poison.Load())
	}
	if n := len(l.read(t, app+"-podium-changelog")); n < 3 { // one for each player, or more if there was a commit in between
		t.Errorf("%d records in the changelog, want 3 or more", n)
	}
	if err := os.RemoveAll(cfg.StateDir); err != nil { // so that it is restored
		t.Fatal(err)
	}
	got = contestRun(t, l, contestTopology(t, in, out, &poison), cfg, in, out, scored("c", 15), scored("c", 30))
	if want = append(want, "poison>poison", "poison>c"); !slices.Equal(got, want) {
		t.Errorf("led after it was restored: %q, want %q", got, want)
	}
}

// keptEngine is an engine that a user supplies: it is in memory, outlives the application, and counts.
type keptEngine struct {
	*memstore.Engine
	dir     string
	applied atomic.Int64
}

func (e *keptEngine) Apply(b *state.Batch) error {
	e.applied.Add(1)
	return e.Engine.Apply(b)
}

func (e *keptEngine) Close() error { return nil }

// TestCustomEngine: bytes are kept by the engine that a user supplies (S-26), and found in it by the next start, which restores nothing.
func TestCustomEngine(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	app, in, out := unique(t, "app"), unique(t, "in"), unique(t, "out")
	l.createTopics(t, 1, in, out)
	e := &keptEngine{Engine: memstore.New()}
	cfg := runtime.Config{ApplicationID: app, StateDir: t.TempDir(), Engine: func(dir string) (state.Engine, error) {
		e.dir = dir
		return e, nil
	}}
	var restored atomic.Int64
	cfg.RestoreListener = func(ev runtime.RestoreEvent) { restored.Store(max(restored.Load(), ev.Records)) }
	contestRun(t, l, contestTopology(t, in, out, new(atomic.Bool)), cfg, in, out, scored("a", 5))
	if e.applied.Load() == 0 || e.dir == "" {
		t.Errorf("%d batches applied to the engine in %q", e.applied.Load(), e.dir)
	}
	got := contestRun(t, l, contestTopology(t, in, out, new(atomic.Bool)), cfg, in, out, scored("b", 3))
	if want := []string{">a", "a>a"}; !slices.Equal(got, want) || restored.Load() > 0 {
		t.Errorf("led: %q, want %q; %d records restored, want none", got, want, restored.Load())
	}
	refused := errors.New("refused")
	cfg.Engine = func(string) (state.Engine, error) { return nil, refused }
	r := l.start(t, contestTopology(t, in, out, new(atomic.Bool)), cfg)
	if err := r.failure(t, time.Minute); !errors.Is(err, refused) {
		t.Errorf("the engine cannot be opened: %v", err)
	}
}
