package commit

import (
	"errors"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
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

// ErrMemberLost: the group has forgotten the member, or knows it by another id.
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

// Classify sorts a failure. It is the one place that does. What it does not know, it takes for a failure whose outcome is
// unknown: ClassAbort.
func Classify(err error) Class {
	if c, ok := errors.AsType[classified](err); ok {
		return c.class
	}
	if errors.Is(err, ErrInstanceInUse) {
		return ClassFatal
	}
	if errors.Is(err, ErrMemberLost) {
		return ClassLost
	}
	code, ok := errors.AsType[*kerr.Error](err)
	if !ok {
		return ClassAbort
	}
	for _, c := range classesOfCodes {
		if slices.Contains(c.codes, code.Code) {
			return c.class
		}
	}
	return ClassAbort
}

// classesOfCodes holds the codes of the Kafka protocol that do not mean ClassAbort. Out-of-order sequences, unknown producer
// ids and invalid transaction states do: a new session heals them, and they do not prove another process.
var classesOfCodes = []struct {
	class Class
	codes []int16
}{
	{ClassFenced, codes(kerr.ProducerFenced, kerr.InvalidProducerEpoch)},
	{ClassLost, codes(kerr.UnknownMemberID, kerr.FencedInstanceID)},
	{ClassRetry, codes(kerr.ConcurrentTransactions, kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable, kerr.NotCoordinator,
		kerr.IllegalGeneration, kerr.RebalanceInProgress, kerr.UnstableOffsetCommit)},
	{ClassFatal, codes(
		kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed,
		kerr.ClusterAuthorizationFailed, kerr.SaslAuthenticationFailed, kerr.UnsupportedSaslMechanism, kerr.SecurityDisabled,
		kerr.InvalidTopicException, kerr.OffsetMetadataTooLarge, kerr.UnsupportedVersion, kerr.InvalidTransactionTimeout,
		kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.InvalidRecord, kerr.InvalidRequiredAcks, kerr.PolicyViolation,
		kerr.OffsetOutOfRange, kerr.UnsupportedForMessageFormat, kerr.InvalidGroupID, kerr.InconsistentGroupProtocol)},
}

func codes(errs ...*kerr.Error) []int16 {
	out := make([]int16, len(errs))
	for i, e := range errs {
		out[i] = e.Code
	}
	return out
}

// generationRenewed reports whether offsets were refused because the group is between generations or has a newer one. The
// same transaction may commit under the new one.
func generationRenewed(err error) bool {
	return errors.Is(err, kerr.IllegalGeneration) || errors.Is(err, kerr.RebalanceInProgress)
}
