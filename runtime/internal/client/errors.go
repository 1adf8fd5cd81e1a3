package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Class says what a failure means to whoever runs a transaction.
type Class uint8

// The classes.
const (
	// ClassNone is the class of nil.
	ClassNone Class = iota
	// ClassRetry: nothing came of the request; it may be made again.
	ClassRetry
	// ClassGeneration: the group has a newer generation. If the member is still in it under the same id, the same
	// transaction commits under the new one (G1).
	ClassGeneration
	// ClassMemberLost: the group no longer knows the member: abort, close the tasks, join anew.
	ClassMemberLost
	// ClassAbort: the transaction cannot commit; abort it and begin another.
	ClassAbort
	// ClassUnknown: the outcome is unknown, or the producer session is no longer good. Start a new session with the same
	// id (Producer.Init) and read from the log what became of the transaction.
	ClassUnknown
	// ClassFenced: a newer producer session with the same transactional id exists, or a newer member with the same
	// instance id, or the coordinator aborted a transaction that took too long, which fences in the same way.
	ClassFenced
	// ClassFatal: asking again cannot help.
	ClassFatal
)

var classNames = [...]string{"none", "retry", "generation", "member lost", "abort", "unknown", "fenced", "fatal"}

// String names the class.
func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return fmt.Sprintf("class %d", uint8(c))
}

// Errors to be tested for with errors.Is. Each comes wrapped with what was being done and to what.
var (
	// ErrMemberIDRequired answers a first Join: join again with the id in the answer (KIP-394).
	ErrMemberIDRequired = errors.New("join again with the member id that the coordinator has given")
	// ErrRebalance answers a Heartbeat or Sync: the group is rebalancing, the member has to join again.
	ErrRebalance = errors.New("the group is rebalancing")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("client is closed")
)

// classified carries a class that the error alone does not tell: a lost answer means one thing for a look-up and another
// for the end of a transaction.
type classified struct {
	err   error
	class Class
}

func (e *classified) Error() string { return e.err.Error() }
func (e *classified) Unwrap() error { return e.err }

// withClass gives err a class of its own.
func withClass(err error, class Class) error { return &classified{err, class} }

// ClassOf sorts any error that this package returned. It is the one place that does.
func ClassOf(err error) Class {
	if err == nil {
		return ClassNone
	}
	if c, ok := errors.AsType[*classified](err); ok {
		return c.class
	}
	if k, ok := errors.AsType[*kerr.Error](err); ok {
		return classOfCode(k)
	}
	switch {
	case errors.Is(err, ErrRebalance):
		return ClassGeneration
	case errors.Is(err, ErrMemberIDRequired), errors.Is(err, context.DeadlineExceeded):
		return ClassRetry
	case errors.Is(err, ErrClosed), errors.Is(err, kgo.ErrClientClosed), errors.Is(err, context.Canceled):
		return ClassFatal
	case isOfData(err):
		return ClassFatal
	}
	return ClassRetry // network
}

func classOfCode(k *kerr.Error) Class {
	switch k {
	case kerr.ProducerFenced, kerr.InvalidProducerEpoch, kerr.FencedInstanceID:
		return ClassFenced
	case kerr.UnknownMemberID:
		return ClassMemberLost
	case kerr.IllegalGeneration, kerr.RebalanceInProgress:
		return ClassGeneration
	case kerr.TransactionAbortable, kerr.OutOfOrderSequenceNumber, kerr.DuplicateSequenceNumber, kerr.UnknownProducerID, kerr.UnknownServerError:
		return ClassAbort
	case kerr.InvalidTxnState, kerr.InvalidProducerIDMapping, kerr.TransactionCoordinatorFenced:
		return ClassUnknown
	case kerr.ConcurrentTransactions, kerr.MemberIDRequired:
		return ClassRetry
	}
	if k.Retriable {
		return ClassRetry
	}
	return ClassFatal
}

// answered returns the error of a request: the transport's, else the code's.
func answered(err error, code int16) error {
	if err != nil {
		if errors.Is(err, kgo.ErrClientClosed) {
			return ErrClosed
		}
		return err
	}
	return kerr.ErrorForCode(code)
}

// doing wraps err, if there is one, with what was being done.
func doing(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err)
}
