package main

import (
	"math/rand/v2"
	"slices"
	"time"
)

// faultKind is what is done to the system.
type faultKind string

const (
	killOne   faultKind = "kill"        // SIGKILL of an instance
	killYoung faultKind = "kill young"  // SIGKILL of an instance, and again while it starts
	killLog   faultKind = "kill broker" // SIGKILL of the broker, then a restart on the same directory and port
	pauseOne  faultKind = "pause"       // SIGSTOP of an instance beyond the session time-out, then SIGCONT
	cutOne    faultKind = "cut"         // a connection of an instance breaks with a request on it
	joinOne   faultKind = "join"        // one more instance starts
	leaveOne  faultKind = "leave"       // an instance stops in order
)

// fault is one entry of the schedule.
type fault struct {
	At    time.Duration // since the start
	Kind  faultKind
	Pick  int           // chooses the instance among those that can be hit
	Point point         // where it is to be hit; "" at once
	After int           // how often the point is passed before
	Down  time.Duration // until what was killed starts again
	Pause time.Duration
	Tries int // that found nothing to hit
}

// maxTries is how often a kill that is aimed at a transaction looks for one before it takes what there is.
const maxTries = 4

// newSchedule draws the faults of a run. The same seed and options give the same schedule.
func newSchedule(o *options) []fault {
	rng := rand.New(rand.NewPCG(o.seed, 0x5ced))
	var faults []fault
	add := func(n int, make func(i int) fault) {
		for i := range n {
			f := make(i)
			f.Pick = rng.IntN(1 << 16)
			faults = append(faults, f)
		}
	}
	add(o.kills, func(i int) fault { return drawKill(rng, o, i) })
	add(o.brokerKills, func(i int) fault {
		f := fault{Kind: killLog, Down: time.Duration(rng.Int64N(int64(400 * time.Millisecond)))}
		if i%4 > 0 {
			f.Point, f.After = points[rng.IntN(transactional)], rng.IntN(4)
		}
		return f
	})
	add(o.pauses, func(int) fault { return drawPause(rng, o) })
	add(o.cuts, func(int) fault {
		return fault{Kind: cutOne, Point: points[rng.IntN(len(points)-1)], After: rng.IntN(4)}
	})
	moves := (o.kills + o.brokerKills + o.pauses + 9) / 10
	add(moves, func(int) fault { return fault{Kind: joinOne} })
	add(moves, func(int) fault { return fault{Kind: leaveOne} })

	rng.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
	// Evenly, with a jitter of their distance; the start and the end are left in peace.
	span := o.duration - o.duration/8 - warmUp
	for i := range faults {
		slot := max(span, 0) / time.Duration(len(faults))
		faults[i].At = warmUp + slot*time.Duration(i) + time.Duration(rng.Int64N(int64(slot)+1))
	}
	slices.SortStableFunc(faults, func(a, b fault) int { return int(a.At - b.At) })
	return faults
}

const (
	// warmUp is left in peace, so that the first faults find work under way.
	warmUp = 1500 * time.Millisecond
	// transactional is the number of points at the front of points that a transaction passes with each commit.
	transactional = 6
)

// drawKill draws the i-th kill of an instance: of eight, six inside a transaction, one at any moment, one as it starts. The
// shares are fixed and not drawn, since the report is held to them.
func drawKill(rng *rand.Rand, o *options, i int) fault {
	f := fault{Kind: killOne, Down: time.Duration(rng.Int64N(int64(300 * time.Millisecond)))}
	if rng.IntN(4) == 0 {
		f.Down = o.session + time.Duration(rng.Int64N(int64(o.session))) // the others take over
	}
	switch i % 8 {
	case 3:
		return f
	case 7:
		f.Kind, f.Point = killYoung, points[transactional+rng.IntN(len(points)-transactional)]
		return f
	}
	f.Point, f.After = points[rng.IntN(transactional-1)], rng.IntN(4)
	return f
}

// drawPause draws a pause, mostly inside a transaction, and there mostly when its offsets have gone out and its end has not. Half of
// them are over before the log aborts the transaction: then the zombie ends it, and who took over must have waited for that.
// After the others it finds itself fenced.
func drawPause(rng *rand.Rand, o *options) fault {
	f := fault{Kind: pauseOne}
	least, most := o.session*5/4, o.transaction*9/10
	if least >= most || rng.IntN(2) == 0 {
		least = max(o.session, o.transaction) * 5 / 4
		most = least * 3 / 2
	}
	f.Pause = least + time.Duration(rng.Int64N(int64(most-least)+1))
	switch rng.IntN(4) {
	case 0:
	case 1:
		f.Point, f.After = points[rng.IntN(transactional)], rng.IntN(4)
	default:
		f.Point, f.After = []point{point(phaseNames[offsets]), point(phaseNames[offered])}[rng.IntN(2)], rng.IntN(4)
	}
	return f
}
