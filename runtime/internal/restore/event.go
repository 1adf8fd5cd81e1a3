package restore

import (
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
}

func (c *catchUp) event(kind EventKind) Event {
	return Event{Kind: kind, Task: c.task.ID, Store: c.store.Name, Changelog: c.store.Changelog, Next: c.next, End: c.end, Records: c.restored}
}

// tell calls a listener that may be nil.
func tell(listen func(Event), e Event) {
	if listen != nil {
		listen(e)
	}
}
