package restore

import (
	"time"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/topology"
)

// EventKind is what has happened to a store.
type EventKind uint8

// The kinds, in the order in which they come.
const (
	// Started: records are going to be read, from Next to End (StateRestoreListener.onRestoreStart, StandbyUpdateListener.onUpdateStart).
	Started EventKind = iota
	// Progressed: a batch is in the store (onBatchRestored, onBatchLoaded).
	Progressed
	// Ended: the store is at End, and its task may run (onRestoreEnd). A copy never ends, it is kept.
	Ended
	// Suspended: it goes no further here, for now (onRestoreSuspended, onUpdateSuspended).
	Suspended
)

// String names the kind.
func (k EventKind) String() string {
	return [...]string{"started", "progressed", "ended", "suspended"}[k]
}

// Event is one step of bringing a store to where its changelog ends.
type Event struct {
	Kind      EventKind
	Task      topology.TaskID
	Store     string
	Changelog client.TopicPartition
	Standby   bool  // a copy is kept; else the task is to run here
	Promoted  bool  // of Suspended, for a copy: its task is to run here
	Next      int64 // offset of the next changelog record to read
	End       int64 // of the changelog, as of when it was last looked at
	Records   int64 // since Started

	// Of a task's store, in Progressed and Ended: records restored in a second, since Started, and how long the rest takes at that
	// rate; 0 if there is nothing to tell it from.
	Rate      float64
	Remaining time.Duration
}

func (c *catchUp) event(kind EventKind) Event {
	return Event{Kind: kind, Task: c.task.ID, Store: c.store.Name, Changelog: c.store.Changelog, Next: c.next, End: c.end, Records: c.restored}
}

// progressed is an event with rate and remaining time as of now. The time is told from offsets, of which a compacted changelog has more than
// records.
func (c *catchUp) progressed(kind EventKind, now time.Time) Event {
	e := c.event(kind)
	if d := now.Sub(c.began); d > 0 && c.next > c.from {
		e.Rate = float64(c.restored) / d.Seconds()
		e.Remaining = time.Duration(float64(max(c.end-c.next, 0)) / float64(c.next-c.from) * float64(d))
	}
	return e
}

// tell calls a listener that may be nil.
func tell(listen func(Event), e Event) {
	if listen != nil {
		listen(e)
	}
}
