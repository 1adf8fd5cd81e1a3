package pebblestore

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/millrace-io/millrace/state"
)

// cursor is a state.Cursor. It sees the state as of its making.
type cursor struct {
	e       *Engine
	it      *pebble.Iterator
	reverse bool
	started bool
	err     error
}

// Scan implements state.Engine.
func (e *Engine) Scan(lo, hi []byte, reverse bool) state.Cursor {
	c := &cursor{e: e, reverse: reverse}
	if c.err = e.enter(); c.err != nil {
		return c
	}
	defer e.leave()
	defer e.guard.recover(&c.err)
	it, err := e.db.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	if err != nil {
		c.err = fmt.Errorf("scan state: %w", e.guard.wrap(err))
		return c
	}
	c.it = it
	return c
}

// Next implements state.Cursor.
func (c *cursor) Next() (ok bool) {
	if c.err != nil || c.it == nil {
		return false
	}
	if c.err = c.e.enter(); c.err != nil {
		return false
	}
	defer c.e.leave()
	defer c.e.guard.recover(&c.err)
	switch {
	case c.started && c.reverse:
		ok = c.it.Prev()
	case c.started:
		ok = c.it.Next()
	case c.reverse:
		ok = c.it.Last()
	default:
		ok = c.it.First()
	}
	c.started = true
	if err := c.it.Error(); err != nil {
		c.err = fmt.Errorf("scan state: %w", c.e.guard.wrap(err))
		return false
	}
	return ok
}

// Key implements state.Cursor.
func (c *cursor) Key() []byte { return c.it.Key() }

// Value implements state.Cursor.
func (c *cursor) Value() []byte { return c.it.Value() }

// Err implements state.Cursor.
func (c *cursor) Err() error { return c.err }

// Close implements state.Cursor.
func (c *cursor) Close() (err error) {
	it := c.it
	if it == nil {
		return nil
	}
	c.it = nil
	if c.e.enter() != nil {
		return nil // the engine is gone, and the iterator with it
	}
	defer c.e.leave()
	defer c.e.guard.recover(&err)
	if err := it.Close(); err != nil && c.err == nil {
		return errors.Join(errors.New("scan state"), c.e.guard.wrap(err))
	}
	return nil
}
