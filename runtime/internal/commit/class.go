package commit

import (
	"errors"

	"github.com/millrace-io/millrace/runtime/internal/client"
)

// Class is what is to be done about a failure.
type Class uint8

// The classes. Whoever meets a failure asks Classify and nobody else.
const (
	// ClassAbort: the transaction's outcome is unknown or it cannot go on: recover with a new producer session.
	ClassAbort Class = iota
	// ClassRetry: nothing happened yet; the same request may be sent again.
	ClassRetry
	// ClassFenced: another producer session with this transactional id exists.
	ClassFenced
	// ClassLost: the group has given this member's tasks to others; wait for a new assignment.
	ClassLost
	// ClassCorrupted: a store does not fit its changelog: wipe it and restore.
	ClassCorrupted
	// ClassFatal: trying again cannot help.
	ClassFatal
)

var classNames = [...]string{"abort", "retry", "fenced", "lost", "corrupted", "fatal"}

// String names the class.
func (c Class) String() string { return classNames[c] }

// ErrMemberLost says that the group has forgotten the member, or knows it by another id.
var ErrMemberLost = errors.New("membership lost")

var errForgotten = errors.New("the group has forgotten the member")

// Fatal marks err as one that trying again cannot help.
func Fatal(err error) error { return classified{err, ClassFatal} }

// Corrupted marks err as one that a wiped and restored store can help.
func Corrupted(err error) error { return classified{err, ClassCorrupted} }

type classified struct {
	error
	class Class
}

func (c classified) Unwrap() error { return c.error }

// Classify sorts a failure. It is the one place in the runtime that does, over what the client package says of failures of
// the log.
func Classify(err error) Class {
	if c, ok := errors.AsType[classified](err); ok {
		return c.class
	}
	switch {
	case errors.Is(err, ErrInstanceInUse):
		return ClassFatal
	case errors.Is(err, ErrMemberLost):
		return ClassLost
	}
	switch client.ClassOf(err) {
	case client.ClassNone, client.ClassRetry, client.ClassGeneration:
		return ClassRetry
	case client.ClassMemberLost:
		return ClassLost
	case client.ClassFenced:
		return ClassFenced
	case client.ClassFatal:
		return ClassFatal
	default:
		return ClassAbort
	}
}
