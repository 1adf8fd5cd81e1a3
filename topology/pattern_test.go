package topology_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// patterned is a topology over the topics that match each expression, with a repartition topic and a store of its own.
func patterned(t *testing.T, expressions ...string) *topology.Topology {
	t.Helper()
	b := topology.NewBuilder()
	in := topology.AddSource(b, "named", "named", serde.String, serde.String)
	for i, e := range expressions {
		in = in.And(topology.AddPatternSource(b, fmt.Sprint("pattern", i), regexp.MustCompile(e), serde.String, serde.String))
	}
	spec := state.KeyValueSpec("rows", serde.String, serde.String)
	rows := topology.AddStore[*state.KeyValue[string, string]](b, spec)
	regrouped := topology.Repartition(b, "r", 0, serde.String, serde.String, in)
	topology.AddProcessor(b, "p", func() idle { return idle{} }, regrouped, rows)
	b.Copartition("named", "/"+expressions[0]+"/")
	top, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return top
}

type idle struct{}

func (idle) Init(*topology.Context[string, string]) error  { return nil }
func (idle) Process(topology.Record[string, string]) error { return nil }
func (idle) Close() error                                  { return nil }

// TestMatch: the topics of a log take the place of a pattern that matches them as a whole; those of the log and of the application
// itself do not (D-01, P-01).
func TestMatch(t *testing.T) {
	t.Parallel()
	top := patterned(t, "(in-.*|.*r-repartition|.*-changelog|__.*)")
	if text := top.Describe(); !strings.Contains(text, "Source: pattern0 (topics: (in-.*|.*r-repartition|.*-changelog|__.*))\n") {
		t.Error(text)
	}
	canonical := string(top.Canonical(topology.Partitions{}))
	log := []string{"in-b", "in-a", "in-a", "an-in-c", "in", "named", "app-r-repartition", "app-rows-changelog", "__consumer_offsets"}
	matched, err := top.Match("app", log)
	if err != nil {
		t.Fatal(err)
	}
	if text := matched.Describe(); !strings.Contains(text, "Source: pattern0 (topics: [in-a, in-b])\n") {
		t.Error(text)
	}
	if got := fmt.Sprint(matched.UserTopics(), matched.Copartitioned); got != "[in-a in-b named] [[named in-a in-b]]" {
		t.Errorf("topics, and those that go together: %s", got)
	}
	counts, err := matched.Partition(map[string]int32{"named": 2, "in-a": 2, "in-b": 2})
	if err != nil || counts.Topics["r-repartition"] != 2 || counts.Tasks[0] != 2 {
		t.Errorf("%v, %v", counts, err)
	}
	if _, err := matched.Partition(map[string]int32{"named": 2, "in-a": 3, "in-b": 2}); err == nil {
		t.Error("topics that go together have unequal counts")
	}
	if !top.HasPatterns() || string(top.Canonical(topology.Partitions{})) != canonical || matched.HasPatterns() {
		t.Error("Match changed the topology")
	}
	if again, err := matched.Match("app", []string{"in-c"}); again != matched || err != nil {
		t.Errorf("matched again: %v", err)
	}
}

// A pattern that matches nothing yet leaves its sub-topology, and what follows it, without tasks and internal topics.
func TestMatchNothing(t *testing.T) {
	t.Parallel()
	b := topology.NewBuilder()
	in := topology.AddPatternSource(b, "s", regexp.MustCompile("in"), serde.String, serde.String)
	rows := topology.AddStore[*state.KeyValue[string, string]](b, state.KeyValueSpec("rows", serde.String, serde.String))
	topology.AddProcessor(b, "p", func() idle { return idle{} }, topology.Repartition(b, "r", 0, serde.String, serde.String, in), rows)
	top, err := b.Build()
	if err == nil {
		top, err = top.Match("app", nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	counts, err := top.Partition(nil)
	if err != nil || counts.Tasks[0] != 0 || counts.Tasks[1] != 0 {
		t.Errorf("%v, %v", counts, err)
	}
	if topics := top.InternalTopics("app", counts); len(topics) > 0 {
		t.Errorf("internal topics %v", topics)
	}
}

// Two patterns whose topics go together may both match nothing yet.
func TestMatchNothingTogether(t *testing.T) {
	t.Parallel()
	b := topology.NewBuilder()
	left := topology.AddPatternSource(b, "l", regexp.MustCompile("left-.*"), serde.String, serde.String)
	right := topology.AddPatternSource(b, "r", regexp.MustCompile("right-.*"), serde.String, serde.String)
	topology.AddProcessor(b, "p", func() idle { return idle{} }, left.And(right))
	b.Copartition("/left-.*/", "/right-.*/")
	top, err := b.Build()
	if err == nil {
		top, err = top.Match("app", nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	if counts, err := top.Partition(nil); err != nil || counts.Tasks[0] != 0 {
		t.Errorf("%v, %v", counts, err)
	}
}

// TestPatternIsWhole: an expression matches names as a whole, whichever of its alternatives comes first, however it is written.
func TestPatternIsWhole(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		expression *regexp.Regexp
		want       string
	}{
		{regexp.MustCompile(`in|in-a`), "in in-a"},
		{regexp.MustCompile(`in.*?`), "in in(a in-a in.a"},
		{regexp.MustCompile(`(?i)IN-A`), "in-a"},
		{regexp.MustCompile(`^in-a$`), "in-a"},
		{regexp.MustCompile(`n-a`), ""},
		{regexp.MustCompile(`in\Q(a`), "in(a"}, // quoted to its end
		{regexp.MustCompilePOSIX(`in(-a)**`), "in in-a"},
	} {
		b := topology.NewBuilder()
		topology.AddPatternSource(b, "source", c.expression, serde.String, serde.String)
		top, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		matched, err := top.Match("app", []string{"in", "in-a", "in.a", "in(a", "join-a"})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(matched.Nodes[0].Topics, " "); got != c.want {
			t.Errorf("%s matches %q, want %q", c.expression, got, c.want)
		}
	}
}

// A pattern may match what stands for itself, or for another, where topics are not known yet: that is no topic.
func TestPatternOfAnything(t *testing.T) {
	t.Parallel()
	matched, err := patterned(t, ".*orders.*", "(pay|.*ing).*").Match("app", []string{"in-orders-a", "paying"})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(matched.UserTopics()); got != "[in-orders-a named paying]" {
		t.Errorf("topics %s", got)
	}
}

// a topic has one reader.
func TestPatternsOverlap(t *testing.T) {
	t.Parallel()
	_, err := patterned(t, "in-.*", ".*-a").Match("app", []string{"in-a", "in-b", "out-a"})
	if want := "topic in-a is matched by the pattern of source pattern0 and by that of pattern1; make one of the two leave it out"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %q", err, want)
	}
	b := topology.NewBuilder()
	topology.AddSource(b, "named", "in-a", serde.String, serde.String)
	topology.AddPatternSource(b, "pattern", regexp.MustCompile("in-.*"), serde.String, serde.String)
	topology.AddPatternSource[string, string](b, "none", nil, serde.String, serde.String)
	_, err = b.Build()
	for _, want := range []string{"source pattern: the pattern in-.* matches topic in-a, which is read by its name", "source none: the expression is nil"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
}
