// Package memstore is the engine in memory: a sorted map of bytes, for the test driver and for tests. Nothing in it is
// durable; what the test driver's topology needs again is in its changelogs.
package memstore

import (
	"bytes"
	"sync"

	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/state/internal/layer"
)

// Engine is a state.Engine in memory. It is safe for use by several goroutines.
type Engine struct {
	mu struct {
		sync.Mutex
		m      layer.Map
		closed bool
	}
}

var _ state.Engine = (*Engine)(nil)

// New returns an empty engine.
func New() *Engine { return &Engine{} }

// Get implements state.Engine.
func (e *Engine) Get(dst, key []byte) ([]byte, bool, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.mu.closed {
		return dst, false, state.ErrClosed
	}
	x, ok := e.mu.m.Get(layer.Hash(key), key)
	return append(dst, x.Value...), ok, nil
}

// Apply implements state.Engine.
func (e *Engine) Apply(b *state.Batch) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.mu.closed {
		return state.ErrClosed
	}
	// A batch that fails must leave nothing behind; only making it can fail, so it is read first. Operations stand in the log where
	// hashes stand otherwise.
	var log layer.Log
	err := b.Each(func(op state.Op, x, y []byte) error {
		log.Put(uint64(op), x, y, nil)
		return nil
	})
	if err != nil {
		return err
	}
	log.All(func(r layer.Record) {
		switch state.Op(r.Hash) {
		case state.OpSet:
			e.mu.m.Put(layer.Hash(r.Key), r.Key, r.Value)
		case state.OpDelete:
			if x, ok := e.mu.m.Get(layer.Hash(r.Key), r.Key); ok {
				e.mu.m.Remove(x.Slot)
			}
		case state.OpDeleteRange:
			e.deleteRangeLocked(r.Key, r.Value)
		}
	})
	return nil
}

func (e *Engine) deleteRangeLocked(lo, hi []byte) {
	c := e.mu.m.Scan(lo, hi, false)
	for {
		_, x, ok := c.Next()
		if !ok {
			return
		}
		e.mu.m.Remove(x.Slot)
	}
}

// Sync implements state.Engine; there is nothing that could be made durable.
func (e *Engine) Sync() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.mu.closed {
		return state.ErrClosed
	}
	return nil
}

// Close implements state.Engine.
func (e *Engine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.mu.closed {
		return state.ErrClosed
	}
	e.mu.closed = true
	e.mu.m = layer.Map{}
	return nil
}

// Scan implements state.Engine. The cursor sees each entry as it is when it gets there.
func (e *Engine) Scan(lo, hi []byte, reverse bool) state.Cursor {
	e.mu.Lock()
	defer e.mu.Unlock()
	return &cursor{e: e, c: e.mu.m.Scan(bytes.Clone(lo), bytes.Clone(hi), reverse)}
}

type cursor struct {
	e        *Engine
	c        *layer.Cursor
	key, val []byte
	err      error
}

func (c *cursor) Next() bool {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	if c.e.mu.closed {
		c.err = state.ErrClosed
		return false
	}
	key, x, ok := c.c.Next()
	c.key, c.val = append(c.key[:0], key...), append(c.val[:0], x.Value...)
	return ok
}

func (c *cursor) Key() []byte   { return c.key }
func (c *cursor) Value() []byte { return c.val }
func (c *cursor) Err() error    { return c.err }
func (c *cursor) Close() error  { return nil }
