package operator

import (
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/topology"
)

// TestSplit: the first predicate that holds takes the record; null values that V cannot hold go to the default branch.
func TestSplit(t *testing.T) {
	t.Parallel()
	is := func(prefix string) func(string, string) bool {
		return func(_, v string) bool { return strings.HasPrefix(v, prefix) }
	}
	records := []topology.Record[string, string]{rec("1", "ab"), rec("2", "b"), rec("3", "c"), rec("4", "").WithoutValue()}
	for _, c := range []struct {
		name     string
		branches Branches[string, string]
		want     []string // by child
		drops    int
	}{
		{"no branch", Branches[string, string]{Default: -1}, nil, 1},
		{"one branch", Branches[string, string]{[]func(string, string) bool{is("a")}, -1}, []string{"1"}, 1},
		{"only a default", Branches[string, string]{nil, 0}, []string{"1234"}, 0},
		{"two branches", Branches[string, string]{[]func(string, string) bool{is("a"), is("")}, -1}, []string{"1", "23"}, 1},
		{"branch and default", Branches[string, string]{[]func(string, string) bool{is("b")}, 1}, []string{"2", "134"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := make([]string, len(c.want))
			var children []any
			for i := range got {
				children = append(children, topology.Emit[string, string](func(r topology.Record[string, string]) { got[i] += r.Key }))
			}
			n := Split("n", &c.branches)
			var down any
			if len(children) == 1 {
				down = children[0] // as a task does
			} else {
				down = n.Fan(children)
			}
			s := &scope{}
			inst, err := n.Build(s, down)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range records {
				inst.Ports[0].(topology.Emit[string, string])(r)
			}
			if !slices.Equal(got, c.want) || len(s.drops) != c.drops {
				t.Errorf("children got %q, %d drops; want %q, %d", got, len(s.drops), c.want, c.drops)
			}
		})
	}
}
