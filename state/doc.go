// Package state holds the stores of a stream processing task: their contracts, the typed façade that operators use, and
// the transaction layer over bytes.
package state
