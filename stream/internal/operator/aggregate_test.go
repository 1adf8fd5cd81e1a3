package operator

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/state/memstore"
	"github.com/millrace-io/millrace/stream/window"
	"github.com/millrace-io/millrace/topology"
)

// open adds the store that spec declares to s, empty and without a changelog.
func (s *scope) open(t testing.TB, spec *state.Spec) {
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
	p, err := db.Partition(spec, 0)
	if err == nil {
		err = p.Reset(state.Position{ClusterID: "test"})
	}
	if err != nil {
		t.Fatal(err)
	}
	layer, err := spec.Open(state.Env{Committed: p})
	if err != nil {
		t.Fatal(err)
	}
	if s.stores == nil {
		s.stores = map[string]state.Layer{}
	}
	s.stores[spec.Name] = layer
}

const second = time.Second

// TestWindowedNulls: a null value that V cannot hold is counted by a count, dropped once by the other folds, and moves the
// operator's time in either case; a null key moves nothing.
func TestWindowedNulls(t *testing.T) {
	t.Parallel()
	hopping := window.Hopping(10*second, 5*second)
	records := []topology.Record[string, string]{
		topology.NewRecord("k", "a", 1_000),
		topology.NewRecord("", "x", 90_000).WithoutKey(),
		topology.Tombstone[string, string]("k", 7_000),
		topology.NewRecord("k", "b", 2_000),
		topology.Tombstone[string, string]("k", 20_000),
		topology.NewRecord("k", "c", 9_000), // window [0, 10) has closed
	}
	for _, c := range []struct {
		name  string
		node  *topology.Node
		spec  *state.Spec
		down  func(*[]string) any
		want  []string
		drops []topology.Reason
	}{
		{
			"count", Windowed("n", Stored("w"), hopping, Counter[string, string]()),
			state.WindowSpec("w", serde.String, serde.Int64, 10*second, time.Hour),
			changes[int64],
			[]string{"0 = 3", "5000 = 1", "15000 = 1", "20000 = 1"},
			[]topology.Reason{topology.ReasonNullKey, topology.ReasonLate, topology.ReasonLate},
		},
		{
			"reduce", Windowed("n", Stored("w"), hopping, Reducer[string](func(a, b string) string { return a + b })),
			state.WindowSpec("w", serde.String, serde.String, 10*second, time.Hour),
			changes[string],
			[]string{"0 = ab"},
			[]topology.Reason{
				topology.ReasonNullKey, topology.ReasonNullValue, topology.ReasonNullValue, topology.ReasonLate, topology.ReasonLate,
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &scope{}
			s.open(t, c.spec)
			var got []string
			inst, err := c.node.Build(s, c.down(&got))
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range records {
				inst.Ports[0].(topology.Emit[string, string])(r)
			}
			if err := inst.Flush(); err != nil {
				t.Fatal(err)
			}
			slices.SortFunc(got, func(a, b string) int { return len(a) - len(b) })
			if len(s.failed) > 0 {
				t.Errorf("failures: %v", s.failed)
			}
			if !slices.Equal(s.drops, c.drops) {
				t.Errorf("drops %q, want %q", s.drops, c.drops)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("changes %q, want %q", got, c.want)
			}
		})
	}
}

// changes returns an Emit that shows each change of a windowed table.
func changes[A any](out *[]string) any {
	return topology.Emit[window.Windowed[string], state.Change[A]](func(r topology.Record[window.Windowed[string], state.Change[A]]) {
		v, _ := r.Value.New.Get()
		*out = append(*out, fmt.Sprintf("%d = %v", r.Key.Start, v))
	})
}

// TestRestart: a task that is built anew over its store does not reopen windows that the store has let go.
func TestRestart(t *testing.T) {
	t.Parallel()
	s := &scope{}
	s.open(t, state.WindowSpec("w", serde.String, serde.Int64, 10*second, 10*second))
	var got []string
	for _, times := range [][]int64{{5_000, 25_000}, {5_000, 21_000}} {
		inst, err := Windowed("n", Stored("w"), window.Tumbling(10*second), Counter[string, string]()).Build(s, changes[int64](&got))
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range times {
			inst.Ports[0].(topology.Emit[string, string])(topology.NewRecord("k", "v", at))
		}
		if err := inst.Flush(); err != nil {
			t.Fatal(err)
		}
		if err := s.stores["w"].Flush(); err != nil {
			t.Fatal(err)
		}
		if err := s.stores["w"].Commit(1); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"0 = 1", "20000 = 1", "20000 = 2"}; !slices.Equal(got, want) || len(s.failed) > 0 {
		t.Errorf("changes %q, failures %v; want %q", got, s.failed, want)
	}
	if want := []topology.Reason{topology.ReasonLate}; !slices.Equal(s.drops, want) {
		t.Errorf("drops %q, want %q", s.drops, want)
	}
}

// TestEndOfTime: windows end at the highest possible time at the latest, so a record of that time comes when they have closed.
func TestEndOfTime(t *testing.T) {
	t.Parallel()
	s := &scope{}
	s.open(t, state.WindowSpec("w", serde.String, serde.Int64, 10*time.Millisecond, time.Hour))
	var got []string
	inst, err := Windowed("n", Stored("w"), window.Hopping(10*time.Millisecond, 5*time.Millisecond), Counter[string, string]()).Build(s, changes[int64](&got))
	if err != nil {
		t.Fatal(err)
	}
	inst.Ports[0].(topology.Emit[string, string])(topology.NewRecord("k", "v", 1<<63-1))
	if err := inst.Flush(); err != nil || len(s.failed) > 0 {
		t.Fatal(err, s.failed)
	}
	if want := []topology.Reason{topology.ReasonLate, topology.ReasonLate}; len(got) > 0 || !slices.Equal(s.drops, want) {
		t.Errorf("changes %q, drops %q, want %q", got, s.drops, want)
	}
}

// TestAggregateInPlace: an aggregator may change the aggregate that it is given; what was emitted before stays as it was.
func TestAggregateInPlace(t *testing.T) {
	t.Parallel()
	type list struct{ Items []string }
	s := &scope{}
	s.open(t, state.KeyValueSpec("a", serde.String, serde.JSON[*list]()))
	fold := Adder(func() *list { return &list{} }, func(_, v string, l *list) *list {
		l.Items = append(l.Items, v)
		return l
	})
	var emitted []*list
	inst, err := Aggregate("n", Stored("a"), fold).Build(s, topology.Emit[string, state.Change[*list]](func(r topology.Record[string, state.Change[*list]]) {
		v, _ := r.Value.New.Get()
		emitted = append(emitted, v)
	}))
	if err != nil {
		t.Fatal(err)
	}
	take := inst.Ports[0].(topology.Emit[string, string])
	take(rec("k", "1"))
	take(rec("k", "2"))
	if err := inst.Flush(); err != nil {
		t.Fatal(err)
	}
	take(rec("k", "3"))
	if err := inst.Flush(); err != nil || len(s.failed) > 0 {
		t.Fatal(err, s.failed)
	}
	if len(emitted) != 2 || !slices.Equal(emitted[0].Items, []string{"1", "2"}) || !slices.Equal(emitted[1].Items, []string{"1", "2", "3"}) {
		t.Errorf("emitted %+v", emitted)
	}
}

// TestWrongStore: a store of other types is an error of Build, not a panic.
func TestWrongStore(t *testing.T) {
	t.Parallel()
	s := &scope{}
	s.open(t, state.KeyValueSpec("a", serde.String, serde.String))
	down := topology.Emit[string, state.Change[int64]](func(topology.Record[string, state.Change[int64]]) {})
	if _, err := Aggregate("n", Stored("a"), Counter[string, string]()).Build(s, down); err == nil {
		t.Error("a count was built over a store of strings")
	}
	if _, err := Aggregate("n", Stored("b"), Counter[string, string]()).Build(s, down); err == nil {
		t.Error("a count was built over a store that is not there")
	}
	if _, err := Aggregate("n", Stored("a"), Counter[string, string]()).Build(s, topology.Emit[string, string](func(topology.Record[string, string]) {})); err == nil {
		t.Error("a count was built over a child of other types")
	}
}

// TestAggregateAllocs: an update of a key that the transaction has seen costs no allocation, in any fold.
func TestAggregateAllocs(t *testing.T) {
	s := &scope{}
	s.open(t, state.KeyValueSpec("c", serde.String, serde.Int64))
	s.open(t, state.KeyValueSpec("r", serde.String, serde.String))
	s.open(t, state.WindowSpec("w", serde.String, serde.Int64, second, time.Hour))
	for name, node := range map[string]*topology.Node{
		"count":          Aggregate("n", Stored("c"), Counter[string, string]()),
		"reduce":         Aggregate("n", Stored("r"), Reducer[string](func(a, _ string) string { return a })),
		"windowed count": Windowed("n", Stored("w"), window.Tumbling(second), Counter[string, string]()),
	} {
		var down any
		switch name {
		case "count":
			down = topology.Emit[string, state.Change[int64]](func(topology.Record[string, state.Change[int64]]) {})
		case "reduce":
			down = topology.Emit[string, state.Change[string]](func(topology.Record[string, state.Change[string]]) {})
		default:
			down = topology.Emit[window.Windowed[string], state.Change[int64]](func(topology.Record[window.Windowed[string], state.Change[int64]]) {})
		}
		inst, err := node.Build(s, down)
		if err != nil {
			t.Fatal(err)
		}
		take := inst.Ports[0].(topology.Emit[string, string])
		r := rec("k", "v")
		take(r)
		if n := testing.AllocsPerRun(100, func() { take(r) }); n != 0 {
			t.Errorf("%s: %v allocations per record", name, n)
		}
		if len(s.failed) > 0 {
			t.Fatal(s.failed)
		}
	}
}

// BenchmarkCount is a count over 10 000 keys: a look-up in the transaction layer, about 20 ns, and the calls around it.
func BenchmarkCount(b *testing.B) {
	s := &scope{}
	s.open(b, state.KeyValueSpec("c", serde.String, serde.Int64))
	down := topology.Emit[string, state.Change[int64]](func(topology.Record[string, state.Change[int64]]) {})
	inst, err := Aggregate("n", Stored("c"), Counter[string, string]()).Build(s, down)
	if err != nil {
		b.Fatal(err)
	}
	take := inst.Ports[0].(topology.Emit[string, string])
	records := make([]topology.Record[string, string], 10_000)
	for i := range records {
		records[i] = topology.NewRecord(fmt.Sprintf("key-%d", i), "v", int64(i))
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		take(records[i])
		if i++; i == len(records) {
			i = 0
		}
	}
}
