package topology_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// shout is a processor whose values are lengths, so that its input and output differ.
type shout struct {
	ctx *topology.Context[string, int64]
	log *[]string
}

func (s *shout) Init(ctx *topology.Context[string, int64]) error {
	s.ctx = ctx
	*s.log = append(*s.log, "init")
	return nil
}

func (s *shout) Process(r topology.Record[string, string]) error {
	if r.Value == "fail" {
		return errBad
	}
	s.ctx.Forward(topology.WithValue(r, int64(len(r.Value))))
	return nil
}

func (s *shout) Flush() error { *s.log = append(*s.log, "flush"); return nil }
func (s *shout) Close() error { *s.log = append(*s.log, "close"); return nil }

// TestBuilder: sources, processors, stores and sinks are joined by hand (P-01).
func TestBuilder(t *testing.T) {
	t.Parallel()
	var log []string
	b := topology.NewBuilder()
	in := topology.AddSourceOf(b, "in", []string{"a", "b"}, text{}, text{}).And(topology.AddSource(b, "more", "c", text{}, text{}))
	counts := topology.AddStore[*state.KeyValue[string, int64]](b, state.KeyValueSpec("counts", text{}, serde.Int64))
	table := topology.AddGlobalTable[*state.Global[string, string]](b, "table", "t", state.GlobalSpec("table", text{}, text{}))
	lengths := topology.AddProcessor(b, "shout", func() *shout { return &shout{log: &log} }, in, counts, table)
	topology.AddSink(b, "out", "lengths", text{}, serde.Int64, topology.Repartition(b, "by-key", 3, text{}, serde.Int64, lengths))
	b.Copartition("a", "b", "c")
	top, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "builder.txt", top.Describe())
	if counts.Name() != "counts" || fmt.Sprint(top.Repartition, top.Copartitioned) != "[{by-key 3 }] [[a b c]]" {
		t.Errorf("%s %v %v", counts.Name(), top.Repartition, top.Copartitioned)
	}
}

// P-03, P-04: each task builds its own processor; its methods are what the task calls.
func TestProcessorNode(t *testing.T) {
	t.Parallel()
	var log []string
	n := topology.NewProcessor("shout", func() *shout { return &shout{log: &log} })
	if n.In[0] != topology.EdgeOf[string, string]() || n.Out != topology.EdgeOf[string, int64]() {
		t.Errorf("edges %v -> %v", n.In, n.Out)
	}
	s := &stage{}
	inst, err := n.Build(s, topology.Emit[string, int64](func(r topology.Record[string, int64]) { s.note("%s=%d", r.Key, r.Value) }))
	if err != nil {
		t.Fatal(err)
	}
	process := inst.Ports[0].(topology.Emit[string, string])
	process(topology.NewRecord("k", "four", 1))
	process(topology.NewRecord("k", "fail", 1))
	if err := errors.Join(inst.Flush(), inst.Close()); err != nil {
		t.Error(err)
	}
	if got := s.take(); got != lines("k=4", "fail 0: bad bytes") || fmt.Sprint(log) != "[init flush close]" {
		t.Errorf("got %s, %v", got, log)
	}
	if _, err := n.Build(s, "no emit"); err == nil {
		t.Error("built with a string")
	}
}

// probe looks at its context.
type probe struct {
	look func(*topology.Context[string, string]) error
}

func (p probe) Init(ctx *topology.Context[string, string]) error { return p.look(ctx) }
func (p probe) Process(topology.Record[string, string]) error    { return nil }
func (p probe) Close() error                                     { return nil }
func build(s topology.Scope, stores []string, look func(*topology.Context[string, string]) error) error {
	n := topology.NewProcessor("probe", func() probe { return probe{look} })
	n.Stores = stores
	_, err := n.Build(s, topology.Emit[string, string](func(topology.Record[string, string]) {}))
	return err
}

func TestContext(t *testing.T) {
	t.Parallel()
	s := &stage{}
	err := build(s, nil, func(ctx *topology.Context[string, string]) error {
		s.note("%v %d %d", ctx.Metadata(), ctx.StreamTime(), ctx.CurrentTime())
		ctx.RequestCommit()
		ctx.Drop(topology.ReasonLate, errBad)
		ctx.Schedule(1500*time.Microsecond, topology.PunctuateWallClock, func(now int64) error { s.note("at %d", now); return nil })()
		ctx.Schedule(time.Second, topology.PunctuateStreamTime, func(int64) error { return errBad })
		ctx.Schedule(time.Microsecond, topology.PunctuateStreamTime, nil)()
		return nil
	})
	want := lines("{in 1 2} 7 8", "commit", "drop 0: late: bad bytes",
		"at 9", "schedule 1 true: <nil>", "cancel",
		"fail 0: bad bytes", "schedule 1000 false: <nil>",
		"fail 0: schedule: interval 1µs is below 1ms")
	if got := s.take(); err != nil || got != want {
		t.Errorf("%v, got\n%s\nwant\n%s", err, got, want)
	}
}

// P-24: a store that is not connected, that is not there, that is another (P-25).
func TestStoreHandle(t *testing.T) {
	t.Parallel()
	b := topology.NewBuilder()
	handle := topology.AddStore[*state.Global[string, string]](b, state.GlobalSpec("table", text{}, text{}))
	other := topology.AddStore[*state.KeyValue[string, string]](b, state.KeyValueSpec("table", text{}, text{}))
	layer, err := state.GlobalSpec("table", text{}, text{}).Open(state.Env{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, want string
		layer      state.Layer
		stores     []string
		in         func(topology.StoreContext) error
	}{
		{"found", "<nil>", layer, []string{"table"}, inStore(handle)},
		{"global, not connected", "<nil>", layer, nil, inStore(handle)},
		{"not connected", "processor probe: store table is not connected to it; pass it to AddProcessor", layer, nil, inStore(other)},
		{"not there", "processor probe: store table is not part of the topology", nil, []string{"table"}, inStore(handle)},
		{"another", "processor probe: store table is a *state.Global[string,string], the handle wants *state.KeyValue[string,string]", layer, []string{"table"}, inStore(other)},
	} {
		err := build(&stage{layer: c.layer}, c.stores, func(ctx *topology.Context[string, string]) error { return c.in(ctx) })
		if fmt.Sprint(err) != c.want {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}

func inStore[S state.Layer](h topology.Store[S]) func(topology.StoreContext) error {
	return func(ctx topology.StoreContext) error {
		_, err := h.In(ctx)
		return err
	}
}

func TestTwoBuilders(t *testing.T) {
	t.Parallel()
	a, b := topology.NewBuilder(), topology.NewBuilder()
	one, two := topology.AddSource(a, "one", "one", text{}, text{}), topology.AddSource(b, "two", "two", text{}, text{})
	topology.AddSink(a, "sink", "out", text{}, text{}, one.And(two))
	topology.AddSink(b, "sink", "out", text{}, text{}, one)
	if _, err := a.Build(); err == nil || unlined(err) != "outputs of two builders cannot be joined" {
		t.Errorf("a: %v", err)
	}
	if _, err := b.Build(); err == nil || unlined(err) != lines("node sink: its parent belongs to another builder", "node sink: no parent feeds its input 0") {
		t.Errorf("b: %v", err)
	}
}

// TestWrap: every node can be wrapped, without a change of the topology itself (D-155, P-34).
func TestWrap(t *testing.T) {
	t.Parallel()
	b := topology.NewBuilder()
	in := topology.AddSource(b, "in", "in", text{}, text{})
	var log []string
	out := topology.AddProcessor(b, "shout", func() *shout { return &shout{log: &log} }, in)
	topology.AddSink(b, "out", "out", text{}, serde.Int64, out)
	top, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	var built []string
	wrapped := top.Wrap(func(n *topology.Node, build topology.Build) topology.Build {
		return func(s topology.Scope, down any) (topology.Instance, error) {
			built = append(built, n.Name)
			return build(s, down)
		}
	})
	if err := wrapped.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, n := range []*topology.Node{wrapped.Nodes[1], top.Nodes[1]} {
		if _, err := n.Build(nil, topology.Emit[string, int64](func(topology.Record[string, int64]) {})); err != nil {
			t.Fatal(err)
		}
	}
	if fmt.Sprint(built, log) != "[shout] [init init]" || wrapped.Describe() != top.Describe() {
		t.Errorf("built %v, log %v", built, log)
	}
}
