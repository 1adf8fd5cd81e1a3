package stream_test

import (
	"strings"
	"testing"

	"github.com/millrace-io/millrace/runtime/topologytest"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/topology"
)

type nameStore = state.Global[string, string]

// byName turns a topic of "id: name" into a store of ids by name.
type byName struct{ ids *nameStore }

func (n *byName) Init(_ *topology.GlobalContext, ids *nameStore) error {
	n.ids = ids
	return nil
}

func (n *byName) Process(r topology.Record[string, string]) error {
	return n.ids.Put(r.Value, r.Key, r.Timestamp)
}

func (n *byName) Close() error { return nil }

// toID replaces names by ids.
type toID struct {
	store topology.Store[*nameStore]
	ids   *nameStore
	ctx   *topology.Context[string, string]
}

func (p *toID) Init(ctx *topology.Context[string, string]) (err error) {
	p.ctx = ctx
	p.ids, err = p.store.In(ctx)
	return err
}

func (p *toID) Process(r topology.Record[string, string]) error {
	id, _, ok, err := p.ids.Get(r.Value)
	if ok {
		p.ctx.Forward(topology.NewRecord(r.Key, id, r.Timestamp))
	}
	return err
}

func (p *toID) Close() error { return nil }

// Orders name their customers; a global store that is made of the topic of customers knows their ids.
func ExampleAddGlobalStore() {
	b := stream.NewBuilder()
	ids := stream.AddGlobalStore(b, state.GlobalSpec("ids", serde.String, serde.String), "customers", serde.String, serde.String,
		func() *byName { return &byName{} })
	orders := stream.From(b, "orders", serde.String, serde.String)
	stream.Process(orders, func() *toID { return &toID{store: ids} }).To("identified", serde.String, serde.String)

	runRecords(b, "identified",
		[3]string{"customers", "c1", "Ann"},
		[3]string{"orders", "o1", "Ann"},
		[3]string{"orders", "o2", "Bob"},
	)
	// Output:
	// o1: c1
}

// TestAddGlobalStore: it is named as in Kafka Streams, with a name and without; its topic is read from the start; it is never nil (D-04, P-27).
func TestAddGlobalStore(t *testing.T) {
	t.Parallel()
	add := func(b *stream.Builder, store, topic string, opts ...stream.SourceOption[string, string]) {
		stream.AddGlobalStore(b, state.GlobalSpec(store, serde.String, serde.String), topic, serde.String, serde.String,
			func() *byName { return &byName{} }, opts...)
	}
	b := stream.NewBuilder()
	add(b, "s1", "t1")
	from(b, "in").Print(&printout{})
	add(b, "s2", "t2", stream.SourceNamed[string, string]("names"))
	top, err := b.Topology()
	if err != nil {
		t.Fatal(err)
	}
	const want = `Topologies:
   Sub-topology: 0 for global store (will not generate tasks)
    Source: KSTREAM-SOURCE-0000000000 (topics: [t1])
      --> KTABLE-SOURCE-0000000001
    Processor: KTABLE-SOURCE-0000000001 (stores: [s1])
      --> none
      <-- KSTREAM-SOURCE-0000000000
  Sub-topology: 1
    Source: KSTREAM-SOURCE-0000000002 (topics: [in])
      --> KSTREAM-PRINTER-0000000003
    Processor: KSTREAM-PRINTER-0000000003 (stores: [])
      --> none
      <-- KSTREAM-SOURCE-0000000002

  Sub-topology: 2 for global store (will not generate tasks)
    Source: names-source (topics: [t2])
      --> names
    Processor: names (stores: [s2])
      --> none
      <-- names-source
`
	if got := top.Describe(); got != want {
		t.Errorf("it is described as\n%s\nwant\n%s", got, want)
	}
	d := topologytest.New(t, top)
	topologytest.NewInput(d, "t1", serde.String, serde.String).PipeAt("id", "name", 1)
	if id, _, ok, err := topologytest.StoreOf[*nameStore](d, "s1").Get("name"); id != "id" || !ok || err != nil {
		t.Errorf("the store has %q, %v, %v", id, ok, err)
	}

	b = stream.NewBuilder()
	add(b, "s", "t", stream.OffsetReset[string, string](topology.Latest()))
	stream.AddGlobalStore[*byName](b, state.GlobalSpec("none", serde.String, serde.String), "u", serde.String, serde.String, nil)
	stream.AddGlobalStore(b, state.GlobalSpec("nil", serde.String, serde.String), "v", nil, serde.String, func() *byName { return nil })
	_, err = b.Topology()
	for _, want := range []string{"the constructor of its processor is nil", "node KTABLE-SOURCE-0000000005: the key serde is nil"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\ndoes not say: %s", err, want)
		}
	}
	b = stream.NewBuilder()
	add(b, "s", "t", stream.OffsetReset[string, string](topology.Latest()))
	if _, err = b.Topology(); err == nil || !strings.Contains(err.Error(),
		"global store KTABLE-SOURCE-0000000001 is made of all of topic t, so that it must be read from its start: its offset reset is latest, want earliest") {
		t.Errorf("a store that is made of the end of its topic: %v", err)
	}
}

// byID replaces ids by names, which it reads in a store that a topic fills.
type byID struct {
	names topology.ReadOnlyStore[string, string]
	rows  state.ReadOnly[string, string]
	ctx   *topology.Context[string, string]
}

func (p *byID) Init(ctx *topology.Context[string, string]) (err error) {
	p.ctx = ctx
	p.rows, err = p.names.In(ctx)
	return err
}

func (p *byID) Process(r topology.Record[string, string]) error {
	name, _, ok, err := p.rows.Get(r.Key)
	if ok {
		p.ctx.Forward(topology.NewRecord(r.Key, name+" "+r.Value, r.Timestamp))
	}
	return err
}

func (p *byID) Close() error { return nil }

// A processor looks customers up in a store that their topic fills, and is the changelog of.
func ExampleAddReadOnlyStore() {
	b := stream.NewBuilder()
	customers := stream.AddReadOnlyStore(b, "customers", "customers", serde.String, serde.String)
	visits := stream.From(b, "visits", serde.String, serde.String)
	stream.Process(visits, func() *byID { return &byID{names: customers} }, stream.Stores(customers)).To("named", serde.String, serde.String)

	runRecords(b, "named",
		[3]string{"customers", "c1", "Ann"},
		[3]string{"visits", "c1", "calls"},
		[3]string{"visits", "c2", "calls"},
	)
	// Output:
	// c1: Ann calls
}

// TestAddReadOnlyStore: its topic is the changelog of the store (D-05); a topic is read once.
func TestAddReadOnlyStore(t *testing.T) {
	t.Parallel()
	program := func(opts ...stream.BuilderOption) (*topology.Topology, error) {
		b := stream.NewBuilder(opts...)
		names := stream.AddReadOnlyStore(b, "names", "people", serde.String, serde.String)
		stream.Process(from(b, "in"), func() *byID { return &byID{names: names} }, stream.Stores(names)).To("out", serde.String, serde.String)
		return b.Topology()
	}
	for _, opts := range [][]stream.BuilderOption{nil, {stream.Optimized(), stream.KeepHeaders()}} {
		top, err := program(opts...)
		if err != nil {
			t.Fatal(err)
		}
		if s := top.Stores[0]; s.SourceTopic != "people" || s.KeepsHeaders || len(top.Subtopologies()) != 1 {
			t.Errorf("store %+v of %d sub-topologies", s, len(top.Subtopologies()))
		}
	}
	b := stream.NewBuilder()
	stream.AddReadOnlyStore(b, "names", "people", serde.String, serde.String)
	from(b, "people")
	stream.AddReadOnlyStore[string](b, "none", "nobody", nil, serde.String)
	_, err := b.Topology()
	for _, want := range []string{`topic "people" is read by source names-source already`, "node none: the key serde is nil"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\ndoes not say: %s", err, want)
		}
	}
}
