package operator

import (
	"fmt"
	"slices"
	"testing"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// TestTimeOfTableAggregate: an aggregate takes part with its time in one that follows it, also where subtracting has left nothing of it
// (D-67).
func TestTimeOfTableAggregate(t *testing.T) {
	t.Parallel()
	without := func(_, v string, a *string) *string { // what is left of a without v at its end, nil for nothing
		if rest := (*a)[:len(*a)-len(v)]; rest != "" {
			return &rest
		}
		return nil
	}
	for _, c := range []struct {
		name string
		node func(*Store) *topology.Node
		want []string
	}{
		{"aggregate", func(st *Store) *topology.Node {
			return TableAggregate("n", st, TableAdder(func() *string { return new("") },
				func(_, v string, a *string) *string { return new(*a + v) }, without))
		}, []string{"a@9", "b@9"}},
		{"reduce", func(st *Store) *topology.Node {
			fold := TableFold[string, string, *string]{
				Add:      func(_, v string, _ *string, _ bool) (*string, bool) { return &v, true },
				Subtract: func(string, string, *string) (*string, bool) { return nil, false },
			}
			return TableAggregate("n", st, fold)
		}, []string{"a@9", "b@9"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &scope{}
			s.open(t, state.KeyValueSpec("a", serde.String, serde.Nullable(serde.String)))
			st := Stored("a")
			st.Uncached = true
			var got []string
			inst, err := c.node(st).Build(s, topology.Emit[string, state.Change[*string]](func(r topology.Record[string, state.Change[*string]]) {
				v, _ := r.Value.New.Get()
				got = append(got, fmt.Sprintf("%v@%d", text(v), r.Timestamp))
			}))
			if err != nil {
				t.Fatal(err)
			}
			take := inst.Ports[0].(topology.Emit[string, textChange])
			take(topology.NewRecord("k", textChange{New: serde.Some("a"), Latest: true}, 9))
			take(topology.NewRecord("k", textChange{New: serde.Some("b"), Old: serde.Some("a"), Latest: true}, 3))
			if !slices.Equal(got, c.want) || len(s.failed) > 0 {
				t.Errorf("emitted %q, want %q; %v", got, c.want, s.failed)
			}
		})
	}
}
