package restore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/planted"
	"github.com/millrace-io/millrace/topology"
)

// PausableFetcher is a Fetcher whose partitions can be left alone for a while. *client.Fetcher implements it.
type PausableFetcher interface {
	Fetcher
	Pause(partitions ...client.TopicPartition)
	Resume(partitions ...client.TopicPartition)
}

// KeeperConfig configures a Keeper.
type KeeperConfig struct {
	ClusterID string
	Log       Log
	Fetcher   PausableFetcher // its owner's to close, after Run
	// Near is up to how many missing records a copy counts as caught up (acceptable.recovery.lag). Changed is called when one has
	// become so, by the Keeper's goroutine; it must not call the Keeper.
	Near    int64
	Changed func()
	// ExactlyOnce says that what is written to changelogs is followed by the marker of its transaction.
	ExactlyOnce bool
	Listen      func(Event) // may be nil
	Logger      *slog.Logger
	Now         func() time.Time
}

// Copy is where the copy of a task's state stands.
type Copy struct {
	ID  topology.TaskID
	Lag int64 // records missing, -1 as long as that is not known
}

// Keeper keeps copies of tasks' stores up to date, beside the workers: standbys (S-46) and warm-ups (S-47). It reads their changelogs
// as they grow, committed data only, into the same store partitions that a task would use; so a task whose copy was kept here
// starts after reading what is missing.
//
//	T4  a store partition is written by one: its task, a preparation, or the Keeper. A task is given to a worker only after Keep,
//	    without it, has returned; and to the Keeper after its worker has closed it.
//
// Run owns all but what is atomic.
type Keeper struct {
	cfg      KeeperConfig
	commands chan func()
	found    chan found
	ended    chan struct{}
	copies   atomic.Pointer[[]Copy]

	fetcher PausableFetcher
	kept    map[client.TopicPartition]*kept
	held    bool             // Hold
	looking bool             // a look-up is under way
	again   <-chan time.Time // of a look-up, after one failed; nil: none is due
	wait    time.Duration    // before it
	looks   sync.WaitGroup
}

// kept is one store partition.
type kept struct {
	task     *Task
	store    *Store
	state    keptState
	next     int64
	end      int64 // while it follows
	age      age   // of the changelog's deletes
	restored int64
	near     bool // was caught up once
}

type keptState uint8

const (
	unlocated keptState = iota // where its changelog begins and ends has to be asked
	following
	refused // left alone
)

// ErrEnded is returned by a Keeper whose Run has returned.
var ErrEnded = errors.New("keeper of copies has ended")

// NewKeeper returns a Keeper without copies.
func NewKeeper(cfg KeeperConfig) *Keeper {
	k := &Keeper{
		cfg: cfg, commands: make(chan func(), 1), found: make(chan found, 1), ended: make(chan struct{}),
		fetcher: cfg.Fetcher, kept: make(map[client.TopicPartition]*kept), wait: firstLook,
	}
	k.copies.Store(new([]Copy))
	return k
}

// Copies returns where the copies stand, sorted. It does not wait.
func (k *Keeper) Copies() []Copy { return *k.copies.Load() }

// Keep says of which tasks copies are to be kept, of no others. It returns when the others are not touched any more (T4). promoted
// says of a task that it is to run here.
func (k *Keeper) Keep(ctx context.Context, tasks []Task, promoted func(topology.TaskID) bool) error {
	return k.do(ctx, func() { k.keep(tasks, promoted) })
}

// Hold has the Keeper wait while tasks are made ready, which come first (S-39), or go on.
func (k *Keeper) Hold(ctx context.Context, hold bool) error {
	return k.do(ctx, func() {
		k.held = hold
		all := k.changelogs()
		if hold {
			k.fetcher.Pause(all...)
		} else {
			k.fetcher.Resume(all...)
		}
	})
}

func (k *Keeper) do(ctx context.Context, f func()) error {
	done := make(chan struct{})
	select {
	case k.commands <- func() { f(); close(done) }:
	case <-k.ended:
		return ErrEnded
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-done:
		return nil
	case <-k.ended:
		return ErrEnded
	}
}

// Run keeps copies until ctx ends, which is no error, or the state cannot be written.
func (k *Keeper) Run(ctx context.Context) error {
	defer close(k.ended)
	ctx, cancel := context.WithCancel(ctx)
	defer k.looks.Wait()
	defer cancel()
	defer k.keep(nil, func(topology.TaskID) bool { return false })
	var got []client.Fetched
	for {
		select {
		case <-ctx.Done():
			return nil
		case c := <-k.commands:
			c()
			k.look(ctx)
		case f := <-k.found:
			k.looking = false
			if err := k.locate(f); err != nil {
				return err
			}
			k.look(ctx) // those that were added meanwhile
		case <-k.again:
			k.again = nil
			k.look(ctx)
		case <-k.fetcher.Ready():
			got = k.fetcher.Take(got[:0])
			if err := k.takeAll(got); err != nil {
				return err
			}
		}
		k.publish()
	}
}

// keep makes the set of copies what is wanted.
func (k *Keeper) keep(tasks []Task, promoted func(topology.TaskID) bool) {
	wanted := make(map[client.TopicPartition]*kept)
	for i := range tasks {
		for j := range tasks[i].Stores {
			s := &tasks[i].Stores[j]
			if s.Row != nil {
				continue // T5
			}
			wanted[s.Changelog] = &kept{task: &tasks[i], store: s}
		}
	}
	for _, tp := range k.changelogs() {
		if _, ok := wanted[tp]; ok || planted.Is(planted.CopyKept) {
			continue
		}
		c := k.kept[tp]
		k.fetcher.Remove(tp)
		delete(k.kept, tp)
		if c.state == following {
			e := c.event(Suspended)
			e.Promoted = promoted(c.task.ID)
			if e.Promoted && planted.Is(planted.CopyClaimsEnd) {
				_ = c.store.State.RestoredTo(c.end) // what fails is not planted
			}
			tell(k.cfg.Listen, e)
		}
	}
	for tp, c := range wanted {
		if _, ok := k.kept[tp]; !ok {
			k.kept[tp] = c
		}
	}
	k.publish()
}

func (c *kept) event(kind EventKind) Event {
	return Event{Kind: kind, Task: c.task.ID, Store: c.store.Name, Changelog: c.store.Changelog, Standby: true,
		Next: c.next, End: c.end, Records: c.restored}
}

// changelogs returns what is kept, sorted: what listeners are told, and what the state has done to it, is in one order.
func (k *Keeper) changelogs() []client.TopicPartition {
	return slices.SortedFunc(maps.Keys(k.kept), func(a, b client.TopicPartition) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
}

func (k *Keeper) takeAll(got []client.Fetched) error {
	for i := range got {
		if err := k.take(&got[i]); err != nil {
			for _, rest := range got[i+1:] {
				release(rest)
			}
			return err
		}
	}
	return nil
}

// take puts what was fetched into the copy. The error is one of the state; what the log or a record is to blame for costs the copy
// alone: the task, which may run elsewhere, will say what is wrong.
func (k *Keeper) take(got *client.Fetched) error {
	c := k.kept[got.TopicPartition]
	if c == nil || c.state != following {
		release(*got)
		return nil
	}
	if got.Err != nil {
		k.cfg.Logger.Warn("changelog of a standby task cannot be read on; it is looked up again",
			"task", c.task.ID.String(), "store", c.store.Name, "err", got.Err)
		k.fetcher.Remove(got.TopicPartition)
		c.state = unlocated
		k.lookLater()
		return nil
	}
	c.end = max(got.HighWatermark, c.next)
	now := k.cfg.Now()
	if got.Batch == nil {
		c.complete(got, now)
		return nil
	}
	if !c.inTime(got, now) { // looked up again, it will be found behind, as long as it has not got this
		release(*got)
		k.fetcher.Remove(got.TopicPartition)
		c.state = unlocated
		k.lookLater()
		return nil
	}
	bad, err := c.load(got)
	switch {
	case err != nil:
		return fmt.Errorf("task %s: copy of store %q: %w", c.task.ID, c.store.Name, err)
	case bad != nil:
		k.cfg.Logger.Error("changelog record does not fit the store; its copy is left alone", "task", c.task.ID.String(),
			"store", c.store.Name, "err", bad)
		k.fetcher.Remove(got.TopicPartition)
		c.state = refused
		return nil
	}
	c.end, k.wait = max(c.end, c.next), firstLook
	tell(k.cfg.Listen, c.event(Progressed))
	c.complete(got, now)
	return nil
}

// load restores one batch. bad is a record that cannot be restored.
func (c *kept) load(got *client.Fetched) (bad, err error) {
	defer got.Batch.Release()
	var raw topology.Raw
	for {
		ok, err := got.Batch.Next(&raw)
		if err != nil {
			return err, nil
		}
		if !ok {
			break
		}
		if err := c.store.State.Restore(raw.Key, raw.Value, raw.Timestamp, ownHeaders(raw.Headers)...); err != nil {
			return fmt.Errorf("record at offset %d: %w", raw.Offset, err), nil
		}
		c.restored++
	}
	c.next = got.Batch.End()
	return nil, c.store.State.RestoredTo(c.next)
}

// publish shows where the copies stand, and says when one has caught up.
func (k *Keeper) publish() {
	lags := make(map[topology.TaskID]int64)
	near := false
	for _, c := range k.kept {
		lag, ok := lags[c.task.ID]
		switch {
		case ok && lag < 0, c.state != following:
			lags[c.task.ID] = -1
		default:
			lags[c.task.ID] = lag + c.end - c.next
		}
		if !c.near && c.state == following && c.end-c.next <= k.cfg.Near {
			c.near, near = true, true
		}
	}
	copies := make([]Copy, 0, len(lags))
	for id, lag := range lags {
		copies = append(copies, Copy{id, lag})
	}
	slices.SortFunc(copies, func(a, b Copy) int { return a.ID.Compare(b.ID) })
	if old := *k.copies.Load(); !slices.Equal(old, copies) {
		k.copies.Store(&copies)
	}
	if near {
		k.cfg.Changed()
	}
}
