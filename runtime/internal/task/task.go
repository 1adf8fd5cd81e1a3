package task

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime/debug"
	"slices"
	"time"

	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// Task runs one sub-topology over one partition. It is owned by one goroutine: none of its methods may be called by
// another. See the package comment for the order of calls and the invariants.
type Task struct {
	cfg    Config
	id     topology.TaskID
	sub    topology.Subtopology
	log    *slog.Logger
	queues []*queue
	nodes  []*instance // in topological order
	stores []*store
	topics []topic
	// dynamic says that a sink of the sub-topology chooses topics: those that it has chosen are in topics too.
	dynamic bool
	punct   punctuations
	times   []*savedTime
	hashes  []uint64 // of the queues' topics
	built   bool     // before, no handler is asked: a node that cannot be built cannot be skipped
	// guarded: somebody decides about failures of nodes, so that panics are caught where they happen.
	guarded bool
	origins origins
	origin  Origin // of the record that is being written

	now        int64 // wall clock of this round, milliseconds
	streamTime int64
	limit      int64 // event time up to which records are processed
	source     topology.Coordinates
	raw        *topology.Raw  // of the record being processed, nil in a punctuation or a flush
	time       int64          // event time of what is being processed
	decoding   *topology.Node // the source whose serdes are at work, without a guard of their own

	err       error // sticky
	moved     bool  // something happened since the last commit
	requested bool  // RequestCommit
	drops     drops
	began     []InputPosition // where the inputs stood when the open transaction began
	mark      topology.Header // that, encoded; no value: not yet
	marks     []topology.Header
	read      int64 // input records taken since the last commit
	readTotal int64 // as of the last commit
}

// New builds a task: it opens the stores and builds the nodes, which may schedule punctuations. It reads no input.
func New(cfg Config) (*Task, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.MaxBuffered <= 0 {
		cfg.MaxBuffered = defaultMaxBuffered
	}
	t := &Task{
		cfg:        cfg,
		id:         topology.TaskID{Subtopology: cfg.Subtopology, Partition: cfg.Partition},
		log:        cfg.Logger,
		now:        cfg.Now.UnixMilli(),
		streamTime: -1,
		limit:      math.MaxInt64,
		source:     nowhere,
	}
	if t.log == nil {
		t.log = slog.Default()
	}
	t.guarded = cfg.Processing != nil || cfg.Production != nil || cfg.DeadLetterTopic != ""
	t.origins.task = t
	t.sub, _ = cfg.Topology.Subtopology(cfg.Subtopology)
	t.punct.reset()
	if err := t.build(); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	for _, p := range cfg.Start {
		if q := t.queue(p.Input); q != nil {
			q.next, q.epoch, q.partitionTime = p.Next, p.LeaderEpoch, p.PartitionTime
			t.streamTime = max(t.streamTime, p.PartitionTime)
		}
	}
	t.begin()
	return t, nil
}

// nowhere is the source of what does not come from an input record (P-12).
var nowhere = topology.Coordinates{Partition: -1, Offset: -1}

// ID returns the task's id.
func (t *Task) ID() topology.TaskID { return t.id }

// Inputs returns the input partitions, by full topic name, in the order that ties are broken in.
func (t *Task) Inputs() []Input {
	inputs := make([]Input, len(t.queues))
	for i, q := range t.queues {
		inputs[i] = q.in
	}
	return inputs
}

// Offer hands a batch over, to be read after those offered before. The task releases it, also if Offer fails.
func (t *Task) Offer(in Input, b Batch) error {
	q := t.queue(in)
	if q == nil || t.err != nil {
		b.Release()
		if t.err != nil {
			return t.err
		}
		return fmt.Errorf("task %s: %s-%d is not an input of it", t.id, in.Topic, in.Partition)
	}
	q.offer(b)
	return nil
}

// Lag tells how many records the log holds beyond those offered, if that is known. An input of which more is known to be
// there, or nothing is known, is waited for. Tell it after every fetch.
func (t *Task) Lag(in Input, known bool, n int64) {
	if q := t.queue(in); q != nil {
		if !known {
			n = -1
		}
		q.lag = n
	}
}

// Wants reports whether an input should be fetched: fewer than Config.MaxBuffered bytes of it wait.
func (t *Task) Wants(in Input) bool {
	q := t.queue(in)
	return q != nil && q.bytes < t.cfg.MaxBuffered
}

// Buffered returns the bytes of batches that the task holds, over all inputs.
func (t *Task) Buffered() int {
	n := 0
	for _, q := range t.queues {
		n += q.bytes
	}
	return n
}

// Step processes records while there are some that may be processed, at most max, firing the stream-time punctuations
// that become due after each. It returns how many it processed, and the time at which it has something to do though no
// input arrives: the end of an idle wait or a wall-clock punctuation, zero if there is none.
//
// An error is sticky: the task does nothing more, and its transaction must be aborted.
func (t *Task) Step(now time.Time, max int) (n int, wake time.Time, err error) {
	if t.err != nil {
		return 0, time.Time{}, t.err
	}
	t.now = now.UnixMilli()
	defer t.catch(&err)
	for n < max {
		q := t.choose()
		if q == nil {
			break
		}
		n++
		t.process(q)
		if t.err != nil {
			return n, time.Time{}, t.err
		}
	}
	return n, t.wake(), t.err
}

func (t *Task) process(q *queue) {
	t.source, t.raw, t.time = q.coords, &q.raw, q.headTime
	t.origins.at = 0
	q.partitionTime = max(q.partitionTime, q.headTime)
	t.streamTime = max(t.streamTime, q.headTime)
	t.moved = true
	t.read++
	q.head.Emit()
	if t.err != nil {
		return
	}
	q.loaded = false
	q.next++
	if t.streamTime >= t.punct.stream.due {
		t.punctuate(&t.punct.stream, t.streamTime)
	}
}

// Ready returns the event time of the record that Step would process next, and whether there is one. It decodes heads, but
// takes none.
func (t *Task) Ready(now time.Time) (headTime int64, ok bool) {
	if t.err != nil {
		return 0, false
	}
	t.now = now.UnixMilli()
	var err error
	defer t.catch(&err)
	q := t.choose()
	if q == nil {
		return 0, false
	}
	return q.headTime, true
}

// wake returns when to call Step or Punctuate again though nothing arrives.
func (t *Task) wake() time.Time {
	at := t.punct.wall.due
	data, waiting := false, int64(never)
	for _, q := range t.queues {
		data = data || q.loaded
		if !q.loaded && q.idling && t.now < q.deadline {
			waiting = min(waiting, q.deadline)
		}
	}
	if data {
		at = min(at, waiting)
	}
	if at == never {
		return time.Time{}
	}
	return time.UnixMilli(at)
}

// StreamTime returns the highest event time taken, -1 before the first record.
func (t *Task) StreamTime() int64 { return t.streamTime }

// Store returns the layer of a store of this task, global tables included, or nil. It is for queries, which the owner runs between
// rounds.
func (t *Task) Store(name string) state.Layer { return (*scope)(t).Store(name) }

// Err returns the sticky error.
func (t *Task) Err() error { return t.err }

func (t *Task) queue(in Input) *queue {
	i := slices.IndexFunc(t.queues, func(q *queue) bool { return q.in == in })
	if i < 0 {
		return nil
	}
	return t.queues[i]
}

// fail makes err the sticky error, unless there is one.
func (t *Task) fail(node string, err error) {
	if t.err == nil {
		t.err = &Error{Task: t.id, Node: node, Source: t.where(), Err: err}
	}
}

// catch turns a panic of user code into the sticky error. It is deferred by every method that runs nodes.
func (t *Task) catch(err *error) {
	if v := recover(); v != nil {
		node := ""
		if t.decoding != nil {
			node = t.decoding.Name
		}
		t.fail(node, &PanicError{Value: v, Stack: debug.Stack()})
		*err = t.err
	}
}

// store is a store of the sub-topology and its layer in this task.
type store struct {
	spec  *state.Spec
	layer state.Layer
	log   *changelog // nil: not logged
}
