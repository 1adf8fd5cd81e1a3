// Package layer holds the memory structures that the layers of a store are made of: tables from encoded keys to entries that
// give the garbage collector nothing to scan, an order over them, or groups of those that differ in time alone, and the log of what is yet to
// be applied.
//
// Nothing here locks, does I/O or reads a clock. Orders of iteration never depend on hashes, which differ from run to run.
package layer
