package stream

import (
	"strconv"

	"github.com/millrace-io/millrace/stream/internal/operator"
	"github.com/millrace-io/millrace/stream/internal/plan"
)

// Branches is a stream that is being split. It stands for Kafka Streams' BranchedKStream.
type Branches[K, V any] struct {
	from     KStream[K, V]
	node     *plan.Node
	branches *operator.Branches[K, V]
	count    int // of branches so far, the default included
}

// Split hands each record to the first of several branches that wants it:
//
//	split := payments.Split()
//	large := split.Branch(isLarge)
//	rest := split.Default()
//
// A record that no branch wants goes to the default branch; without one it ends here.
func (s KStream[K, V]) Split(opts ...StepOption) *Branches[K, V] {
	name := s.b.step(plan.Branch, opts)
	branches := &operator.Branches[K, V]{Default: -1}
	return &Branches[K, V]{from: s, node: s.b.plan.Add(operator.Split(name, branches), s.node).Keeps(), branches: branches}
}

// Branch returns the stream of the records for which p is the first predicate to return true, predicates being asked in
// the order of the calls. Named names the branch: the split's name is put in front; without it the branch has its number.
func (b *Branches[K, V]) Branch(p func(key K, value V) bool, opts ...StepOption) KStream[K, V] {
	name := b.name(strconv.Itoa(b.count+1), opts)
	b.from.b.require(name, p != nil, "the predicate is nil")
	b.from.b.require(name, b.branches.Default < 0, "Branch is called after Default: call Default last")
	b.branches.Predicates = append(b.branches.Predicates, p)
	return b.add(name)
}

// Default returns the stream of the records that no branch wanted. It is called once, last.
func (b *Branches[K, V]) Default(opts ...StepOption) KStream[K, V] {
	name := b.name("0", opts)
	b.from.b.require(name, b.branches.Default < 0, "Default is called twice: use its stream twice instead")
	b.branches.Default = b.count
	return b.add(name)
}

func (b *Branches[K, V]) add(name string) KStream[K, V] {
	b.count++
	out := b.from
	out.node = b.from.b.plan.Add(operator.Pass[K, V](name), b.node).Keeps()
	return out
}

// name returns the name of a branch: that of the split, and behind it the branch's own or its position. It burns a number.
func (b *Branches[K, V]) name(position string, opts []StepOption) string {
	var c stepConfig
	for _, o := range opts {
		o.step(&c)
	}
	if given := c.take(b.from.b); given != "" {
		position = given
	}
	return b.from.b.plan.Name(b.node.Name+position, plan.Branch)
}
