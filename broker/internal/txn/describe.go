package txn

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// The states of a transactional id, by Kafka's names. The others that Kafka has are over within one entry here.
const (
	StateEmpty          = "Empty"
	StateOngoing        = "Ongoing"
	StateCompleteCommit = "CompleteCommit"
	StateCompleteAbort  = "CompleteAbort"
)

// Description is what an administrator sees of a transactional id.
type Description struct {
	ID         string
	State      string
	Producer   Producer
	Timeout    time.Duration
	Started    int64       // milliseconds since the epoch; -1 if no transaction is open
	Partitions []Partition // of the open transaction, in order
}

// Describe returns the transactional id's state; ok is false if it is not known.
func (c *Coordinator) Describe(id string) (d Description, ok bool) {
	t := c.transactions[id]
	if t == nil {
		return Description{}, false
	}
	return t.describe(), true
}

// All returns the state of every transactional id, by id.
func (c *Coordinator) All() []Description {
	all := make([]Description, 0, len(c.transactions))
	for t := range maps.Values(c.transactions) {
		all = append(all, t.describe())
	}
	slices.SortFunc(all, func(a, b Description) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

func (t *transaction) describe() Description {
	d := Description{ID: t.id, State: t.state(), Producer: t.producer, Timeout: t.timeout, Started: none}
	if t.open {
		d.Started = t.started
		d.Partitions = slices.SortedFunc(maps.Keys(t.partitions), comparePartitions)
	}
	return d
}

func (t *transaction) state() string {
	switch {
	case t.open:
		return StateOngoing
	case t.ended == noEnd:
		return StateEmpty
	case t.ended.commit:
		return StateCompleteCommit
	}
	return StateCompleteAbort
}
