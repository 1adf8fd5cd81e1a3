package stream_test

import (
	"fmt"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/topology"
)

// numberer gives the records of each key numbers.
type numberer struct {
	ctx    *topology.Context[string, string]
	handle topology.Store[*state.KeyValue[string, int64]]
	last   *state.KeyValue[string, int64]
}

func (n *numberer) Init(ctx *topology.Context[string, string]) (err error) {
	n.ctx = ctx
	n.last, err = n.handle.In(ctx)
	return err
}

func (n *numberer) Process(r topology.Record[string, string]) error {
	last, _, _, err := n.last.Get(r.Key)
	if err != nil {
		return err
	}
	r.Value = fmt.Sprintf("%d. %s", last+1, r.Value)
	n.ctx.Forward(r)
	return n.last.Put(r.Key, last+1, r.Timestamp, topology.Headers{})
}

func (n *numberer) Close() error { return nil }

// A processor written by hand, with a store of its own.
func ExampleProcess() {
	b := stream.NewBuilder()
	last := stream.AddStore[*state.KeyValue[string, int64]](b, state.KeyValueSpec("last", serde.String, serde.Int64))
	lines := stream.From(b, "lines", serde.String, serde.String)
	stream.Process(lines, func() *numberer { return &numberer{handle: last} }, stream.Stores(last)).To("out", serde.String, serde.String)

	runRecords(b, "out", [3]string{"lines", "a", "first"}, [3]string{"lines", "b", "first"}, [3]string{"lines", "a", "second"})
	// Output:
	// a: 1. first
	// b: 1. first
	// a: 2. second
}

// short makes no row of what is long.
type short struct{}

func (short) Init(*stream.TableContext) error { return nil }
func (short) Close() error                    { return nil }

func (short) Transform(_ string, row serde.Maybe[string]) (serde.Maybe[string], error) {
	if text, ok := row.Get(); !ok || len(text) > 4 {
		return serde.None[string](), nil
	}
	return row, nil
}

func ExampleTransformTable() {
	b := stream.NewBuilder()
	cities := stream.Table(b, "cities", serde.String, serde.String)
	stream.TransformTable(cities, func() short { return short{} }).ToStream().To("out", serde.String, serde.String)

	runRecords(b, "out", [3]string{"cities", "ann", "Rome"}, [3]string{"cities", "ann", "Paris"})
	// Output:
	// ann: Rome
	// ann: null
}

// The operators of a table of windows are those of tables whose key is key and window.
func ExampleAsTable() {
	b := stream.NewBuilder()
	windows := groupedByKey(b, "in").WindowedBy(everyTwo)
	counts := stream.AsTable(windows.Count(stream.Materialized("counts", serde.Int64)))
	perKey := stream.GroupTable(counts, func(w windowOfKey, n int64) (string, int64) { return w.Key, n },
		stream.GroupedWith(serde.String, serde.Int64).Named("by-key"))
	sums := perKey.Reduce(func(sum, n int64) int64 { return sum + n }, func(sum, n int64) int64 { return sum - n }, stream.Materialized("sums", serde.Int64))
	stream.MapTable(sums, func(n int64) string { return fmt.Sprint(n) }).ToStream().To("out", serde.String, serde.String)

	runRecords(b, "out", [3]string{"in", "a", "x"}, [3]string{"in", "a", "x"}, [3]string{"in", "a", "x"})
	// Output:
	// a: 1
	// a: 2
	// a: 3
}
