package operator

import (
	"testing"

	"github.com/millrace-io/millrace/topology"
)

// TestAllocs: a record costs no allocation in any stateless operator, whatever its types can hold.
func TestAllocs(t *testing.T) {
	x := "x"
	px := &x
	branches := &Branches[string, *string]{Predicates: []func(string, *string) bool{func(string, *string) bool { return false }}, Default: -1}
	for name, node := range map[string]*topology.Node{
		"Filter":        Filter("n", func(string, *string) bool { return true }, true),
		"MapValues":     MapValues("n", func(_ string, v *string) *string { return v }),
		"Map":           Map("n", func(k string, v *string) (string, *string) { return k, v }),
		"SelectKey":     SelectKey("n", func(k string, _ *string) string { return k }),
		"FlatMap":       FlatMap("n", func(k string, v *string, emit func(string, *string)) { emit(k, v); emit(k, v) }),
		"FlatMapValues": FlatMapValues("n", func(_ string, v *string, emit func(*string)) { emit(v); emit(v) }),
		"Peek":          Peek("n", func(string, *string) {}),
		"Foreach":       Foreach("n", func(string, *string) {}),
		"KeyFilter":     KeyFilter[string, *string]("n"),
		"Split":         Split("n", branches),
	} {
		port := run[string, *string, string, *string](t, &scope{}, node, nil)
		r := topology.NewRecord("k", px, 7)
		if n := testing.AllocsPerRun(100, func() { port(r) }); n != 0 {
			t.Errorf("%s: %v allocations per record", name, n)
		}
	}
	bytes := run[[]byte, []byte, []byte, []byte](t, &scope{}, MapValues("n", func(_, v []byte) []byte { return v }), nil)
	r := topology.NewRecord([]byte("k"), []byte("v"), 7)
	if n := testing.AllocsPerRun(100, func() { bytes(r) }); n != 0 {
		t.Errorf("MapValues of slices: %v allocations per record", n)
	}
}

// BenchmarkStateless is five operators in a row: a function call and the user's function each, about 6 ns.
func BenchmarkStateless(b *testing.B) {
	next := any(topology.Emit[string, int64](func(topology.Record[string, int64]) {}))
	for range 5 {
		inst, err := MapValues("n", func(_ string, v int64) int64 { return v + 1 }).Build(&scope{}, next)
		if err != nil {
			b.Fatal(err)
		}
		next = inst.Ports[0]
	}
	port := next.(topology.Emit[string, int64])
	r := topology.NewRecord("k", int64(1), 7)
	b.ReportAllocs()
	for b.Loop() {
		port(r)
	}
}
