package restore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/commit"
	"github.com/millrace-io/millrace/runtime/internal/planted"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// Log is what Prepare asks of the log. *client.Client implements it.
type Log interface {
	CommittedOffsets(ctx context.Context, group string, partitions []client.TopicPartition) (map[client.TopicPartition]client.Committed, error)
	ListOffsets(ctx context.Context, spec client.OffsetSpec, partitions []client.TopicPartition) (map[client.TopicPartition]int64, error)
	TombstoneRetention(ctx context.Context, topics []string) (map[string]time.Duration, error)
}

// Fetcher reads changelogs, read committed. *client.Fetcher implements it.
type Fetcher interface {
	Add(tp client.TopicPartition, offset int64)
	Remove(tp client.TopicPartition)
	Ready() <-chan struct{}
	Take(dst []client.Fetched) []client.Fetched
	Close()
}

// Partition is a store partition as restoring sees it. *state.Partition implements it.
type Partition interface {
	Position() (state.Position, bool)
	Reset(state.Position) error
	Restore(key, value []byte, timestamp int64, headers ...topology.Header) error
	RestoredTo(next int64) error
	CompleteAsOf(ms int64)
	// BeginBulk prepares for about n records, and reports whether that makes a difference; then EndBulk must follow the last of them.
	BeginBulk(n int64) (bool, error)
	EndBulk() error
}

// Store is one store partition and the changelog that it is restored from.
type Store struct {
	Name      string
	Changelog client.TopicPartition
	TopicID   [16]byte
	State     Partition
	// Expires: the changelog deletes by age, as a window store's does; what is not in it any more has expired.
	Expires bool
	// Row, if not nil, says that Changelog is an input of the task, which is read up to the committed offset (T5), and what a record of
	// it makes of which row: see state.Spec.
	Row func(key, value []byte, timestamp int64) (k, v []byte, ok bool)
}

// Task is a task to make ready.
type Task struct {
	ID     topology.TaskID
	Inputs []client.TopicPartition
	// Known are the inputs for which this process knows that an offset was committed. It belongs to whoever has the task.
	Known map[client.TopicPartition]bool
	// Resets say where inputs begin that have no committed offset, where that is not the log's start.
	Resets map[client.TopicPartition]topology.OffsetReset
	Stores []Store // those that are logged
}

// Ready is a task that may run: its stores are at the changelogs' ends.
type Ready struct {
	ID topology.TaskID
	// Offsets has the next offset to process for each input; LeaderEpoch is -1 and Metadata empty where none was committed.
	Offsets map[client.TopicPartition]client.Committed
	// Fresh are the inputs among them that had no committed offset.
	Fresh    map[client.TopicPartition]bool
	Restored int64 // changelog records read
}

// Config configures a Restorer.
type Config struct {
	Group      string
	ClusterID  string
	Log        Log
	NewFetcher func() (Fetcher, error)
	// Parallel is how many lanes restore side by side, each with a fetcher of its own; of what is restored in bulk a lane has one
	// partition at a time. Default 1.
	Parallel int
	// ExactlyOnce says that changelog data and offsets are committed together, so that one without the other is an error (T3).
	ExactlyOnce bool
	StateDir    string // for messages
	// LookTimeout bounds how long the log is asked for the offsets of several tasks at once, before each is asked for alone. Default 10 s.
	LookTimeout time.Duration
	// Listen, if not nil, is told what happens to stores, by several goroutines.
	Listen func(Event)
	Logger *slog.Logger
	Now    func() time.Time
}

// Restorer makes tasks ready. It is safe for use by several goroutines, each with tasks of its own.
type Restorer struct{ cfg Config }

// New returns a Restorer.
func New(cfg Config) *Restorer {
	if cfg.Parallel < 1 {
		cfg.Parallel = 1
	}
	if cfg.LookTimeout <= 0 {
		cfg.LookTimeout = 10 * time.Second
	}
	return &Restorer{cfg: cfg}
}

// Prepare makes tasks ready and calls ready for each as soon as it is, from one goroutine at a time. It returns when all are, or cannot be
// for now: one task's failure is no other's. The error is a Failed, or about all that were not handed to ready. Tasks that were
// handed to ready stay ready.
func (r *Restorer) Prepare(ctx context.Context, tasks []Task, ready func(Ready)) error {
	gone := make(map[topology.TaskID]bool)
	err := r.prepare(ctx, tasks, r.cfg.LookTimeout, func(t Ready) {
		gone[t.ID] = true
		ready(t)
	})
	if _, single := errors.AsType[Failed](err); err == nil || single || len(tasks) == 1 || ctx.Err() != nil {
		return err
	}
	left := slices.DeleteFunc(slices.Clone(tasks), func(t Task) bool { return gone[t.ID] })
	return r.alone(ctx, left, err, ready)
}

// prepare is Prepare for tasks of which the log has to tell within a time. An error that is not of single tasks is about all that were not
// handed to ready.
func (r *Restorer) prepare(ctx context.Context, tasks []Task, within time.Duration, ready func(Ready)) error {
	looked := r.cfg.Now()
	looking, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	offsets, err := r.inputOffsets(looking, tasks) // T1: before the ends
	if err != nil {
		return err
	}
	ends, starts, err := r.changelogBounds(looking, tasks)
	if err != nil {
		return err
	}
	ages := agesOf(looking, r.cfg.Log, behind(tasks, ends), r.cfg.Logger.Warn)
	jobs := newProgress(tasks, offsets, ready)
	var late []*catchUp
	for i := range tasks {
		t := &tasks[i]
		for j := range t.Stores {
			s := &t.Stores[j]
			target := bounds{start: starts[s.Changelog], end: ends[s.Changelog]}
			if s.Row != nil {
				target = offsets.processed(s.Changelog, target)
			}
			from, err := r.begin(t, s, target, offsets.anyCommitted(t), ages)
			if err != nil {
				jobs.fail(t.ID, fmt.Errorf("restore store %q from %s: %w", s.Name, partitionName(s.Changelog), err))
				break
			}
			if from < target.end {
				jobs.expect(t.ID)
				late = append(late, &catchUp{task: t, store: s, next: from, bounds: target, since: r.cfg.Now(), looked: looked, age: ages[s.Changelog.Topic]})
			}
		}
	}
	late = slices.DeleteFunc(late, func(c *catchUp) bool { return jobs.failed(c.task.ID) })
	jobs.start()
	if err := r.catchUp(ctx, late, jobs); err != nil {
		return err
	}
	return jobs.err()
}

// inputOffsets are the group's offsets, completed by log starts.
type inputOffsets struct {
	at    map[client.TopicPartition]client.Committed
	fresh map[client.TopicPartition]bool
}

func (o *inputOffsets) anyCommitted(t *Task) bool {
	for _, in := range t.Inputs {
		if !o.fresh[in] {
			return true
		}
	}
	return false
}

// processed returns the part of an input that the task has processed, of which the store holds the result.
func (o *inputOffsets) processed(input client.TopicPartition, log bounds) bounds {
	if o.fresh[input] {
		return bounds{start: log.start, end: log.start}
	}
	return bounds{start: log.start, end: max(log.start, min(log.end, o.at[input].Offset))}
}

// inputOffsets fetches the stable offsets of all inputs (T1), and looks up where those begin that have none (T3).
func (r *Restorer) inputOffsets(ctx context.Context, tasks []Task) (*inputOffsets, error) {
	var inputs []client.TopicPartition
	missing := make(map[client.OffsetSpec][]client.TopicPartition)
	for _, t := range tasks {
		inputs = append(inputs, t.Inputs...)
	}
	at, err := r.cfg.Log.CommittedOffsets(ctx, r.cfg.Group, inputs)
	if err != nil {
		return nil, err
	}
	o := &inputOffsets{at: at, fresh: make(map[client.TopicPartition]bool)}
	for i := range tasks {
		for _, in := range tasks[i].Inputs {
			if _, ok := at[in]; ok {
				continue
			}
			if tasks[i].Known[in] {
				return nil, fmt.Errorf("group %s has no committed offset for %s, but this instance has committed one: "+
					"were the group's offsets deleted? Stop all instances before resetting an application", r.cfg.Group, partitionName(in))
			}
			o.fresh[in] = true
			from, err := r.beginning(in, tasks[i].Resets[in])
			if err != nil {
				return nil, err
			}
			missing[from] = append(missing[from], in)
		}
	}
	for _, from := range slices.Sorted(maps.Keys(missing)) {
		starts, err := r.cfg.Log.ListOffsets(ctx, from, missing[from])
		if err != nil {
			return nil, err
		}
		for in, start := range starts {
			o.at[in] = client.Committed{Offset: start, LeaderEpoch: -1}
		}
	}
	return o, nil
}

// beginning returns where an input begins that has no committed offset.
func (r *Restorer) beginning(in client.TopicPartition, reset topology.OffsetReset) (client.OffsetSpec, error) {
	since, ago := reset.Since(r.cfg.Now())
	switch {
	case ago:
		return client.Since(since), nil
	case reset == topology.Latest():
		return client.LastStable, nil
	case reset == topology.NoReset():
		return 0, commit.Fatal(fmt.Errorf("group %s has no committed offset for %s, and the offset reset of its source is %v: commit where the group "+
			"is to begin, or give the source another", r.cfg.Group, partitionName(in), reset))
	case planted.Is(planted.ResetToLatest):
		return client.HighWatermark, nil
	}
	return client.LogStart, nil
}

func (r *Restorer) changelogBounds(ctx context.Context, tasks []Task) (ends, starts map[client.TopicPartition]int64, err error) {
	var changelogs []client.TopicPartition
	for _, t := range tasks {
		for _, s := range t.Stores {
			changelogs = append(changelogs, s.Changelog)
		}
	}
	if len(changelogs) == 0 {
		return nil, nil, nil
	}
	upTo := client.HighWatermark
	if planted.Is(planted.RestoreToStable) {
		upTo = client.LastStable
	}
	if ends, err = r.cfg.Log.ListOffsets(ctx, upTo, changelogs); err != nil {
		return nil, nil, err
	}
	starts, err = r.cfg.Log.ListOffsets(ctx, client.LogStart, changelogs)
	return ends, starts, err
}

func partitionName(tp client.TopicPartition) string {
	return fmt.Sprintf("%s-%d", tp.Topic, tp.Partition)
}
