package worker

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/task"
	"github.com/millrace-io/millrace/topology"
)

// Snapshot is what a worker has done and where it stands, as of its last commit. It is not changed after it was published.
type Snapshot struct {
	Commits, Aborts int64
	CommitCost      time.Duration // smoothed
	Read            map[int32]int64
	Drops           []task.Drop
	Written         map[string]int64 // by topic
	Running         []TaskSnapshot
	Preparing       []topology.TaskID
	Failed          []FailedTask
	Held            []topology.TaskID // to be made ready when the worker is not paused any more
	DirtyBytes      int64
	CachedBytes     int64
}

// Sum adds up what two workers have done; what they run is left out.
func Sum(a, b *Snapshot) Snapshot {
	sum := Snapshot{
		Commits: a.Commits + b.Commits, Aborts: a.Aborts + b.Aborts,
		Read: make(map[int32]int64), Written: make(map[string]int64),
	}
	drops := make(map[dropKey]int64)
	for _, s := range []*Snapshot{a, b} {
		for sub, n := range s.Read {
			sum.Read[sub] += n
		}
		for topic, n := range s.Written {
			sum.Written[topic] += n
		}
		for _, d := range s.Drops {
			drops[dropKey{d.Node, d.Reason}] += d.Count
		}
	}
	sum.Drops = sortedDrops(drops)
	return sum
}

func sortedDrops(counts map[dropKey]int64) (drops []task.Drop) {
	for k, n := range counts {
		drops = append(drops, task.Drop{Node: k.node, Reason: k.reason, Count: n})
	}
	slices.SortFunc(drops, func(a, b task.Drop) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Reason, b.Reason))
	})
	return drops
}

// TaskSnapshot is one running task.
type TaskSnapshot struct {
	ID     topology.TaskID
	Inputs []InputSnapshot
}

// InputSnapshot is where a task stands on one input partition.
type InputSnapshot struct {
	client.TopicPartition
	Position   int64 // next offset to process
	Committed  int64 // -1: none yet
	LastStable int64 // -1: not known yet
	// Lag is how many offsets there are between what is committed and the last stable offset; -1: not known yet.
	Lag int64
}

// totals are what closed tasks have done, and counters of the worker.
type totals struct {
	commits, aborts int64
	read            map[int32]int64 // by sub-topology
	drops           map[dropKey]int64
}

type dropKey struct {
	node   string
	reason topology.Reason
}

func (t *totals) add(id topology.TaskID, s task.Stats) {
	if t.read == nil {
		t.read, t.drops = make(map[int32]int64), make(map[dropKey]int64)
	}
	t.read[id.Subtopology] += s.Read
	for _, d := range s.Drops {
		t.drops[dropKey{d.Node, d.Reason}] += d.Count
	}
}

// with returns the totals with the running tasks' added.
func (t *totals) with(tasks []*running) totals {
	sum := totals{commits: t.commits, aborts: t.aborts, read: maps.Clone(t.read), drops: maps.Clone(t.drops)}
	for _, r := range tasks {
		sum.add(r.spec.ID, r.task.Stats())
	}
	return sum
}

// Snapshot returns the last published snapshot. It does not wait for the worker.
func (w *Worker) Snapshot() *Snapshot { return w.stats.Load() }

// publishEvery is how often an idle worker shows what it learnt of its lag.
const publishEvery = 100 * time.Millisecond

// publish makes a new snapshot.
func (w *Worker) publish() {
	sum := w.totals.with(w.tasks)
	s := &Snapshot{
		Commits:    sum.commits,
		Aborts:     sum.aborts,
		CommitCost: w.policy.Cost(),
		Read:       sum.read,
		Drops:      sortedDrops(sum.drops),
		Written:    make(map[string]int64),
	}
	w.out.Written(func(topic string, records int64) { s.Written[topic] = records })
	for _, r := range w.tasks {
		s.Running = append(s.Running, r.snapshot())
		dirty, cached := r.task.Bytes()
		s.DirtyBytes, s.CachedBytes = s.DirtyBytes+dirty, s.CachedBytes+cached
	}
	for _, p := range w.batches {
		for _, t := range p.tasks {
			s.Preparing = append(s.Preparing, t.ID)
		}
	}
	for _, t := range w.heldBack {
		s.Held = append(s.Held, t.ID)
	}
	for _, f := range w.failedTasks {
		s.Failed = append(s.Failed, FailedTask{f.spec.ID, f.err})
	}
	w.stats.Store(s)
	w.published = w.cfg.Now()
}

func (r *running) snapshot() TaskSnapshot {
	s := TaskSnapshot{ID: r.spec.ID, Inputs: make([]InputSnapshot, len(r.inputs))}
	for i, in := range r.inputs {
		out := InputSnapshot{TopicPartition: in.tp, Position: in.position, Committed: in.committed, LastStable: -1, Lag: -1}
		if in.known {
			out.LastStable = in.lastStable
			out.Lag = max(in.lastStable-max(in.committed, in.start), 0)
		}
		s.Inputs[i] = out
	}
	return s
}
