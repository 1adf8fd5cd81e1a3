package runtime

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/topology"
)

func TestPlacement(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		have  string // tasks by worker
		add   string
		want  string
		moves string
	}{
		{"all new", "| |", "0_0 0_1 0_2 1_0 1_1 1_2", "0_0 0_2 1_1 | 0_1 1_0 1_2 |", ""},
		{"to the idle one", "0_0 0_1 | |", "0_2", "0_0 0_1 | 0_2 |", ""},
		{"more workers than tasks", "| | |", "0_0", "0_0 | | |", ""},
		{"uneven after others have left", "0_0 0_1 0_2 0_3 | |", "", "0_0 0_1 | 0_2 0_3 |", "0_3:0>1 0_2:0>1"},
		{"one apart stays", "0_0 0_1 | 0_2 |", "", "0_0 0_1 | 0_2 |", ""},
		{"in the order of their ids", "0_1 | |", "1_0 0_2 0_0", "0_1 0_2 | 0_0 1_0 |", ""},
		{"from a later worker", "| 0_0 0_1 |", "", "0_1 | 0_0 |", "0_1:1>0"},
		{"nothing", "| |", "", "| |", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p, add := parsePlacement(t, tc.have), parseTasks(t, tc.add)
			before := p.all()
			given := p.place(add)
			if got, want := p.all(), slices.SortedFunc(slices.Values(slices.Concat(before, given.all())), topology.TaskID.Compare); !slices.Equal(got, want) {
				t.Errorf("%v are placed, want %v: those that were there, and %v", got, want, given.all())
			}
			if !slices.Equal(add, parseTasks(t, tc.add)) {
				t.Errorf("the tasks to place are %v afterwards", add)
			}
			var moves []string
			for _, m := range p.level() {
				moves = append(moves, fmt.Sprintf("%s:%d>%d", m.task, m.from, m.to))
			}
			if got := showPlacement(p); got != tc.want {
				t.Errorf("placement %q, want %q", got, tc.want)
			}
			if got := strings.Join(moves, " "); got != tc.moves {
				t.Errorf("moves %q, want %q", got, tc.moves)
			}
		})
	}
}

func TestPlacementRemove(t *testing.T) {
	t.Parallel()
	p := parsePlacement(t, "0_0 0_1 | 0_2 |")
	if w, ok := p.remove(topology.TaskID{Partition: 2}); !ok || w != 1 {
		t.Errorf("remove 0_2: worker %d, %v", w, ok)
	}
	if _, ok := p.remove(topology.TaskID{Partition: 2}); ok {
		t.Error("removed twice")
	}
	if got := showPlacement(p); got != "0_0 0_1 | |" {
		t.Errorf("left %q", got)
	}
}

func parsePlacement(t *testing.T, s string) placement {
	t.Helper()
	var p placement
	for part := range strings.SplitSeq(strings.TrimSuffix(strings.TrimSpace(s), "|"), "|") {
		p = append(p, parseTasks(t, part))
	}
	return p
}

func parseTasks(t *testing.T, s string) []topology.TaskID {
	t.Helper()
	var ids []topology.TaskID
	for word := range strings.FieldsSeq(s) {
		id, err := topology.ParseTaskID(word)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

func showPlacement(p placement) string {
	var b strings.Builder
	for _, tasks := range p {
		for _, id := range tasks {
			b.WriteString(id.String() + " ")
		}
		b.WriteString("| ")
	}
	return strings.TrimSpace(b.String())
}
