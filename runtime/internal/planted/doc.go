// Package planted holds switches for bugs that are planted on purpose, to prove that the simulation (package sim) and the ledger
// (examples/ledger) catch them: an oracle that never failed proves nothing.
//
// In every build but one with the tag "planted" Is is false, which the compiler knows, so that nothing of them is left. With the
// tag, the environment variable MILLRACE_PLANTED names the one bug that is there.
//
//	go test -tags planted ./runtime/internal/sim -run TestPlanted
package planted

// Bug is one planted bug.
type Bug string

// The bugs: each is a way in which a system like this one went wrong, or could.
const (
	OverlayKept         Bug = "overlay-kept"          // the writes of an aborted transaction become committed state
	AppliedBeforeCommit Bug = "applied-before-commit" // the committed layers have the writes before the log has decided
	PositionApart       Bug = "position-apart"        // a store's position is written in a batch of its own (package state)
	PositionFromEnd     Bug = "position-from-end"     // a store that is being restored claims the changelog's end
	RestoreToStable     Bug = "restore-to-stable"     // restoring stops at the last stable offset
	GenerationUnchecked Bug = "generation-unchecked"  // offsets are committed without member and generation
	UnstableOffsets     Bug = "unstable-offsets"      // offsets are fetched while a transaction that holds newer ones is open
	ResetToLatest       Bug = "reset-to-latest"       // an input without an offset is read from its end
	CommitAssumed       Bug = "commit-assumed"        // a commit whose answer did not come in time is taken for done
	DeadLetterOutside   Bug = "dead-letter-outside"   // a dead letter is written outside the transaction of its record
	LossForgotten       Bug = "loss-forgotten"        // a recovery that is tried again forgets that the membership was lost
	EndedUnanswered     Bug = "ended-unanswered"      // a transaction is committed before all of its batches are answered
	CopyUncommitted     Bug = "copy-uncommitted"      // a standby takes in what is not committed
	CopyClaimsEnd       Bug = "copy-claims-end"       // a standby that is promoted claims its changelog's end, so that the tail is not read
	CopyKept            Bug = "copy-kept"             // a standby is not let go before its task runs
)

// Bugs are all of them.
var Bugs = []Bug{
	OverlayKept, AppliedBeforeCommit, PositionApart, PositionFromEnd, RestoreToStable, GenerationUnchecked, UnstableOffsets,
	ResetToLatest, CommitAssumed, DeadLetterOutside, LossForgotten, EndedUnanswered, CopyUncommitted, CopyClaimsEnd, CopyKept,
}
