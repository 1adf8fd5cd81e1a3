package main

// phase is how far the transaction of one worker has come, as the requests on its connections tell.
type phase int

// The phases, each from the named moment on. The points of a crash between them are C3 to C8 in the language of the trade.
const (
	idle      phase = iota // no transaction is open
	producing              // records have been sent
	produced               // records have been acknowledged
	offsets                // the offsets have been sent
	offered                // the offsets have been answered
	ending                 // the end has been sent, and may have happened
	ended                  // the end has been answered, but nobody has acted on it
	phases
)

var phaseNames = [phases]string{"idle", "producing", "produced", "offsets", "offered", "ending", "ended"}

// String names the phase.
func (p phase) String() string { return phaseNames[p] }

// open reports whether a transaction is, or may be, open in the log.
func (p phase) open() bool { return producing <= p && p <= ending }

// deeper returns the phase that says more of the log: one with a transaction open before one without, else the later.
func deeper(a, b phase) phase {
	switch {
	case a.open() && !b.open():
		return a
	case b.open() && !a.open():
		return b
	default:
		return max(a, b)
	}
}

// point is a moment at which an instance can be told to act: a phase that one of its workers enters, or a step of joining the
// group.
type point string

const (
	joining point = "joining" // a JoinGroup has been sent
	syncing point = "syncing" // a SyncGroup has been sent
	opening point = "opening" // an InitProducerID has been sent
	inside  point = "inside"  // any phase with a transaction open has begun
)

// points are those that faults are drawn from; most of them lie inside a transaction.
var points = []point{
	point(phaseNames[producing]), point(phaseNames[produced]), point(phaseNames[offsets]), point(phaseNames[offered]),
	point(phaseNames[ending]), point(phaseNames[ended]), joining, syncing, opening,
}
