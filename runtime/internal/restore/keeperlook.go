package restore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/state"
)

// How a Keeper begins with a copy: beside its loop it asks where the changelog begins and ends, and then decides where the copy goes on.

// found is the answer to a look-up.
type found struct {
	asked        []*kept
	ends, starts map[client.TopicPartition]int64
	ages         map[string]age
	err          error
}

// Bounds of the wait between look-ups that failed, and of one of them.
const (
	firstLook   = 100 * time.Millisecond
	lastLook    = 10 * time.Second
	lookTimeout = 30 * time.Second
)

// look asks where the changelogs of new copies begin and end, beside the loop.
func (k *Keeper) look(ctx context.Context) {
	if k.looking || k.again != nil {
		return
	}
	var asked []*kept
	var changelogs []client.TopicPartition
	var topics []string
	for _, tp := range k.changelogs() { // sorted
		if c := k.kept[tp]; c.state == unlocated {
			asked, changelogs, topics = append(asked, c), append(changelogs, tp), append(topics, tp.Topic)
		}
	}
	topics = slices.Compact(topics)
	if len(asked) == 0 {
		return
	}
	k.looking = true
	k.looks.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, lookTimeout)
		defer cancel()
		f := found{asked: asked}
		if f.ends, f.err = k.cfg.Log.ListOffsets(ctx, client.HighWatermark, changelogs); f.err == nil {
			f.starts, f.err = k.cfg.Log.ListOffsets(ctx, client.LogStart, changelogs)
		}
		if f.err == nil {
			f.ages = agesOf(ctx, k.cfg.Log, topics, k.cfg.Logger.Warn)
		}
		k.found <- f // has room for the one that is under way
	})
}

// locate begins to follow changelogs that were looked up.
func (k *Keeper) locate(f found) error {
	if f.err != nil {
		if !errors.Is(f.err, context.Canceled) {
			k.cfg.Logger.Warn("changelogs of standby tasks cannot be looked up yet", "err", f.err, "retry_in", k.wait)
		}
		k.lookLater()
		return nil
	}
	for _, c := range f.asked {
		tp := c.store.Changelog
		if k.kept[tp] != c {
			continue // not wanted any more
		}
		c.age = f.ages[tp.Topic]
		if err := k.begin(c, bounds{start: f.starts[tp], end: f.ends[tp]}); err != nil {
			return err
		}
	}
	return nil
}

// lookLater has what failed looked up again after a while.
func (k *Keeper) lookLater() {
	if k.again == nil {
		k.again = time.After(k.wait)
		k.wait = min(2*k.wait, lastLook)
	}
}

// begin follows one changelog from where the copy stands, which is emptied if it does not fit (T2).
func (k *Keeper) begin(c *kept, log bounds) error {
	have, known := c.store.State.Position()
	now := k.cfg.Now()
	want := state.Position{
		ClusterID: k.cfg.ClusterID, TopicID: c.store.TopicID, Partition: c.store.Changelog.Partition, Next: log.start, AsOf: now.UnixMilli(),
	}
	v, why := judge(have, known, want, log)
	switch {
	case v != trust:
	case misses(have, log, k.cfg.ExactlyOnce):
		v, why = c.age.judge(have, now)
	default:
		c.store.State.CompleteAsOf(now.UnixMilli())
	}
	log1 := k.cfg.Logger.With("task", c.task.ID.String(), "store", c.store.Name, "topic", c.store.Changelog.Topic,
		"partition", c.store.Changelog.Partition)
	switch v {
	case trust:
		c.next = have.Next
	case refuse:
		log1.Error("copy of a store does not fit its changelog, which is empty while the store is not; it is left alone", "why", why)
		c.state = refused
		return nil
	case rebuild:
		log1.Warn("copy of a store does not fit its changelog; wiping and rebuilding it", "why", why)
		fallthrough
	case begin:
		warnTruncated(log1, c.store, log)
		if err := c.store.State.Reset(want); err != nil {
			return fmt.Errorf("task %s: copy of store %q: %w", c.task.ID, c.store.Name, err)
		}
		c.next = log.start
	}
	c.state, c.end, c.restored = following, log.end, 0
	tell(k.cfg.Listen, c.event(Started))
	k.fetcher.Add(c.store.Changelog, c.next)
	if k.held {
		k.fetcher.Pause(c.store.Changelog)
	}
	return nil
}
