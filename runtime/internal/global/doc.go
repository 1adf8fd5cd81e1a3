// Package global keeps the global tables of an instance: every partition of their topics, in every instance.
//
// Load reads each table to the end of its topic before the first task runs; Follow then applies what is added, in one
// goroutine, beside the tasks, which read the tables' stores concurrently.
//
// Invariants:
//
//	L1  Load reads committed data up to the high watermark: a transaction that committed before the start is in the
//	    table, even if the log has not moved its last stable offset past it yet.
//	L2  records of one partition are applied in the order of their offsets.
//
// A table's topic is its changelog: nothing is committed, and every start reads it from the beginning. Where a processor of the user's fills the
// store, every start runs all records through it again.
package global
