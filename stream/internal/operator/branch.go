package operator

import "github.com/millrace-io/millrace/topology"

// Branches are the predicates of a split, in the order of its children. The DSL adds to them until the topology is built.
type Branches[K, V any] struct {
	Predicates []func(K, V) bool
	Default    int // index of the default branch among the children, -1 if there is none
}

// Split hands each record to the first child whose predicate holds, else to the default branch, else to none (D-27). A null
// value that V cannot hold goes to the default branch unasked, and is dropped if there is none.
//
// It emits through its own Fan: the choice among children is the operator. A task does not fan out to one child, so a split
// with one branch chooses in the node itself.
func Split[K, V any](name string, branches *Branches[K, V]) *topology.Node {
	n := stateless(name, func(e env, down topology.Emit[K, V]) topology.Emit[K, V] {
		sees := nilable[V]()
		if branches.count() == 1 {
			only := down
			down = func(r topology.Record[K, V]) {
				if branches.choose(&r, sees) >= 0 {
					only(r)
				}
			}
		}
		if sees || branches.Default >= 0 {
			return down
		}
		return func(r topology.Record[K, V]) {
			if !r.HasValue() {
				e.drop(topology.ReasonNullValue)
				return
			}
			down(r)
		}
	})
	n.Fan = branches.fan
	return n
}

// count returns how many children the split has.
func (b *Branches[K, V]) count() int {
	if b.Default < 0 {
		return len(b.Predicates)
	}
	return len(b.Predicates) + 1
}

func (b *Branches[K, V]) fan(children []any) any {
	emits := make([]topology.Emit[K, V], len(children))
	for i, c := range children {
		emits[i] = topology.EmitOf[K, V](c)
	}
	if len(emits) == 1 {
		return emits[0] // the node itself chooses
	}
	sees := nilable[V]()
	return topology.Emit[K, V](func(r topology.Record[K, V]) {
		if to := b.choose(&r, sees); to >= 0 {
			emits[to](r)
		}
	})
}

// choose returns the index of the child that takes r, -1 for none.
func (b *Branches[K, V]) choose(r *topology.Record[K, V], sees bool) int {
	if sees || r.HasValue() {
		for i, p := range b.Predicates {
			if p(r.Key, r.Value) {
				return i
			}
		}
	}
	return b.Default
}
