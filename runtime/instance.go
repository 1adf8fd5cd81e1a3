package runtime

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/assign"
	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/global"
	"github.com/millrace-io/millrace/runtime/internal/member"
	"github.com/millrace-io/millrace/runtime/internal/restore"
	"github.com/millrace-io/millrace/runtime/internal/skew"
	"github.com/millrace-io/millrace/runtime/internal/statedir"
	"github.com/millrace-io/millrace/runtime/internal/task"
	"github.com/millrace-io/millrace/runtime/internal/worker"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/state/memstore"
	"github.com/millrace-io/millrace/state/pebblestore"
	"github.com/millrace-io/millrace/topology"
)

// instance is a started App: everything that Run opened, in the order of opening.
type instance struct {
	topology *topology.Topology
	cfg      Config
	log      *slog.Logger

	dir     *statedir.Dir // nil without a state directory
	id      string
	client  *client.Client
	plan    *plan
	purger  *client.Purger
	db      *state.DB
	globals map[string]state.GlobalLayer
	tables  *global.Tables
	dropped dropCounts       // by global tables; tasks count theirs
	workers []*worker.Worker // the supervisor's, once it runs
	slots   []slot           // what the workers stand on; likewise
	roster  atomic.Pointer[roster]
	member  *member.Member
	keeper  *restore.Keeper // of standbys and warm-ups
	board   *skew.Board     // nil: event time is not kept aligned
	signals signals
	regrown atomic.Bool // source topics have changed: the supervisor looks what its tasks read
	policy  policy
	paused  *atomic.Bool   // the App's
	stay    *atomic.Bool   // the App's
	orders  chan order     // for the supervisor
	closers []func() error // in the order of opening
}

// open reaches the log, opens the state and loads the global tables. On an error it closes what it opened.
func open(ctx context.Context, t *topology.Topology, cfg Config) (*instance, error) {
	in := &instance{topology: t, cfg: cfg, log: cfg.Logger, id: statedir.NewInstanceID(), signals: newSignals(), orders: make(chan order)}
	in.board = in.newBoard()
	for _, step := range []func(context.Context) error{
		in.openDir, in.connect, in.check, in.openState, in.openWorkers, in.loadGlobals, in.openKeeper, in.openMember,
	} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, in.close())
		}
	}
	return in, nil
}

// close closes everything in the reverse order of opening.
func (in *instance) close() error {
	var errs []error
	for _, c := range slices.Backward(in.closers) {
		errs = append(errs, c())
	}
	in.closers = nil
	return errors.Join(errs...)
}

func (in *instance) closeLater(f func() error) { in.closers = append(in.closers, f) }

func (in *instance) openDir(context.Context) (err error) {
	if in.cfg.StateDir == "" {
		return nil
	}
	if in.dir, err = statedir.Open(in.cfg.StateDir, in.cfg.ApplicationID); err != nil {
		return err
	}
	in.closeLater(in.dir.Close)
	in.id = in.dir.InstanceID()
	return nil
}

// connect reaches the log. A broker that does not answer may be starting, or starting again: it is asked until ConnectTimeout.
func (in *instance) connect(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, in.cfg.ConnectTimeout)
	defer cancel()
	for wait := minConnectWait; ; wait = min(2*wait, maxConnectWait) {
		in.client, err = client.Connect(ctx, client.Config{
			Brokers:  in.cfg.Brokers,
			Dial:     in.cfg.Dial,
			TLS:      in.cfg.TLS,
			SASL:     in.cfg.SASL,
			Rack:     in.cfg.ClientRack,
			ClientID: in.cfg.ApplicationID + "-" + in.id,
			Logger:   in.log,
		})
		if err == nil {
			in.closeLater(func() error { in.client.Close(); return nil })
			in.purger = client.NewPurger(in.client, in.cfg.purgeEvery)
			return nil
		}
		if client.ClassOf(err) != client.ClassRetry { // one has answered
			return err
		}
		in.log.Debug("no broker answers", "err", err)
		if !pause(ctx, wait) {
			return fmt.Errorf("%w; is a broker running there, and reachable from here?", err)
		}
	}
}

// Bounds of the wait between two attempts to connect.
const (
	minConnectWait = 10 * time.Millisecond
	maxConnectWait = time.Second
)

// pause waits, and reports whether ctx still holds.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// check finds faults between topology and log before anything is started: missing topics, co-partitioning.
func (in *instance) check(ctx context.Context) error {
	in.plan = newPlan(in.topology, in.cfg, in.client)
	ctx, cancel := context.WithTimeout(ctx, in.cfg.ConnectTimeout)
	defer cancel()
	return in.plan.check(ctx)
}

func (in *instance) openState(context.Context) error {
	engine, err := in.openEngine()
	if err != nil {
		return err
	}
	cfg := state.Config{CacheBytes: in.cfg.CacheBytes, Logger: in.log}
	if in.cfg.tuneState != nil {
		in.cfg.tuneState(&cfg)
	}
	if in.db, err = state.NewDB(engine, cfg); err != nil {
		return errors.Join(err, engine.Close())
	}
	in.closeLater(in.db.Close)
	return nil
}

// openEngine opens what is below all stores.
func (in *instance) openEngine() (state.Engine, error) {
	var dir string
	if in.dir != nil {
		dir = in.dir.StatePath()
	}
	switch {
	case in.cfg.Engine != nil:
		e, err := in.cfg.Engine(dir)
		if err != nil {
			return nil, fmt.Errorf("open the state by Config.Engine: %w", err)
		}
		return e, nil
	case in.dir != nil:
		return pebblestore.Open(dir, pebblestore.Options{Logger: in.log})
	}
	return memstore.New(), nil
}

// newTask builds a task over the instance's state. Workers call it, each for its own tasks.
func (in *instance) newTask(id topology.TaskID, out task.Output, start []task.Progress, now time.Time) (*task.Task, error) {
	inputs := make([]task.Input, len(start)) // not nil: of a topic with fewer partitions there is none
	topics := make([]string, len(start))
	for i, p := range start {
		inputs[i], topics[i] = p.Input, p.Input.Topic
	}
	top, err := in.topology.Match(in.cfg.ApplicationID, topics) // whatever is matched by now: the task reads what it was described with
	if err != nil {
		return nil, err
	}
	return task.New(task.Config{
		Topology:      top,
		ApplicationID: in.cfg.ApplicationID,
		Subtopology:   id.Subtopology,
		Partition:     id.Partition,
		Output:        out,
		Committed: func(spec *state.Spec) (*state.Partition, error) {
			return in.db.Partition(spec, id.Partition)
		},
		Globals:         in.globals,
		Inputs:          inputs,
		Start:           start,
		Now:             now,
		MaxIdle:         in.cfg.TaskIdle,
		Deserialization: in.cfg.Deserialization,
		Processing:      in.cfg.Processing,
		Production:      in.cfg.Production,
		DeadLetterTopic: in.cfg.DeadLetterTopic,
		Logger:          in.log,
	})
}

func (in *instance) openMember(context.Context) (err error) {
	previous, err := in.previousTasks()
	if err != nil {
		return err
	}
	cfg := member.Config{
		Group:            in.cfg.ApplicationID,
		InstanceID:       in.id,
		Capacity:         in.cfg.Workers,
		Fingerprint:      fingerprint(in.topology),
		Topics:           in.plan.sources,
		Previous:         previous,
		SessionTimeout:   in.cfg.SessionTimeout,
		RebalanceTimeout: in.cfg.RebalanceTimeout,
		Plan:             in.plan.lead,
		Assign:           in.cfg.assignConfig(false),
		Rack:             in.cfg.ClientRack,
		Tags:             in.cfg.ClientTags,
		Endpoint:         in.cfg.Endpoint,
		Lags:             in.lags,
		ProbeInterval:    in.cfg.ProbingRebalanceInterval,
		Logger:           in.log,
	}
	if in.cfg.Assignor != nil {
		cfg.Assignor = in.askAssignor
	}
	in.member, err = member.New(in.client, cfg)
	return err
}

// previousTasks are the tasks whose state is on this instance's disk.
func (in *instance) previousTasks() ([]assign.Task, error) {
	stored, err := in.db.Stored()
	if err != nil {
		return nil, err
	}
	var tasks []assign.Task
	for _, sub := range in.topology.Subtopologies() {
		for _, s := range stored {
			t := assign.Task{Subtopology: sub.Number, Partition: s.Partition}
			if slices.Contains(sub.Stores, s.Store) && !slices.Contains(tasks, t) {
				tasks = append(tasks, t)
			}
		}
	}
	return tasks, nil
}

// fingerprint is a short form of what the topology is (DESIGN D10), without partition counts: those may change while others see the old ones.
func fingerprint(t *topology.Topology) uint64 {
	h := fnv.New64a()
	h.Write(t.Canonical(topology.Partitions{})) // a hash never fails to be written
	return h.Sum64()
}

// lateMember is the instance's member, which is made after the workers.
type lateMember struct{ in *instance }

func (m lateMember) Enter(ctx context.Context) (client.Identity, func(), error) {
	return m.in.member.Enter(ctx)
}
func (m lateMember) Identity() client.Identity { return m.in.member.Identity() }
func (m lateMember) Refused()                  { m.in.member.Refused() }
