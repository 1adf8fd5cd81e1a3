package topology

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millrace-io/millrace/state"
)

// canonicalFormat is the version of the canonical form; fields are only added.
const canonicalFormat = 1

// canonicalForm is everything that names, types and sizes fix in a topology (DESIGN D10). Its JSON has a fixed order.
type canonicalForm struct {
	Format        int                    `json:"format"`
	Subtopologies []canonicalSubtopology `json:"subtopologies"`
	Globals       []canonicalGlobal      `json:"globals,omitempty"`
	Stores        []canonicalStore       `json:"stores,omitempty"`
	Repartition   []canonicalTopic       `json:"repartition,omitempty"`
	Sources       []canonicalTopic       `json:"sources,omitempty"`
}

type canonicalSubtopology struct {
	Number int32           `json:"number"`
	Tasks  int32           `json:"tasks,omitempty"`
	Nodes  []canonicalNode `json:"nodes"`
}

type canonicalNode struct {
	Name    string   `json:"name"`
	Parents []string `json:"parents,omitempty"`
	Out     string   `json:"out,omitempty"` // type of its records
	Stores  []string `json:"stores,omitempty"`
	Topics  []string `json:"topics,omitempty"`
}

type canonicalGlobal struct {
	Name  string `json:"name"`
	Topic string `json:"topic"`
	Store string `json:"store"`
}

type canonicalStore struct {
	Name      string `json:"name"`
	Kind      string `json:"kind"`
	Key       string `json:"key,omitempty"` // serdes
	Value     string `json:"value,omitempty"`
	Logged    bool   `json:"logged"`
	Source    string `json:"source,omitempty"` // topic that stands for the changelog
	Retention int64  `json:"retention_ms,omitempty"`
	Window    int64  `json:"window_ms,omitempty"`
}

type canonicalTopic struct {
	Name       string `json:"name"`
	Partitions int32  `json:"partitions,omitempty"`
}

// Canonical returns the canonical form of t as JSON: sub-topologies, nodes with the types of their records, stores with their serdes
// and sizes, topics. Equal topologies give equal bytes. Partition counts are in it as far as p has them. Topics are named as nodes hold
// them, without an application id.
func (t *Topology) Canonical(p Partitions) []byte {
	form := canonicalForm{Format: canonicalFormat}
	for _, sub := range t.Subtopologies() {
		form.Subtopologies = append(form.Subtopologies, t.canonicalSub(sub, p))
	}
	for _, g := range t.Globals {
		form.Globals = append(form.Globals, canonicalGlobal{g.Name, g.Topic, g.Store})
	}
	for _, s := range t.Stores {
		form.Stores = append(form.Stores, canonicalStore{
			Name: s.Name, Kind: s.Kind.String(), Key: s.KeySerde, Value: s.ValueSerde, Logged: s.Logging, Source: s.SourceTopic,
			Retention: s.Retention.Milliseconds(), Window: s.WindowSize.Milliseconds(),
		})
	}
	slices.SortFunc(form.Stores, func(a, b canonicalStore) int { return strings.Compare(a.Name, b.Name) })
	for _, r := range t.Repartition {
		form.Repartition = append(form.Repartition, canonicalTopic{r.Topic(), p.Topics[r.Topic()]})
	}
	for _, name := range t.UserTopics() {
		form.Sources = append(form.Sources, canonicalTopic{name, p.Topics[name]})
	}
	b, err := json.MarshalIndent(form, "", " ")
	if err != nil {
		panic(fmt.Sprintf("topology: canonical form: %v", err)) // there is nothing in it that JSON does not know
	}
	return b
}

func (t *Topology) canonicalSub(sub Subtopology, p Partitions) canonicalSubtopology {
	c := canonicalSubtopology{Number: sub.Number, Tasks: p.Tasks[sub.Number]}
	for _, id := range sub.Nodes {
		n := t.Nodes[id]
		node := canonicalNode{Name: n.Name, Stores: n.Stores, Topics: n.Topics}
		for _, parent := range n.Parents {
			node.Parents = append(node.Parents, t.Nodes[parent].Name)
		}
		if n.Out != (Edge{}) {
			node.Out = n.Out.String()
		}
		if n.Kind == KindSink {
			node.Topics = []string{n.Topic}
		}
		c.Nodes = append(c.Nodes, node)
	}
	return c
}

// LoggedStores returns the stores of a canonical form that have a changelog topic of their own, and false for a form that it cannot read.
func LoggedStores(form []byte) (stores []string, ok bool) {
	var was canonicalForm
	if json.Unmarshal(form, &was) != nil {
		return nil, false
	}
	for _, s := range was.Stores {
		if s.Logged && s.Source == "" {
			stores = append(stores, s.Name)
		}
	}
	return stores, true
}

// SourcePartitions returns the partition counts of the user topics in a canonical form, as far as it has them; nil for a form that it
// cannot read.
func SourcePartitions(form []byte) map[string]int32 {
	var was canonicalForm
	if json.Unmarshal(form, &was) != nil {
		return nil
	}
	counts := make(map[string]int32)
	for _, s := range was.Sources {
		if s.Partitions > 0 {
			counts[s.Name] = s.Partitions
		}
	}
	return counts
}

// Orphaned returns the logged stores of an earlier canonical form that t does not have any more, or has in another kind or size: their
// state would not be used. It returns nothing for a form that it cannot read.
func (t *Topology) Orphaned(earlier []byte) (stores []string) {
	var was canonicalForm
	if json.Unmarshal(earlier, &was) != nil {
		return nil
	}
	for _, s := range was.Stores {
		same := func(now *state.Spec) bool {
			return now.Name == s.Name && now.Kind.String() == s.Kind && now.Logging == s.Logged &&
				now.WindowSize == time.Duration(s.Window)*time.Millisecond
		}
		if s.Logged && !slices.ContainsFunc(t.Stores, same) {
			stores = append(stores, s.Name)
		}
	}
	return stores
}
