package runtime

import "github.com/millrace-io/millrace/runtime/internal/task"

// Response is what a Handler answers.
type Response = task.Response

// The responses. The zero value fails.
const (
	// Fail stops the application with the error. Its transaction is aborted, so the record is met again at the next start.
	Fail = task.Fail
	// Continue drops the record at the node that failed, counts it and logs it with its coordinates.
	Continue = task.Continue
)

// Failure is what a Handler decides about. Its Raw record is valid during the call only.
type Failure = task.Failure

// Handler decides about a failure. It is called by worker goroutines, several at a time. One that panics fails the task.
type Handler = task.Handler

// LogAndContinue is a Handler that goes on after every failure. The record is counted, and named in the log with topic,
// partition and offset. It is Kafka Streams' LogAndContinueExceptionHandler.
func LogAndContinue(Failure) Response { return Continue }

// LogAndFail is a Handler that stops at every failure, as no handler does.
func LogAndFail(Failure) Response { return Fail }

// TaskError is why a task stopped: the task, the node, the record's coordinates, and what failed. Find it with errors.AsType.
type TaskError = task.Error

// PanicError is a panic of user code, caught at the boundary of the task.
type PanicError = task.PanicError
