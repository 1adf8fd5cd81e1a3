package client

import "errors"

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
	// ClassUnknown: the outcome is unknown. Start a new producer session with the same id (Producer.Init) and read
	// from the log what became of the transaction.
	ClassUnknown
	// ClassFenced: a newer producer session with the same transactional id exists.
	ClassFenced
	// ClassFatal: asking again cannot help.
	ClassFatal
)

// ClassOf sorts any error that this package returned. It is the one place that does.
func ClassOf(err error) Class { return ClassFatal }

// Errors to be tested for with errors.Is. Each comes wrapped with what was being done and to what.
var (
	// ErrMemberIDRequired answers a first Join: join again with the id in the answer (KIP-394).
	ErrMemberIDRequired = errors.New("join again with the member id that the coordinator has given")
	// ErrRebalance answers a Heartbeat or Sync: the group is rebalancing, the member has to join again.
	ErrRebalance = errors.New("the group is rebalancing")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("client is closed")
)
