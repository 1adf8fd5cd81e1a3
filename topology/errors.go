package topology

import "errors"

// Reasoner is an error that brings its own Reason for the drop counters: a deserialiser that can tell a bad date from
// a missing field returns one.
type Reasoner interface {
	error
	DropReason() Reason
}

// ReasonOf returns the reason that err or an error it wraps brings, else fallback.
func ReasonOf(err error, fallback Reason) Reason {
	var r Reasoner
	if errors.As(err, &r) {
		return r.DropReason()
	}
	return fallback
}
