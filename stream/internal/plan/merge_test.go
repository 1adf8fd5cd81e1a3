package plan

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

var update = flag.Bool("update", false, "rewrite the expectations in testdata")

// TestRewrites plays testdata/*.txt: each case makes a plan, one node a line with its parents, and shows what the rewrites make of it:
// each node with its children, repartition topics, global tables with the sources made before them.
func TestRewrites(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for text := range strings.SplitSeq(strings.TrimSpace(string(b)), "\n\n") {
			script, want, ok := strings.Cut(text+"\n", "----\n")
			if !ok {
				t.Fatalf("%s: no ---- in\n%s", file, text)
			}
			got := rewritten(t, script)
			if !*update && got != want {
				t.Errorf("%s:\n%sgives\n%s\nwant\n%s", file, script, got, want)
			}
			out = append(out, script+"----\n"+got)
		}
		if *update {
			if err := os.WriteFile(file, []byte(strings.Join(out, "\n")), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// rewritten runs a script.
func rewritten(t *testing.T, script string) string {
	t.Helper()
	g := New()
	g.MergeRepartitions()
	made := map[string]*Node{}
	for line := range strings.Lines(script) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] == "#" {
			continue
		}
		name := words[1]
		var parents []*Node
		for _, p := range words[2:] {
			parents = append(parents, made[p])
		}
		switch words[0] {
		case "source":
			made[name] = g.AddSource(source[string](name, "topic-"+name))
		case "step":
			made[name] = g.Add(step[string](name), parents...)
		case "rekeys":
			made[name] = g.Add(step[string](name), parents...).Rekeys()
		case "keeps":
			made[name] = g.Add(step[string](name), parents...).Keeps()
		case "automatic", "explicit":
			v := via(name)
			v.Automatic = words[0] == "automatic"
			made[name] = g.AddRepartition(v, parents...)
		case "global":
			g.AddGlobal(topology.GlobalTable{Name: name, Topic: "topic-" + name, Store: name}, state.GlobalSpec(name, serde.String, serde.String))
		default:
			t.Fatalf("unknown: %s", line)
		}
	}
	top, err := g.Topology()
	if err != nil {
		return fmt.Sprintf("error: %v\n", err)
	}
	return showPlan(top)
}

func showPlan(top *topology.Topology) string {
	var b strings.Builder
	for _, n := range top.Nodes {
		b.WriteString(n.Name)
		if len(n.Children) > 0 {
			b.WriteString(" >")
		}
		for _, c := range n.Children {
			b.WriteString(" " + top.Nodes[c].Name)
		}
		b.WriteByte('\n')
	}
	for _, r := range top.Repartition {
		fmt.Fprintf(&b, "topic %s\n", r.Topic())
	}
	for _, g := range top.Globals {
		after := "nothing"
		if g.After > 0 {
			after = top.Nodes[g.After-1].Name
		}
		fmt.Fprintf(&b, "global %s after %s\n", g.Name, after)
	}
	return b.String()
}
