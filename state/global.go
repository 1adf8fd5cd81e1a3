package state

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state/internal/layer"
)

// Global is the store of a global table: all partitions of its topic, in every instance, typed. It lives in memory and is
// filled from the topic at every start, with its records, or by a processor of the user's with what that makes of them; a table that does not fit in memory does not belong in a global table yet.
//
// Get, Len and Bytes are safe for use by several goroutines, beside one that calls Apply, Put and Delete.
type Global[K, V any] struct {
	name   string
	ks     serde.Serde[K]
	vs     serde.Serde[V]
	copied bool // vs may alias what it decodes
	bufs   sync.Pool
	shards [globalShards]globalShard[V]
}

// globalShards keep readers apart: what Get pays is mostly the lock's cache line.
const globalShards = 64

type globalShard[V any] struct {
	mu struct {
		sync.RWMutex
		table layer.Table[globalValue[V]]
	}
	_ [64]byte // readers of neighbours write the lock
}

type globalValue[V any] struct {
	v  V
	ts int64
}

func newGlobal[K, V any](name string, ks serde.Serde[K], vs serde.Serde[V]) *Global[K, V] {
	g := &Global[K, V]{name: name, ks: ks, vs: vs}
	if a, ok := vs.(serde.Aliaser); ok {
		g.copied = a.DecodeAliases()
	}
	g.bufs.New = func() any { return new([]byte) }
	return g
}

func (g *Global[K, V]) shard(hash uint64) *globalShard[V] { return &g.shards[hash%globalShards] }

// Get returns the value of key and the event time of its record, and whether there is one. The value is shared by all that
// ask for it and is never to be changed.
func (g *Global[K, V]) Get(key K) (v V, timestamp int64, ok bool, err error) {
	buf := g.bufs.Get().(*[]byte)
	defer g.bufs.Put(buf)
	b, err := g.ks.Append((*buf)[:0], key)
	if err != nil {
		return v, -1, false, fmt.Errorf("store %s: encode key: %w", g.name, err)
	}
	*buf = b
	hash := layer.Hash(b)
	s := g.shard(hash)
	s.mu.RLock()
	defer s.mu.RUnlock()
	slot, ok := s.mu.table.Peek(hash, b)
	if !ok {
		return v, -1, false, nil
	}
	e := s.mu.table.At(slot)
	return e.v, e.ts, true, nil
}

// Len returns the number of keys.
func (g *Global[K, V]) Len() int {
	n := 0
	for i := range g.shards {
		s := &g.shards[i]
		s.mu.RLock()
		n += s.mu.table.Len()
		s.mu.RUnlock()
	}
	return n
}

// Apply implements GlobalLayer: it takes one record of the table's topic; a nil value deletes. An error is one of the
// value's serde, and leaves the table as it was.
func (g *Global[K, V]) Apply(key, value []byte, timestamp int64) error {
	var e globalValue[V]
	if value != nil {
		if g.copied {
			value = bytes.Clone(value)
		}
		v, err := g.vs.Decode(value)
		if err != nil {
			return fmt.Errorf("store %s: value of key %x: %w", g.name, key, err)
		}
		e = globalValue[V]{v, timestamp}
	}
	hash := layer.Hash(key)
	s := g.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	slot, ok := s.mu.table.Peek(hash, key)
	switch {
	case value == nil && ok:
		s.mu.table.Remove(slot)
	case value == nil:
	default:
		if !ok {
			slot = s.mu.table.Insert(hash, key)
		}
		*s.mu.table.At(slot) = e
	}
	return nil
}

// Put stores a copy of v under key, with the event time of the record that it comes of. It is for the processor of a global store, and is called
// by its goroutine alone; readers see the row before or the new one.
func (g *Global[K, V]) Put(key K, v V, timestamp int64) error {
	k, err := g.ks.Append(nil, key)
	if err != nil {
		return fmt.Errorf("store %s: encode key: %w", g.name, err)
	}
	b, err := g.vs.Append([]byte{}, v)
	if err != nil {
		return fmt.Errorf("store %s: encode value of key %x: %w", g.name, k, err)
	}
	return g.Apply(k, b, timestamp)
}

// Delete removes key, as Put stores it.
func (g *Global[K, V]) Delete(key K) error {
	k, err := g.ks.Append(nil, key)
	if err != nil {
		return fmt.Errorf("store %s: encode key: %w", g.name, err)
	}
	return g.Apply(k, nil, 0)
}

// Flush implements Layer; there is nothing to flush.
func (g *Global[K, V]) Flush() error { return nil }

// Commit implements Layer; there is nothing to commit.
func (g *Global[K, V]) Commit(int64) error { return nil }

// Drop implements Layer; what was applied stays, since it is committed input.
func (g *Global[K, V]) Drop() {}

// Dirty implements Layer.
func (g *Global[K, V]) Dirty() bool { return false }

// Bytes implements Layer.
func (g *Global[K, V]) Bytes() (dirty, cached int64) {
	for i := range g.shards {
		s := &g.shards[i]
		s.mu.RLock()
		cached += s.mu.table.Bytes()
		s.mu.RUnlock()
	}
	return 0, cached
}
