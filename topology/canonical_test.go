package topology_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// canonical returns the topology of a source, a node with two stores, and a sink.
func canonical(t *testing.T, windows string, size time.Duration) *topology.Topology {
	t.Helper()
	b := topology.NewBuilder()
	src := topology.AddSource(b, "source", "in", serde.String, serde.Int64)
	topology.AddSink(b, "sink", "out", serde.String, serde.Int64, src)
	top, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	top.Stores = append(top.Stores,
		state.WindowSpec(windows, serde.String, serde.Int64, size, time.Hour),
		state.KeyValueSpec("counts", serde.String, serde.Int64),
		state.KeyValueSpec("local", serde.String, serde.Int64, state.WithoutChangelog()))
	return top
}

func TestCanonical(t *testing.T) {
	t.Parallel()
	counts := topology.Partitions{Topics: map[string]int32{"in": 4}, Tasks: map[int32]int32{0: 4}}
	form := canonical(t, "windows", time.Minute).Canonical(counts)
	if !json.Valid(form) || !bytes.Equal(form, canonical(t, "windows", time.Minute).Canonical(counts)) {
		t.Errorf("not JSON, or not equal:\n%s", form)
	}
	for _, part := range []string{
		`"tasks": 4`, `"name": "source"`, `"out": "Record[string, int64]"`, `"parents"`, `"name": "windows"`, `"kind": "window"`, `"window_ms": 60000`,
		`"retention_ms": 3600000`, `"logged": false`, `"name": "in",`, `"partitions": 4`, `"key": "serde.`,
	} {
		if !strings.Contains(string(form), part) {
			t.Errorf("no %s in\n%s", part, form)
		}
	}
	if bytes.Equal(form, canonical(t, "windows", time.Hour).Canonical(counts)) {
		t.Error("another window size is not another topology")
	}
}

// What a form that was written down says of changelogs and partitions can be read again.
func TestCanonicalIsRead(t *testing.T) {
	t.Parallel()
	top := canonical(t, "windows", time.Minute)
	top.Stores = append(top.Stores, state.KeyValueSpec("rows", serde.String, serde.Int64))
	top.Stores[3].SourceTopic = "in"
	form := top.Canonical(topology.Partitions{Topics: map[string]int32{"in": 4}})
	if stores, ok := topology.LoggedStores(form); !ok || !slices.Equal(stores, []string{"counts", "windows"}) {
		t.Errorf("logged stores %v, %v", stores, ok)
	}
	if counts := topology.SourcePartitions(form); len(counts) != 1 || counts["in"] != 4 {
		t.Errorf("source partitions %v", counts)
	}
	if counts := topology.SourcePartitions(top.Canonical(topology.Partitions{})); len(counts) > 0 {
		t.Errorf("source partitions %v that are not known", counts)
	}
	for _, bad := range []string{"", "no JSON"} {
		if stores, ok := topology.LoggedStores([]byte(bad)); ok || stores != nil {
			t.Errorf("logged stores of %q: %v, %v", bad, stores, ok)
		}
		if counts := topology.SourcePartitions([]byte(bad)); counts != nil {
			t.Errorf("source partitions of %q: %v", bad, counts)
		}
	}
}

func TestOrphaned(t *testing.T) {
	t.Parallel()
	was := canonical(t, "windows", time.Minute).Canonical(topology.Partitions{})
	for _, tc := range []struct {
		now  *topology.Topology
		want []string
	}{
		{canonical(t, "windows", time.Minute), nil},
		{canonical(t, "renamed", time.Minute), []string{"windows"}},
		{canonical(t, "windows", time.Hour), []string{"windows"}},
	} {
		tc.now.Stores = tc.now.Stores[:2] // what has no changelog has nothing to lose
		if got := tc.now.Orphaned(was); !slices.Equal(got, tc.want) {
			t.Errorf("orphaned %v, want %v", got, tc.want)
		}
	}
	if got := canonical(t, "windows", time.Minute).Orphaned([]byte("no JSON")); got != nil {
		t.Errorf("orphaned %v", got)
	}
}
