package runtime

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/task"
	"github.com/millrace-io/millrace/runtime/internal/worker"
	"github.com/millrace-io/millrace/topology"
)

// Drop counts the records that a node left out for one reason.
type Drop = task.Drop

// Stats is what an instance has done since Run began, and where it stands, as of each worker's last commit: what an aborted
// transaction did is not in it. Counts are of this instance, not of the application.
type Stats struct {
	State State
	// Read counts records taken from source and repartition topics, dropped ones included; ReadBy by sub-topology.
	Read   int64
	ReadBy map[int32]int64
	// Written counts records written to sink and repartition topics; Logged those written to changelogs. WrittenBy and
	// LoggedBy are by topic.
	Written   int64
	WrittenBy map[string]int64
	Logged    int64
	LoggedBy  map[string]int64
	// Commits and Aborts count transactions (in at-least-once mode: offset commits, and failures).
	Commits, Aborts int64
	// CommitCost is the smoothed duration of a commit, of the slowest worker.
	CommitCost time.Duration
	// Dropped has the records left out, by node and reason, sorted.
	Dropped []Drop
	// Lag is how many offsets of its inputs the instance has not committed, as far as it knows; -1 while it runs no task
	// whose input is known. Offsets of control records and of aborted transactions count.
	Lag int64
	// Tasks are those that run or are being made ready, sorted.
	Tasks []TaskStats
	// Standbys are the tasks whose state is kept up to date here though they run elsewhere, warm-ups included, sorted.
	Standbys []StandbyStats
	// DirtyBytes and CachedBytes are the memory that stores hold: of uncommitted writes, and of cached entries.
	DirtyBytes, CachedBytes int64
}

// TaskStats is where one task stands.
type TaskStats struct {
	ID     topology.TaskID
	Worker int
	Ready  bool  // false: its stores are being restored, or it has failed
	Err    error // why it is stopped, see StopTask
	Inputs []InputStats
}

// StandbyStats is where the copy of a task's state stands.
type StandbyStats struct {
	ID  topology.TaskID
	Lag int64 // changelog records missing; -1: not known yet
}

// InputStats is where a task stands on one input partition.
type InputStats struct {
	Topic      string
	Partition  int32
	Committed  int64 // next offset that the group has committed, -1 if none yet
	LastStable int64 // end of what may be read, as of the last fetch; -1: not known yet
	Lag        int64 // offsets between the two; -1: not known yet
}

// Stats returns a snapshot. It does not wait for workers and costs them nothing.
func (a *App) Stats() Stats {
	s := Stats{
		State:     a.State(),
		ReadBy:    make(map[int32]int64),
		WrittenBy: make(map[string]int64),
		LoggedBy:  make(map[string]int64),
		Lag:       -1,
	}
	in := a.instance.Load()
	if in == nil {
		return s
	}
	drops := make(map[Drop]int64)
	if r := in.roster.Load(); r != nil {
		for i, w := range r.workers {
			s.addWorker(a, i, w.Snapshot(), drops)
		}
		if r.leaving != nil {
			s.addWorker(a, -1, r.leaving.Snapshot(), drops)
		}
		s.addWorker(a, -1, &r.past, drops) // what those that were removed have done counts
	}
	for _, c := range in.keeper.Copies() {
		s.Standbys = append(s.Standbys, StandbyStats(c))
	}
	in.dropped.each(func(d Drop, n int64) { drops[d] += n })
	for d, n := range drops {
		d.Count = n
		s.Dropped = append(s.Dropped, d)
	}
	slices.SortFunc(s.Dropped, func(a, b Drop) int {
		return cmp.Or(strings.Compare(a.Node, b.Node), strings.Compare(string(a.Reason), string(b.Reason)))
	})
	slices.SortFunc(s.Tasks, func(a, b TaskStats) int { return a.ID.Compare(b.ID) })
	return s
}

// addWorker books what a worker has done and runs.
func (s *Stats) addWorker(a *App, i int, snapshot *worker.Snapshot, drops map[Drop]int64) {
	s.Commits += snapshot.Commits
	s.Aborts += snapshot.Aborts
	s.CommitCost = max(s.CommitCost, snapshot.CommitCost)
	s.DirtyBytes += snapshot.DirtyBytes
	s.CachedBytes += snapshot.CachedBytes
	for sub, n := range snapshot.Read {
		s.Read += n
		s.ReadBy[sub] += n
	}
	for topic, n := range snapshot.Written {
		s.count(a, topic, n)
	}
	for _, d := range snapshot.Drops {
		drops[Drop{Node: d.Node, Reason: d.Reason}] += d.Count
	}
	for _, id := range snapshot.Preparing {
		s.Tasks = append(s.Tasks, TaskStats{ID: id, Worker: i})
	}
	for _, id := range snapshot.Held {
		s.Tasks = append(s.Tasks, TaskStats{ID: id, Worker: i})
	}
	for _, f := range snapshot.Failed {
		s.Tasks = append(s.Tasks, TaskStats{ID: f.ID, Worker: i, Err: f.Err})
	}
	for _, t := range snapshot.Running {
		s.add(i, t.ID, t.Inputs)
	}
}

// count books what was written to a topic.
func (s *Stats) count(a *App, topic string, n int64) {
	for _, spec := range a.topology.Stores {
		if spec.Logging && spec.SourceTopic == "" && topology.ChangelogTopic(a.cfg.ApplicationID, spec.Name) == topic {
			s.Logged += n
			s.LoggedBy[topic] += n
			return
		}
	}
	s.Written += n
	s.WrittenBy[topic] += n
}

// add books a running task.
func (s *Stats) add(workerSlot int, id topology.TaskID, inputs []worker.InputSnapshot) {
	t := TaskStats{ID: id, Worker: workerSlot, Ready: true, Inputs: make([]InputStats, len(inputs))}
	for i, in := range inputs {
		t.Inputs[i] = InputStats{
			Topic: in.Topic, Partition: in.Partition,
			Committed: in.Committed, LastStable: in.LastStable, Lag: in.Lag,
		}
		if in.Lag >= 0 {
			s.Lag = max(s.Lag, 0) + in.Lag
		}
	}
	s.Tasks = append(s.Tasks, t)
}
