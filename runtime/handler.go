package runtime

import (
	"github.com/millrace-io/millrace/runtime/internal/task"
	"github.com/millrace-io/millrace/topology"
)

// Response is what a Handler answers.
type Response = task.Response

// The responses. The zero value fails.
const (
	// Fail stops the task with the error; Config.Uncaught says what follows. Its transaction is aborted, so the record is met again.
	Fail = task.Fail
	// Continue drops the record at the node that failed, counts it and logs it with its coordinates. What other nodes have made and
	// will make of the record stays (P-30).
	Continue = task.Continue
	// Retry aborts the transaction and processes its records again, where Failure.Retriable says that this may help, until
	// Config.TaskTimeout; else it is Fail. The production handler gets such failures: a partition could not be written in two thirds of
	// Config.TransactionTimeout. Its Continue then does without that partition until the next commit.
	Retry = task.Retry
)

// Failure is what a Handler decides about: which task and node, which input record, what failed. Its Raw record is valid during the
// call only. DeadLetter sends the record to Config.DeadLetterTopic, Send any record to any topic, both in the record's transaction: if
// the transaction is lost, so is the dead letter, and the record is met again. What is sent with the answer Fail is therefore
// kept only with AtLeastOnce, as in Kafka Streams.
type Failure = task.Failure

// Handler decides about a failure. It is called by worker goroutines, several at a time. One that panics fails the task.
type Handler = task.Handler

// LogAndContinue is a Handler that goes on after every failure, and tries again what may pass. The record is counted, named in the log with topic,
// partition and offset, and sent to Config.DeadLetterTopic if there is one. It is Kafka Streams' LogAndContinueExceptionHandler, for
// all three doors.
func LogAndContinue(f Failure) Response { return task.LogAndContinue(f) }

// LogAndFail is a Handler that fails at every failure but those that may pass, which it tries again, as no handler does.
func LogAndFail(f Failure) Response { return task.LogAndFail(f) }

// EncodeError is the failure of a serde at a sink; the production handler is asked.
type EncodeError = topology.EncodeError

// WriteError is a record that the log does not take: larger than its topic allows, without a key for a compacted topic, too far from the
// broker's time, or for a partition that cannot be written. The production handler is asked: before the record is sent, where it can be
// told then, or after the broker has refused it. A broker refuses the whole batch of such a record, before it writes any of it: the others
// are sent again, in the same transaction. Where the topic may not be written at all, nobody is asked, and nobody is asked about
// a changelog.
type WriteError = topology.WriteError

// TaskError is why a task stopped: the task, the node, the record's coordinates, and what failed. Find it with errors.AsType.
type TaskError = task.Error

// PanicError is a panic of user code: an error like any other to handlers, with the stack.
type PanicError = task.PanicError
