package skew

import (
	"math"
	"slices"
	"sync"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/client"
)

// Bounds that are no event times.
const (
	// Unknown is the bound of a task that has data, of a time that is not known yet: it holds everybody.
	Unknown int64 = math.MinInt64
	// None is the bound of a task that has no data.
	None int64 = math.MaxInt64
)

// Seen is what the group's committed offsets and the log say of an input of a task that does not run here.
type Seen struct {
	client.TopicPartition
	Committed int64 // -1: nothing yet
	Next      int64 // event time of the record there, or below it; -1: not known
	End       int64 // up to where there is something to read
}

// Board says how far the tasks of an instance may go. It is safe for use by several goroutines.
type Board struct {
	skew     int64 // milliseconds
	patience time.Duration

	mu struct {
		sync.Mutex
		slots    map[int]int64
		others   int64 // lowest bound of the tasks that do not run here
		entries  map[client.TopicPartition]entry
		left     []left
		heard    time.Time // when the group was last looked at
		watching bool      // others hold, or would
		pressing bool      // they hold somebody
	}
}

// entry is what was last seen of an input, and since when it is so.
type entry struct {
	committed, next int64
	since           time.Time
}

// left is the bound of a task that does not run here any more, until the group was looked at again.
type left struct {
	bound int64
	at    time.Time
}

// New returns a board on which nobody may run until the group was looked at, or cannot be for as long as patience.
func New(maxSkew, patience time.Duration, now time.Time) *Board {
	b := &Board{skew: maxSkew.Milliseconds(), patience: patience}
	b.mu.slots = make(map[int]int64)
	b.mu.others, b.mu.heard, b.mu.watching = Unknown, now, true
	return b
}

// Patience is for how long a task holds others though nothing comes of it.
func (b *Board) Patience() time.Duration { return b.patience }

// Publish says how far the tasks of a worker have committed: the lowest of their bounds.
func (b *Board) Publish(worker int, bound int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.slots[worker] = bound
}

// Leave says that a task with data does not run here any more, and how far it had committed: that holds the others until the group is looked
// at.
func (b *Board) Leave(now time.Time, bound int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.left = append(b.mu.left, left{bound, now})
}

// Limit returns up to which event time the tasks of a worker may process, where own is the lowest of their bounds as they are now.
func (b *Board) Limit(worker int, own int64) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	floor := min(own, b.mu.others)
	for slot, bound := range b.mu.slots {
		if slot != worker {
			floor = min(floor, bound)
		}
	}
	for _, l := range b.mu.left {
		floor = min(floor, l.bound)
	}
	b.mu.pressing = b.mu.pressing || floor < own && (b.mu.others == floor || len(b.mu.left) > 0)
	if floor == Unknown || floor > math.MaxInt64-b.skew {
		return floor
	}
	return floor + b.skew
}

// Watching reports whether there are tasks elsewhere that have data, so that they may wait to hear of those here.
func (b *Board) Watching() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mu.watching
}

// Pressing reports whether tasks elsewhere may have held some here since the group was looked at.
func (b *Board) Pressing() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mu.pressing
}

// Observe takes what was seen of all inputs of all tasks that do not run here, by who began to look at the time now.
func (b *Board) Observe(now time.Time, seen []Seen) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.left = slices.DeleteFunc(b.mu.left, func(l left) bool { return l.at.Before(now) })
	entries := make(map[client.TopicPartition]entry, len(seen))
	b.mu.others, b.mu.heard, b.mu.watching, b.mu.pressing = None, now, false, false
	for _, s := range seen {
		if s.End <= max(s.Committed, 0) {
			continue
		}
		b.mu.watching = true
		e, known := b.mu.entries[s.TopicPartition]
		if !known || e.committed != s.Committed || e.next != s.Next {
			e = entry{s.Committed, s.Next, now}
		}
		entries[s.TopicPartition] = e
		if now.Sub(e.since) >= b.patience {
			continue
		}
		bound := s.Next
		if bound < 0 {
			bound = Unknown
		}
		b.mu.others = min(b.mu.others, bound)
	}
	b.mu.entries = entries
}

// Missed says that the group could not be looked at. It reports whether that has just lasted for too long: those here go on alone.
func (b *Board) Missed(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Sub(b.mu.heard) < b.patience || b.mu.others == None && len(b.mu.left) == 0 {
		return false
	}
	b.mu.others, b.mu.left = None, nil
	return true
}
