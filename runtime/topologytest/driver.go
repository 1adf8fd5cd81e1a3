package topologytest

import (
	"errors"
	"fmt"
	"log/slog"
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
	readers map[string]*task.Task        // by full topic name
	globals map[string]state.GlobalLayer // by topic
	now     time.Time
	err     error // what stopped it
}

// New returns a driver that runs top from the beginning. It fails the test if top is not valid. The driver is closed when the
// test ends.
func New(tb testing.TB, top *topology.Topology, options ...Option) *Driver {
	tb.Helper()
	d := &Driver{
		tb:      tb,
		cfg:     config{applicationID: "app", start: time.Unix(0, 0), logger: slog.New(slog.DiscardHandler)},
		top:     top,
		log:     newLog(),
		readers: map[string]*task.Task{},
		globals: map[string]state.GlobalLayer{},
	}
	for _, o := range options {
		o(&d.cfg)
	}
	d.now = d.cfg.start
	d.log.sent = d.deliver
	if err := top.Validate(); err != nil {
		tb.Fatalf("topologytest: topology: %v", err)
	}
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
	for _, g := range d.top.Globals {
		layer, err := d.openGlobal(g)
		if err != nil {
			return fmt.Errorf("open global table %s: %w", g.Name, err)
		}
		d.globals[g.Topic], byStore[g.Store] = layer, layer
	}
	for _, sub := range d.top.Subtopologies() {
		t, err := task.New(task.Config{
			Topology:        d.top,
			ApplicationID:   d.cfg.applicationID,
			Subtopology:     sub.Number,
			Output:          d.log,
			Committed:       d.committed,
			Globals:         byStore,
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
			d.readers[in.Topic] = t
			t.Lag(in, true, 0) // what is piped has arrived
		}
	}
	return nil
}

func (d *Driver) openGlobal(g topology.GlobalTable) (state.GlobalLayer, error) {
	i := slices.IndexFunc(d.top.Stores, func(s *state.Spec) bool { return s.Name == g.Store })
	layer, err := d.top.Stores[i].Open(state.Env{})
	if err != nil {
		return nil, err
	}
	global, ok := layer.(state.GlobalLayer)
	if !ok {
		return nil, fmt.Errorf("store %s is a %T, which takes no records of a topic", g.Store, layer)
	}
	return global, nil
}

// committed gives a task the committed layer of a store, which begins empty, at the start of its changelog.
func (d *Driver) committed(spec *state.Spec) (*state.Partition, error) {
	p, err := d.db.Partition(spec, 0)
	if err != nil {
		return nil, err
	}
	if err := p.Reset(state.Position{ClusterID: "topologytest"}); err != nil {
		return nil, err
	}
	return p, nil
}

// deliver hands a record that a task sent to the task that reads its topic, if there is one.
func (d *Driver) deliver(topic string, r topology.Raw) {
	if t := d.readers[topic]; t != nil {
		// The input is one of t's; if t has failed, its error surfaces where it is stepped.
		_ = t.Offer(task.Input{Topic: topic}, &single{record: r})
	}
	if g := d.globals[topic]; g != nil {
		d.err = errors.Join(d.err, g.Apply(r.Key, r.Value, r.Timestamp))
	}
}

// TryPipeRaw pipes a record as bytes, which need not be decodable, into a topic that the topology reads, and processes it to the
// end. Offset is ignored.
func (d *Driver) TryPipeRaw(topic string, r topology.Raw) error {
	if d.err != nil {
		return d.err
	}
	full := d.top.Internal(d.cfg.applicationID, topic)
	if d.readers[full] == nil && d.globals[topic] == nil {
		return fmt.Errorf("topic %s: the topology does not read it; it reads %s", topic, strings.Join(d.top.UserTopics(), ", "))
	}
	d.deliver(full, d.log.append(full, &r))
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
		if err := t.Flush(); err != nil {
			return err
		}
		next := map[string]int64{}
		for _, s := range d.top.Stores {
			next[s.Name] = d.log.end(topology.ChangelogTopic(d.cfg.applicationID, s.Name))
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
