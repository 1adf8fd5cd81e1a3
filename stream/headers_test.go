package stream_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime/topologytest"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/window"
	"github.com/millrace-io/millrace/topology"
)

// headerStores is a program with a store of every kind; table is how the store of its first table is kept.
func headerStores(b *stream.Builder, table stream.Store[string]) {
	in := from(b, "in")
	stream.Join(in, from(b, "other"), func(a, b string) string { return a + b }, window.Within(time.Second).Grace(0), stream.StreamJoinedWith(serde.String, serde.String, serde.String)).
		To("joined", serde.String, serde.String)
	g := stream.GroupByKey(in)
	sum := func(a, b string) string { return a + b }
	g.WindowedBy(window.Tumbling(time.Second)).Reduce(sum, stream.Materialized("windows", serde.String))
	g.WindowedBySessions(window.Sessions(time.Second)).Count(stream.Materialized("sessions", serde.Int64))
	g.Reduce(sum, stream.Materialized("rows", serde.String)).Suppress(stream.UntilTimeLimit(time.Second, stream.Unbounded()), stream.Named("held"))
	stream.Table(b, "table", serde.String, serde.String, table)
	stream.Table(b, "history", serde.String, serde.String, stream.Materialized("history", serde.String).Versioned(time.Hour))
}

// TestKeepHeaders: the option is for the stores that can keep headers, or by Store.With for one of them.
func TestKeepHeaders(t *testing.T) {
	t.Parallel()
	keep := func(table stream.Store[string], opts ...stream.BuilderOption) (kept []string) {
		b := stream.NewBuilder(opts...)
		headerStores(b, table)
		top, err := b.Topology()
		if err != nil {
			t.Fatal(err)
		}
		set := map[string]bool{}
		for _, s := range top.Stores {
			if s.KeepsHeaders {
				set[s.Name] = true
			}
		}
		return slices.Sorted(maps.Keys(set))
	}
	table := stream.Materialized("table", serde.String)
	for _, c := range []struct {
		name      string
		got, want []string
	}{
		{"none", keep(table), nil},
		{"one", keep(table.With(state.KeepHeaders())), []string{"table"}},
		{"all", keep(table, stream.KeepHeaders()), []string{"held-store", "rows", "sessions", "table", "windows"}},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: %q keep headers, want %q", c.name, c.got, c.want)
		}
	}

	b := stream.NewBuilder()
	stream.Table(b, "t", serde.String, serde.String, stream.Materialized("t", serde.String).Versioned(time.Hour).With(state.KeepHeaders()))
	if _, err := b.Topology(); err == nil || !strings.Contains(err.Error(), "store t: a versioned store keeps no headers; leave state.KeepHeaders out") {
		t.Errorf("a versioned store with headers: %v", err)
	}
}

// lastSeen keeps the last record of each key whole, and passes on how it differed.
type lastSeen struct {
	store topology.Store[*state.KeyValue[string, string]]
	rows  *state.KeyValue[string, string]
	ctx   *topology.Context[string, string]
}

func (p *lastSeen) Init(ctx *topology.Context[string, string]) (err error) {
	p.ctx = ctx
	p.rows, err = p.store.In(ctx)
	return err
}

func (p *lastSeen) Process(r topology.Record[string, string]) error {
	row, ok, err := p.rows.Row(r.Key)
	if err != nil {
		return err
	}
	if ok {
		was := topology.NewRecord(r.Key, row.Value, row.Timestamp)
		was.Headers = row.Headers
		p.ctx.Forward(was)
	}
	return p.rows.Put(r.Key, r.Value, r.Timestamp, r.Headers)
}

func (p *lastSeen) Close() error { return nil }

// TestHeadersOfProcessorStore: what a processor puts into a store that keeps headers comes back with them, in the same commit and in later ones
// (S-20, P-35).
func TestHeadersOfProcessorStore(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	store := stream.AddStore[*state.KeyValue[string, string]](b, state.KeyValueSpec("seen", serde.String, serde.String, state.KeepHeaders()))
	stream.Process(from(b, "in"), func() *lastSeen { return &lastSeen{store: store} }, stream.Stores(store)).To("out", serde.String, serde.String)
	top, err := b.Topology()
	if err != nil {
		t.Fatal(err)
	}
	d := topologytest.New(t, top, topologytest.ManualCommit())
	in := topologytest.NewInput(d, "in", serde.String, serde.String)
	out := topologytest.NewOutput(d, "out", serde.String, serde.String)
	pipe := func(value string, at int64, header string) {
		r := topology.NewRecord("k", value, at)
		r.Headers = topology.Headers{}.With("h", []byte(header))
		in.PipeRecord(r)
	}
	pipe("a", 1, "1")
	pipe("b", 2, "2")
	d.Commit()
	pipe("c", 3, "3")
	d.Commit()
	var got []string
	for _, r := range out.ReadAll() {
		h, _ := r.Headers.Last("h")
		got = append(got, r.Value+string(h))
	}
	if want := []string{"a1", "b2"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
