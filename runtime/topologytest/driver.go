package topologytest

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/task"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/state/memstore"
	"github.com/millrace-io/millrace/topology"
)

// Driver runs one topology. Methods that cannot go on fail the test at once; those named Try return the error instead.
type Driver struct {
	tb      testing.TB
	cfg     config
	top     *topology.Topology
	log     *log
	db      *state.DB
	tasks   []*task.Task
	readers map[task.Input]*task.Task // topics by their full names
	globals map[string]*globalReader  // by topic
	dropped map[Drop]int64            // by global tables; their Count is 0
	now     time.Time
	err     error // what stopped it
}

// New returns a driver that runs top from the beginning. It fails the test if top is not valid. The driver is closed when the
// test ends.
func New(tb testing.TB, top *topology.Topology, options ...Option) *Driver {
	tb.Helper()
	d := &Driver{
		tb:      tb,
		cfg:     config{applicationID: "app", partitions: 1, start: time.Unix(0, 0), logger: slog.New(slog.DiscardHandler)},
		top:     top,
		log:     newLog(),
		readers: map[task.Input]*task.Task{},
		globals: map[string]*globalReader{},
		dropped: map[Drop]int64{},
	}
	for _, o := range options {
		o(&d.cfg)
	}
	d.now = d.cfg.start
	d.log.sent = d.deliver
	if err := top.Validate(); err != nil {
		tb.Fatalf("topologytest: topology: %v", err)
	}
	top, err := top.Match(d.cfg.applicationID, slices.AppendSeq(slices.Clone(d.cfg.topics), maps.Keys(d.cfg.byTopic)))
	if err != nil {
		tb.Fatalf("topologytest: topology: %v", err)
	}
	d.top = d.cfg.trace.wrap(top)
	tb.Cleanup(d.close)
	if err := d.open(); err != nil {
		tb.Fatalf("topologytest: %v", err)
	}
	return d
}

func (d *Driver) open() error {
	db, err := state.NewDB(memstore.New(), state.Config{Inline: true, Logger: d.cfg.logger})
	if err != nil {
		return fmt.Errorf("open state: %w", err)
	}
	d.db = db
	byStore := map[string]state.GlobalLayer{}
	for i := range d.top.Globals {
		g := &d.top.Globals[i]
		layer, err := d.openGlobal(g)
		if err != nil {
			return fmt.Errorf("open global table %s: %w", g.Name, err)
		}
		byStore[g.Store] = layer
	}
	counts, err := d.partition()
	if err != nil {
		return err
	}
	for _, sub := range d.top.Subtopologies() {
		for n := range counts.Tasks[sub.Number] {
			if err := d.openTask(sub, n, counts, byStore); err != nil {
				return err
			}
		}
	}
	return nil
}

// partition finds out how many partitions topics have, and sub-topologies tasks.
func (d *Driver) partition() (topology.Partitions, error) {
	users := map[string]int32{}
	for _, topic := range d.top.UserTopics() {
		users[topic] = d.cfg.partitionsOf(topic)
	}
	counts, err := d.top.Partition(users)
	if err != nil {
		return counts, err
	}
	d.log.others = d.cfg.partitions
	for topic, n := range users {
		d.log.counts[topic] = n
	}
	for topic, n := range d.cfg.byTopic {
		d.log.counts[topic] = n
	}
	for topic, n := range counts.Topics {
		d.log.counts[d.top.Internal(d.cfg.applicationID, topic)] = n
	}
	for _, topic := range d.top.InternalTopics(d.cfg.applicationID, counts) {
		d.log.counts[topic.Name] = topic.Partitions
	}
	return counts, nil
}

// openTask makes the task of a sub-topology for partition n.
func (d *Driver) openTask(sub topology.Subtopology, n int32, counts topology.Partitions, globals map[string]state.GlobalLayer) error {
	inputs := []task.Input{}
	for _, source := range sub.Sources {
		if n < counts.Topics[source] {
			inputs = append(inputs, task.Input{Topic: d.top.Internal(d.cfg.applicationID, source), Partition: n})
		}
	}
	t, err := task.New(task.Config{
		Topology:        d.top,
		ApplicationID:   d.cfg.applicationID,
		Subtopology:     sub.Number,
		Partition:       n,
		Inputs:          inputs,
		Output:          d.log,
		Committed:       func(spec *state.Spec) (*state.Partition, error) { return d.committed(spec, n) },
		Globals:         globals,
		Now:             d.now,
		MaxIdle:         d.cfg.maxIdle,
		Deserialization: d.cfg.handlers.deserialization,
		Processing:      d.cfg.handlers.processing,
		Production:      d.cfg.handlers.production,
		DeadLetterTopic: d.cfg.deadLetters,
		Logger:          d.cfg.logger,
	})
	if err != nil {
		return err
	}
	d.tasks = append(d.tasks, t)
	for _, in := range t.Inputs() {
		d.readers[in] = t
		t.Lag(in, true, 0) // what is piped has arrived
	}
	return nil
}

// committed gives a task the committed layer of a store, which begins empty, at the start of its changelog.
func (d *Driver) committed(spec *state.Spec, n int32) (*state.Partition, error) {
	p, err := d.db.Partition(spec, n)
	if err != nil {
		return nil, err
	}
	if err := p.Reset(state.Position{ClusterID: "topologytest", Partition: n}); err != nil {
		return nil, err
	}
	return p, nil
}

// deliver hands a record that a task sent to the task that reads its topic, if there is one.
func (d *Driver) deliver(in task.Input, r topology.Raw) {
	if t := d.readers[in]; t != nil {
		// The input is one of t's; if t has failed, its error surfaces where it is stepped.
		_ = t.Offer(in, &single{record: r})
	}
	if g := d.globals[in.Topic]; g != nil {
		d.err = errors.Join(d.err, g.take(topology.Coordinates{Topic: in.Topic, Partition: in.Partition, Offset: r.Offset}, &r))
	}
}

// TryPipeRaw pipes a record as bytes, which need not be decodable, into a topic that the topology reads, and processes it to the
// end. Offset is ignored. The partition is that of the key, as Kafka's default partitioner chooses it; of a null key the first.
func (d *Driver) TryPipeRaw(topic string, r topology.Raw) error {
	var n int32
	if r.Key != nil {
		n = topology.PartitionOf(r.Key, d.log.Partitions(d.top.Internal(d.cfg.applicationID, topic)))
	}
	return d.TryPipeRawTo(topic, n, r)
}

// TryPipeRawTo is TryPipeRaw into a partition of the topic.
func (d *Driver) TryPipeRawTo(topic string, partition int32, r topology.Raw) error {
	if d.err != nil {
		return d.err
	}
	in := task.Input{Topic: d.top.Internal(d.cfg.applicationID, topic), Partition: partition}
	if d.readers[task.Input{Topic: in.Topic}] == nil && d.globals[topic] == nil {
		return fmt.Errorf("topic %s: the topology does not read it; it reads %s", topic, strings.Join(d.top.UserTopics(), ", "))
	}
	if n := d.log.Partitions(in.Topic); partition < 0 || partition >= n {
		return fmt.Errorf("topic %s has the partitions 0 to %d in this test, not %d", topic, n-1, partition)
	}
	d.cfg.trace.piped(in, &r)
	d.deliver(in, d.log.append(in, &r))
	if d.err == nil {
		d.err = d.drain()
	}
	return d.err
}

// drain processes records until no task can go on: always of the task whose head has the lowest event time.
func (d *Driver) drain() error {
	for {
		t := d.choose()
		if t == nil {
			return d.failed()
		}
		if _, _, err := t.Step(d.now, 1); err != nil {
			return err
		}
		if d.err != nil {
			return d.err
		}
		if !d.cfg.manual {
			if err := d.commit(); err != nil {
				return err
			}
		}
	}
}

// choose returns the task to step: it has a record, and does not wait for another input.
func (d *Driver) choose() *task.Task {
	var best *task.Task
	var lowest int64
	for _, t := range d.tasks {
		if at, ok := t.Ready(d.now); ok && (best == nil || at < lowest) {
			best, lowest = t, at
		}
	}
	return best
}

// failed returns the error of a task that could not decode a head.
func (d *Driver) failed() error {
	for _, t := range d.tasks {
		if err := t.Err(); err != nil {
			return err
		}
	}
	return nil
}

// commit flushes every task and makes its writes committed state. What a flush sends to another task waits there.
func (d *Driver) commit() error {
	for _, t := range d.tasks {
		if !t.Uncommitted() {
			continue
		}
		d.cfg.trace.commits(t)
		if err := t.Flush(); err != nil {
			return err
		}
		next := map[string]int64{}
		for _, s := range d.top.Stores {
			next[s.Name] = d.log.ends[task.Input{Topic: topology.ChangelogTopic(d.cfg.applicationID, s.Name), Partition: t.ID().Partition}]
		}
		if err := t.Committed(next); err != nil {
			return err
		}
	}
	return nil
}

// TryCommit flushes and commits, and processes what that sent to other sub-topologies, until nothing is left.
func (d *Driver) TryCommit() error {
	for d.err == nil && d.uncommitted() {
		if d.err = d.commit(); d.err == nil {
			d.err = d.drain()
		}
	}
	return d.err
}

func (d *Driver) uncommitted() bool {
	return slices.ContainsFunc(d.tasks, (*task.Task).Uncommitted)
}

// Commit is TryCommit; an error fails the test. It is needed with ManualCommit only.
func (d *Driver) Commit() {
	d.tb.Helper()
	d.must(d.TryCommit())
}

// TryAdvanceWallClock moves the wall clock, fires the wall-clock punctuations that are due, each once, commits unless commits are
// manual, and processes what may be processed now.
func (d *Driver) TryAdvanceWallClock(by time.Duration) error {
	if d.err != nil {
		return d.err
	}
	d.now = d.now.Add(by)
	for _, t := range d.tasks {
		if _, d.err = t.Punctuate(d.now); d.err != nil {
			return d.err
		}
	}
	if !d.cfg.manual {
		d.err = d.commit()
	}
	if d.err == nil {
		d.err = d.drain()
	}
	return d.err
}

// AdvanceWallClock is TryAdvanceWallClock; an error fails the test.
func (d *Driver) AdvanceWallClock(by time.Duration) {
	d.tb.Helper()
	d.must(d.TryAdvanceWallClock(by))
}

// Now returns the wall clock.
func (d *Driver) Now() time.Time { return d.now }

func (d *Driver) must(err error) {
	if err != nil {
		d.tb.Helper()
		d.tb.Fatalf("topologytest: %v", err)
	}
}

func (d *Driver) close() {
	for _, g := range d.globals {
		if g.instance.Close != nil {
			if err := g.instance.Close(); err != nil {
				d.tb.Errorf("topologytest: close global store %s: %v", g.name, err)
			}
		}
	}
	for _, t := range d.tasks {
		if err := t.Close(); err != nil {
			d.tb.Errorf("topologytest: close: %v", err)
		}
	}
	if d.db != nil {
		if err := d.db.Close(); err != nil {
			d.tb.Errorf("topologytest: close state: %v", err)
		}
	}
}
