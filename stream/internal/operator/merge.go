package operator

import "github.com/millrace-io/millrace/topology"

// Pass passes records on as they are: what two streams merge into (D-26), and the head of a branch.
func Pass[K, V any](name string) *topology.Node {
	return stateless(name, func(_ env, down topology.Emit[K, V]) topology.Emit[K, V] { return down })
}
