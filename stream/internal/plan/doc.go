// Package plan is the logical plan of a stream program: the nodes that the DSL made, in the order it made them, and the
// rewrites that turn them into a topology.
//
// A plan node is a topology node whose code is already typed, plus its parents. A repartition is one logical node, since
// rewrites move and merge repartitions as a whole; it is lowered to filter, sink and source last (DESIGN D2).
//
// Invariants:
//
//   - N1: names are unique, and the ten-digit counter in generated names counts as Kafka Streams' does.
//   - N2: a node comes after its parents.
//   - N3: an edge joins equal types: the parent's Out is the child's In at that port. Checked after each rewrite.
//
// Everything here is a function of what the DSL called: no clock, no I/O, no map order. A plan belongs to one goroutine.
package plan
