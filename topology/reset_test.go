package topology_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/topology"
)

// Each source begins where it says, and by default at the start (D-09).
func TestOffsetReset(t *testing.T) {
	t.Parallel()
	b := topology.NewBuilder()
	topology.AddSource(b, "s1", "a", serde.String, serde.String)
	topology.AddSourceOf(b, "s2", []string{"b", "c"}, serde.String, serde.String, topology.WithOffsetReset[string, string](topology.Latest()))
	topology.AddSource(b, "s3", "d", serde.String, serde.String, topology.WithOffsetReset[string, string](topology.Ago(time.Minute)))
	topology.AddSource(b, "s4", "e", serde.String, serde.String, topology.WithOffsetReset[string, string](topology.NoReset()))
	top, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, topic := range []string{"a", "b", "c", "d", "e", "f"} {
		got = append(got, top.OffsetReset(topic).String())
	}
	if fmt.Sprint(got) != "[earliest latest latest by_duration:1m0s none earliest]" {
		t.Errorf("%q", got)
	}
	now := time.UnixMilli(100_000)
	if since, ok := top.OffsetReset("d").Since(now); !ok || since != time.UnixMilli(40_000) {
		t.Errorf("since %v, %v", since, ok)
	}
	if _, ok := top.OffsetReset("b").Since(now); ok {
		t.Error("the end is a time")
	}
}
