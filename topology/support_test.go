package topology_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// golden compares got with testdata/name.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

// text is a serde of strings. Decoding "bad" fails, encoding "unencodable" does.
type text struct{}

var (
	errBad         = errors.New("bad bytes")
	errUnencodable = errors.New("unencodable")
)

func (text) Append(dst []byte, v string) ([]byte, error) {
	if v == "unencodable" {
		return dst, errUnencodable
	}
	return append(dst, v...), nil
}

func (text) Decode(src []byte) (string, error) {
	if string(src) == "bad" {
		return "", errBad
	}
	return string(src), nil
}

// blob is a serde of bytes, whose values can be nil.
type blob struct{}

func (blob) Append(dst []byte, v []byte) ([]byte, error) { return append(dst, v...), nil }
func (blob) Decode(src []byte) ([]byte, error)           { return append([]byte{}, src...), nil }

// strand is a node of strings by hand, for topologies that are described and never run.
func strand(name string, stores ...string) *topology.Node {
	return &topology.Node{
		Name:   name,
		Kind:   topology.KindProcessor,
		In:     []topology.Edge{topology.EdgeOf[string, string]()},
		Out:    topology.EdgeOf[string, string](),
		Stores: stores,
		Fan:    topology.Fan[string, string],
		Build:  func(topology.Scope, any) (topology.Instance, error) { return topology.Instance{}, nil },
	}
}

// plan builds a topology from lines, each one node with its parents:
//
//	source NAME TOPIC[,TOPIC]
//	node NAME [STORE,STORE] < PARENT PARENT
//	sink NAME TOPIC < PARENT
//	repartition NAME [PARTITIONS]
//	store NAME · window NAME SIZE RETENTION · global NAME SOURCE TOPIC STORE · together TOPIC TOPIC
func plan(t *testing.T, script string) *topology.Topology {
	t.Helper()
	top, err := tryPlan(t, script)
	if err != nil {
		t.Fatal(err)
	}
	return top
}

func tryPlan(t *testing.T, script string) (*topology.Topology, error) {
	t.Helper()
	top := &topology.Topology{}
	b := topology.NewBuilder()
	ids := map[string]topology.NodeID{}
	add := func(n *topology.Node) { ids[n.Name] = b.Add(n); top.Nodes = append(top.Nodes, n) }
	for line := range strings.Lines(script) {
		line, parents, _ := strings.Cut(strings.TrimSpace(line), "<")
		w := append(strings.Fields(line), "", "", "", "")
		switch w[0] {
		case "source":
			add(topology.NewSource(w[1], strings.Split(w[2], ","), text{}, text{}))
		case "node":
			var stores []string
			if w[2] != "" {
				stores = strings.Split(w[2], ",")
			}
			add(strand(w[1], stores...))
		case "sink":
			add(topology.NewSink(w[1], w[2], text{}, text{}))
		case "repartition":
			r := topology.RepartitionTopic{Name: w[1]}
			if w[2] != "" {
				r.Partitions = int32(w[2][0] - '0')
			}
			top.Repartition = append(top.Repartition, r)
		case "store":
			top.Stores = append(top.Stores, state.KeyValueSpec(w[1], text{}, text{}))
		case "window":
			size, err1 := time.ParseDuration(w[2])
			retention, err2 := time.ParseDuration(w[3])
			if err1 != nil || err2 != nil {
				t.Fatal(err1, err2)
			}
			top.Stores = append(top.Stores, state.WindowSpec(w[1], text{}, text{}, size, retention))
		case "global":
			top.Globals = append(top.Globals, topology.GlobalTable{Name: w[1], Source: w[2], Topic: w[3], Store: w[4], After: len(top.Nodes)})
			top.Stores = append(top.Stores, state.GlobalSpec(w[4], text{}, text{}))
		case "together":
			top.Copartitioned = append(top.Copartitioned, strings.Fields(line)[1:])
		}
		for p := range strings.FieldsSeq(parents) {
			b.Connect(ids[p], ids[w[1]], 0)
		}
	}
	return top, top.Validate()
}
