// Package stream is the DSL: a typed program of streams and tables that becomes a topology.
//
// A [Builder] collects what the operators make. A [KStream] is a stream of records, a [KTable] a table that changes, a
// [GlobalKTable] a table of which every instance holds all partitions. They keep Kafka Streams' names and meaning, as do the
// operators, their timestamps, their null rules, the names of stores and internal topics, and the formats of what is written.
//
// An operator that keeps the types of its stream is a method; one that brings a new type is a function with the stream
// first, since Go's methods cannot have type parameters of their own:
//
//	b := stream.NewBuilder()
//	lines := stream.From(b, "lines", serde.String, serde.String)
//	words := stream.FlatMapValues(lines, func(line string, emit func(string)) {
//		for _, w := range strings.Fields(line) {
//			emit(w)
//		}
//	})
//	counts := stream.GroupBy(words, func(_, word string) string { return word }, stream.GroupedWith(serde.String, serde.String)).
//		Count(stream.Materialized("counts", serde.Int64))
//	counts.ToStream().To("word-counts", serde.String, serde.Int64)
//	topology, err := b.Topology()
//
// # Null
//
// A key or value may be null. A type that can hold nil (a pointer, slice, map or interface; see serde.Nullable) shows it to
// functions as nil, exactly as Kafka Streams does. For the other types a null key reaches functions as the zero value, and a
// null value never reaches one: MapValues, FlatMapValues, Filter, FilterNot and Peek pass it on; Map, SelectKey, FlatMap,
// GroupBy, Foreach and the key function of a global join drop and count the record, since nothing can be computed; a split
// sends it to the default branch, else drops and counts it. Aggregations without windows and joins drop records with a null
// value; a windowed count counts them, a windowed aggregate or reduce drops them unless the type can hold nil. A null key
// is never grouped or stored. A function that returns nil for a type that can hold it makes a null.
//
// A row of a table is never null: null is its absence. So functions of rows are not called for deletes, a function that returns nil
// for a type that can hold it makes a delete, and the other side of an outer join is a serde.Maybe.
//
// # Tables
//
// A table passes on changes of rows. One that has a store holds them back and passes on the last of each key with the commit;
// [Uncached], or [Store.Uncached] for one operator, makes it pass on each. The final rows are the same, but see [JoinTables]. Tables have stores only where
// one is asked for or needed, see [KTable]. Old rows flow between tables only where an operator below needs them, to take them out
// of a group or to answer for a foreign key.
//
// # Functions
//
// Functions run in the goroutine of their task and must be deterministic: after a crash they may run again. Side effects
// outside the log are outside every guarantee. The same function serves all tasks of an instance, at the same time: it keeps no state.
// A function must not change the key or value it is given, with one exception: an aggregator may change the aggregate that
// it is given and return it.
//
// # Faults
//
// Faults of a program (names used twice, a missing serde, windows without size) are collected and returned by
// [Builder.Topology], all at once, each naming its node, the line of the program that made it, and what to do.
//
// # Not there yet
//
// Windows of the user's own kind. PARITY.md goes through Kafka Streams row by row.
package stream
