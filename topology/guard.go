package topology

import (
	"fmt"
	"runtime/debug"
)

// PanicError is a panic of user code, caught at the node that called it, or at the boundary of the task.
type PanicError struct {
	Value any
	Stack []byte // of the goroutine, as debug.Stack gives it
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap returns the value that was panicked with, if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// caught makes an error of a recovered panic.
func caught(v any) error { return &PanicError{Value: v, Stack: debug.Stack()} }

// guarded is a port behind which panics are caught.
type guarded struct {
	port  any // Emit[K, V]
	scope Scope
	node  NodeID
}

// Guard returns a child for a node's Fan that catches the panics of that child's own code and hands them to Scope.Fail: what
// Kafka Streams' ProcessorNode does with exceptions (P-30). What the child's parents and siblings do goes on. port is the
// child's Emit[K, V].
//
// A task guards its nodes only if somebody is to decide about their failures: a guard costs as much as an operator.
func Guard(s Scope, node NodeID, port any) any { return &guarded{port, s, node} }

// EmitOf returns the Emit that a child given to a Fan stands for, with its guard, if it has one.
func EmitOf[K, V any](child any) Emit[K, V] {
	g, ok := child.(*guarded)
	if !ok {
		return child.(Emit[K, V])
	}
	port := g.port.(Emit[K, V])
	return func(r Record[K, V]) {
		defer g.catch()
		port(r)
	}
}

func (g *guarded) catch() {
	if v := recover(); v != nil {
		_ = g.scope.Fail(g.node, caught(v)) // the handler has decided; a refusal is sticky in the task
	}
}
