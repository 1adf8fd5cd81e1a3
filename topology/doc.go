// Package topology is the description of what to run: nodes joined by typed edges, the stores they use and the topics that
// they read and write. The DSL in package stream makes topologies; a [Builder] makes them by hand, with the Processor
// API. Packages runtime and runtime/topologytest run them.
//
// The nouns are Kafka Streams': a source reads topics, a [Processor] takes and forwards records, a sink writes a topic. Nodes
// that are connected by edges or by a shared store form a [Subtopology], which runs in one task per partition; a repartition
// topic cuts. A [TaskID] such as 0_3 names sub-topology and partition.
//
//	b := topology.NewBuilder()
//	orders := topology.AddSource(b, "orders", "orders", serde.String, orderSerde) // Output[string, Order]
//	priced := topology.AddProcessor(b, "price", newPricer, orders)                // newPricer's processor must take string, Order
//	topology.AddSink(b, "out", "priced", serde.String, pricedSerde, priced)
//	t, err := b.Build()
//
// # Types
//
// Edges are typed: records travel as Record[K, V] by value from one [Emit] to the next, one function call per node. Types are
// erased in two function fields of a [Node], Build and Fan, and nowhere else (DESIGN D2).
//
// # Invariants
//
//   - N1: two nodes are joined only where their edges are equal. The compiler sees to it for a Builder's handles; Validate
//     checks it for every topology, whoever made it.
//   - N2: what Describe prints is fixed by the program alone: the same calls give the same text. Names of stores, changelogs
//     and repartition topics are state; that they stay is what a golden file of the description is for (DESIGN D10).
//   - N3: everything computed from a topology (sub-topologies, partition counts, internal topics) is a pure function.
//   - N4: null is a property of a record, not of its types; a sink writes it as null and nothing decodes it (DESIGN D3).
//
// # Concurrency
//
// A Topology is data and is not changed once it is built; it may be read by several goroutines. A Builder belongs to one. What
// Build makes for a task belongs to the goroutine that runs the task, and so do [Context] and [Scope].
//
// # Left out
//
// Sources over a pattern of topics (P-01), processors with a fixed key (P-10; the DSL has them), read-only protection of global stores against their readers (P-24).
package topology
