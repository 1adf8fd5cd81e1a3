package topology

import (
	"fmt"
	"slices"
	"time"

	"github.com/millrace-io/millrace/state"
)

// Context is what a Processor reaches its task through. It is valid from Init to Close, in the goroutine that calls the
// processor's methods, and nowhere else.
type Context[K, V any] struct {
	scope Scope
	node  *Node
	down  Emit[K, V]

	children map[string]Emit[K, V] // that ForwardTo has found
}

// NewContext returns the context of user code that a node runs and whose results it sends on itself: Forward goes nowhere.
func NewContext[K, V any](scope Scope, node *Node) *Context[K, V] {
	return &Context[K, V]{scope: scope, node: node, down: func(Record[K, V]) {}}
}

// Forward sends r to every child in the order they were attached, and returns when all that follows has run (P-05, P-06).
func (c *Context[K, V]) Forward(r Record[K, V]) { c.down(r) }

// ForwardTo sends r to the one child of that name (P-07). It is an error if there is none, or one that takes r on several inputs.
func (c *Context[K, V]) ForwardTo(child string, r Record[K, V]) error {
	emit, ok := c.children[child]
	if !ok {
		port, found := c.scope.Child(c.node.ID, child)
		if emit, ok = port.(Emit[K, V]); !found || !ok {
			return fmt.Errorf("node %s has no child %s to forward to", c.node.Name, child)
		}
		if c.children == nil {
			c.children = map[string]Emit[K, V]{}
		}
		c.children[child] = emit
	}
	emit(r)
	return nil
}

// Metadata returns where the record that is being processed came from. Inside a punctuation and a flush there is no such
// record: Topic is empty, Partition and Offset are -1 (P-12).
func (c *Context[K, V]) Metadata() Coordinates { return c.scope.Source() }

// StreamTime returns the highest event time that the task has taken so far, in milliseconds since the epoch; -1 before the
// first record.
func (c *Context[K, V]) StreamTime() int64 { return c.scope.StreamTime() }

// CurrentTime returns the wall clock in milliseconds since the epoch, as read once for the current round (P-14).
func (c *Context[K, V]) CurrentTime() int64 { return c.scope.Now() }

// RequestCommit asks for a commit soon. It is not done at once (P-15).
func (c *Context[K, V]) RequestCommit() { c.scope.RequestCommit() }

// Drop counts and logs the record that is being processed as left out by this processor. detail may be nil.
func (c *Context[K, V]) Drop(reason Reason, detail error) { c.scope.Drop(c.node.ID, reason, detail) }

// PunctuationType says which clock drives a punctuation.
type PunctuationType uint8

// The types of punctuation.
const (
	// PunctuateStreamTime fires when stream time reaches the next multiple of the interval; it first fires as soon as
	// stream time is known (P-16), and not while the input is idle (P-22).
	PunctuateStreamTime PunctuationType = iota
	// PunctuateWallClock fires every interval of wall-clock time, first one interval after it was scheduled (P-17).
	PunctuateWallClock
)

// Schedule calls f at every interval, of at least a millisecond. f is given the current stream time or wall clock in
// milliseconds; intervals that were missed are collapsed into one call. An error of f goes to the processing handler
// (P-21), and so does a panic. cancel ends the schedule, also from within f (P-19).
//
// An interval below a millisecond is an error, which goes to the processing handler as well.
func (c *Context[K, V]) Schedule(interval time.Duration, kind PunctuationType, f func(now int64) error) (cancel func()) {
	if interval < time.Millisecond {
		_ = c.scope.Fail(c.node.ID, fmt.Errorf("schedule: interval %v is below 1ms", interval))
		return func() {}
	}
	return c.scope.Schedule(interval.Milliseconds(), kind == PunctuateWallClock, func(now int64) error {
		if err := guardedCall(func() error { return f(now) }); err != nil {
			return c.scope.Fail(c.node.ID, err)
		}
		return nil
	})
}

// guardedCall calls f; a panic is an error.
func guardedCall(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = caught(v)
		}
	}()
	return f()
}

// access is the untyped side of Context that Store.In needs.
func (c *Context[K, V]) access() (Scope, *Node) { return c.scope, c.node }

// Store is a typed handle of a store: S is the type of the layer that its spec opens, such as *state.KeyValue[string, int64].
type Store[S state.Layer] struct {
	spec *state.Spec
}

// Name returns the store's name.
func (h Store[S]) Name() string { return h.spec.Name }

func (h Store[S]) storeSpec() *state.Spec { return h.spec }

// StoreContext is implemented by every Context.
type StoreContext interface{ access() (Scope, *Node) }

// In returns the store of the task that ctx belongs to. Call it once, in Init.
//
// It is an error if the store is not connected to the processor, naming both, or if the spec opens another type. The store of
// a global table needs no connection (P-24).
func (h Store[S]) In(ctx StoreContext) (S, error) {
	var zero S
	scope, node := ctx.access()
	if h.spec.Kind != state.KindGlobal && !slices.Contains(node.Stores, h.spec.Name) {
		return zero, fmt.Errorf("processor %s: store %s is not connected to it; pass it to AddProcessor", node.Name, h.spec.Name)
	}
	layer := scope.Store(h.spec.Name)
	if layer == nil {
		return zero, fmt.Errorf("processor %s: store %s is not part of the topology", node.Name, h.spec.Name)
	}
	s, ok := layer.(S)
	if !ok {
		return zero, fmt.Errorf("processor %s: store %s is a %T, the handle wants %T", node.Name, h.spec.Name, layer, zero)
	}
	return s, nil
}
