package task

import (
	"errors"
	"fmt"
	"strings"

	"github.com/millrace-io/millrace/topology"
)

// ErrClosed is returned by a task after Close.
var ErrClosed = errors.New("task is closed")

// Error is why a task stopped: what failed, at which node, on which record.
type Error struct {
	Task   topology.TaskID
	Node   string               // empty if it is not known, or no node's
	Source topology.Coordinates // of the record being processed; no topic in a punctuation or a flush
	Err    error
	// Retry: the production handler wants it to be tried again, which may help: the transaction is lost, the task is not.
	Retry bool
}

// Error returns "task 0_3: node price: orders-2 at offset 17: ...".
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "task %s: ", e.Task)
	if e.Node != "" {
		fmt.Fprintf(&b, "node %s: ", e.Node)
	}
	if e.Source.Topic != "" {
		fmt.Fprintf(&b, "%s-%d at offset %d: ", e.Source.Topic, e.Source.Partition, e.Source.Offset)
	}
	b.WriteString(e.Err.Error())
	return b.String()
}

// Unwrap returns what failed.
func (e *Error) Unwrap() error { return e.Err }

// PanicError is a panic of user code.
type PanicError = topology.PanicError
