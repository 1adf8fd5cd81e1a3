package state

import "github.com/millrace-io/millrace/serde"

// Global is the store of a global table: all partitions of its topic, in every instance, typed. It lives in memory and is
// filled from the topic at every start; a table that does not fit in memory does not belong in a global table yet.
//
// Get, Len and Bytes are safe for use by several goroutines, beside one that calls Apply.
type Global[K, V any] struct{}

func newGlobal[K, V any](s *Spec, ks serde.Serde[K], vs serde.Serde[V]) *Global[K, V] { panic("") }

// Get returns the value of key and the event time of its record. The value is shared by all that ask for it and is never
// to be changed.
func (g *Global[K, V]) Get(key K) (v V, timestamp int64, ok bool, err error) { panic("") }

// Len returns the number of keys.
func (g *Global[K, V]) Len() int { panic("") }

// Apply implements GlobalLayer: it takes one record of the table's topic; a nil value deletes. An error is one of
// the serdes, and the table is as before.
func (g *Global[K, V]) Apply(key, value []byte, timestamp int64) error { panic("") }

// Flush implements Layer; there is nothing to flush.
func (g *Global[K, V]) Flush() error { return nil }

// Commit implements Layer; there is nothing to commit.
func (g *Global[K, V]) Commit(int64) error { return nil }

// Drop implements Layer; what was applied stays, since it is committed input.
func (g *Global[K, V]) Drop() {}

// Dirty implements Layer.
func (g *Global[K, V]) Dirty() bool { return false }

// Bytes implements Layer.
func (g *Global[K, V]) Bytes() (dirty, cached int64) { panic("") }
