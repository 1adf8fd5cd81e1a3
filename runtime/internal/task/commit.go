package task

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// Stats are what a task has done up to its last commit. What an aborted transaction did is not in them.
type Stats struct {
	Read  int64 // input records taken, dropped ones included
	Drops []Drop
}

// Uncommitted reports whether something happened since the last commit: a record was taken or dropped, a position moved past
// control records, or a punctuation fired.
func (t *Task) Uncommitted() bool { return t.moved }

// CommitRequested reports whether a node asked for a commit since the last one (P-15).
func (t *Task) CommitRequested() bool { return t.requested }

// Bytes returns the memory that the stores hold: of writes not yet committed, and of cached entries.
func (t *Task) Bytes() (dirty, cached int64) {
	for _, s := range t.stores {
		d, c := s.layer.Bytes()
		dirty, cached = dirty+d, cached+c
	}
	return dirty + int64(t.origins.bytes), cached
}

// Flush makes everything that the records taken so far have caused stand in the open transaction: nodes emit what they hold
// back, in topological order until nothing is dirty, and stores append their changes to the changelogs. Afterwards
// Progress says what to commit. Errors are as Step's.
func (t *Task) Flush() (err error) {
	if t.err != nil {
		return t.err
	}
	defer t.catch(&err)
	t.source, t.raw, t.time, t.origins.at = nowhere, nil, max(t.streamTime, 0), 0
	// What a node emits dirties stores below it, which the same pass reaches. Only a store that a node below shares with one
	// above needs another pass: it was dirtied behind the pass's back.
	for pass := 0; ; pass++ {
		t.flushNodes()
		if pass > 0 && !t.storesDirty() {
			break
		}
		if pass > len(t.nodes) {
			t.fail("", fmt.Errorf("flush: stores are dirty again after %d passes: a node writes in every Flush", pass))
		}
		t.flushStores()
		if t.err != nil {
			return t.err
		}
	}
	for i := range t.topics {
		t.topics[i].partitions = 0 // a topic may have grown: ask again in the next transaction
	}
	return t.err
}

func (t *Task) flushNodes() {
	for _, n := range t.nodes {
		if n.Flush == nil || t.err != nil {
			continue
		}
		t.origins.at = 0
		if err := flushNode(n); err != nil {
			t.fail(n.node.Name, fmt.Errorf("flush: %w", err))
		}
		t.source = nowhere // it may have shown where its changes came from
	}
}

// flushNode flushes a node. A panic is an error; no handler is asked, since the node cannot be left half flushed.
func flushNode(n *instance) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return n.Flush()
}

func (t *Task) storesDirty() bool {
	for _, s := range t.stores {
		if s.layer.Dirty() {
			return true
		}
	}
	return false
}

func (t *Task) flushStores() {
	for _, s := range t.stores {
		if t.err != nil {
			return
		}
		if err := s.layer.Flush(); err != nil {
			t.fail("", fmt.Errorf("flush store %s: %w", s.spec.Name, err))
		}
	}
}

// Progress returns how far the task has come on each input of which a position is known. To be committed, it is taken after
// Flush, with no Step between. The operators' times go with the first input.
func (t *Task) Progress() []Progress {
	list := make([]Progress, 0, len(t.queues))
	times := t.savedTimes()
	for _, q := range t.queues {
		if q.next >= 0 {
			list = append(list, Progress{Input: q.in, LeaderEpoch: q.epoch, Next: q.next, PartitionTime: q.partitionTime, Times: times})
			times = nil // once is enough
		}
	}
	return list
}

// Committed says that the transaction with what Flush wrote has committed: the stores' writes become committed state, and
// counters show what it did. next holds, by store name, the offset after the transaction's last record on the store's
// changelog; a store that appended nothing may be left out.
func (t *Task) Committed(next map[string]int64) (err error) {
	if t.err != nil {
		return t.err
	}
	defer t.catch(&err)
	for _, s := range t.stores {
		to, ok := next[s.spec.Name]
		if !ok {
			to = -1
		}
		if err := s.layer.Commit(to); err != nil {
			t.fail("", fmt.Errorf("commit store %s: %w", s.spec.Name, err))
			return t.err
		}
	}
	t.drops.commit()
	t.readTotal += t.read
	t.read, t.moved, t.requested = 0, false, false
	t.begin()
	t.origins.reset()
	return nil
}

// Stats returns what the task has done up to its last commit.
func (t *Task) Stats() Stats {
	return Stats{Read: t.readTotal, Drops: listDrops(t.drops.committed)}
}

// Pending returns what the task has done since, which an abort would undo.
func (t *Task) Pending() Stats { return Stats{Read: t.read, Drops: listDrops(t.drops.pending)} }

// Close releases what the task holds. Writes that were not committed are forgotten: closing without a commit is how a
// transaction is aborted (DESIGN D4). It returns the errors of the nodes' Close; the task is closed in any case.
func (t *Task) Close() (err error) {
	if errors.Is(t.err, ErrClosed) {
		return nil
	}
	t.source = nowhere
	var errs []error
	for _, n := range t.nodes {
		if n != nil && n.Close != nil {
			if err := closeNode(n); err != nil {
				errs = append(errs, &Error{Task: t.id, Node: n.node.Name, Source: nowhere, Err: fmt.Errorf("close: %w", err)})
			}
		}
	}
	for _, s := range t.stores {
		s.layer.Drop()
	}
	for _, q := range t.queues {
		q.release()
	}
	t.nodes, t.raw = nil, nil
	t.err = ErrClosed
	return errors.Join(errs...)
}

func closeNode(n *instance) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return n.Close()
}
