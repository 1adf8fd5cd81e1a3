package restore

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/commit"
	"github.com/millrace-io/millrace/runtime/internal/planted"
	"github.com/millrace-io/millrace/topology"
)

// stalled is after how long a changelog that does not move is worth a warning.
const stalled = 5 * time.Second

// catchUp is one store partition on its way to its changelog's end. It belongs to the goroutine of its lane.
type catchUp struct {
	task  *Task
	store *Store
	bounds
	next     int64
	restored int64
	since    time.Time // of the last record, or of the beginning
	warned   bool
}

// catchUp restores the partitions in parallel lanes, each with a fetcher and a goroutine of its own.
func (r *Restorer) catchUp(ctx context.Context, behind []*catchUp, jobs *progress) error {
	lanes := make([]map[client.TopicPartition]*catchUp, min(r.cfg.Parallel, len(behind)))
	for i, c := range behind {
		lane := i % len(lanes)
		if lanes[lane] == nil {
			lanes[lane] = make(map[client.TopicPartition]*catchUp)
		}
		lanes[lane][c.store.Changelog] = c
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var running sync.WaitGroup
	for _, lane := range lanes {
		running.Go(func() {
			if err := r.lane(ctx, lane, jobs); err != nil {
				cancel(err)
			}
		})
	}
	running.Wait()
	return context.Cause(ctx)
}

// lane reads the changelogs of one lane until all are at their ends.
func (r *Restorer) lane(ctx context.Context, lane map[client.TopicPartition]*catchUp, jobs *progress) error {
	f, err := r.cfg.NewFetcher()
	if err != nil {
		return err
	}
	defer f.Close()
	for tp, c := range lane {
		tell(r.cfg.Listen, c.event(Started))
		f.Add(tp, c.next)
	}
	defer func() {
		for _, c := range lane {
			tell(r.cfg.Listen, c.event(Suspended))
		}
	}()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var got []client.Fetched
	for len(lane) > 0 {
		got = f.Take(got[:0])
		for i := range got {
			if err := r.restore(ctx, lane, f, &got[i], jobs); err != nil {
				for _, rest := range got[i+1:] {
					release(rest)
				}
				return err
			}
		}
		if len(got) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-f.Ready():
		case <-tick.C:
			r.warnStalled(lane)
		}
	}
	return nil
}

func release(f client.Fetched) {
	if f.Batch != nil {
		f.Batch.Release()
	}
}

// restore takes one answer into the store it is for.
func (r *Restorer) restore(ctx context.Context, lane map[client.TopicPartition]*catchUp, f Fetcher, got *client.Fetched, jobs *progress) error {
	c := lane[got.TopicPartition]
	if c == nil { // fetched beyond the end
		release(*got)
		return nil
	}
	err := got.Err
	if err == nil && got.Batch != nil {
		err = c.take(got)
		c.since = r.cfg.Now()
	}
	if err != nil {
		return fmt.Errorf("task %s: restore store %q from %s at offset %d: %w",
			c.task.ID, c.store.Name, partitionName(c.store.Changelog), c.next, err)
	}
	if got.Batch != nil {
		tell(r.cfg.Listen, c.event(Progressed))
	}
	if c.next < c.end {
		return nil
	}
	f.Remove(got.TopicPartition)
	delete(lane, got.TopicPartition)
	if r.cfg.ExactlyOnce && !jobs.offsets.anyCommitted(c.task) && c.restored > 0 { // T3
		return r.withoutOffsets(ctx, c)
	}
	tell(r.cfg.Listen, c.event(Ended))
	jobs.done(c)
	return nil
}

// withoutOffsets explains how a changelog can hold committed data where no offset was committed. Asked once more, the group may know one:
// then another instance has committed in between, which owns the task, and this one is about to learn that it does not.
func (r *Restorer) withoutOffsets(ctx context.Context, c *catchUp) error {
	at, err := r.cfg.Log.CommittedOffsets(ctx, r.cfg.Group, c.task.Inputs)
	if err != nil {
		return err
	}
	if len(at) > 0 {
		return fmt.Errorf("task %s: offsets were committed while its store %q was restored: another instance runs it", c.task.ID, c.store.Name)
	}
	return commit.Fatal(fmt.Errorf("task %s: group %s has no committed offset for any input, but %s holds %d committed changes of store %q: "+
		"going on from the start would count twice. Were the group's offsets deleted, or did they expire? Restore them, "+
		"or reset the application: delete its changelog topics and %s",
		c.task.ID, r.cfg.Group, partitionName(c.store.Changelog), c.restored, c.store.Name, r.cfg.StateDir))
}

// take puts one batch into the store.
func (c *catchUp) take(got *client.Fetched) (err error) {
	defer got.Batch.Release()
	var raw topology.Raw
	for {
		ok, err := got.Batch.Next(&raw)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if c.store.Valid != nil && (raw.Offset >= c.end || !c.store.Valid(raw.Key, raw.Value, raw.Timestamp)) {
			continue
		}
		if err := c.store.State.Restore(raw.Key, raw.Value, raw.Timestamp); err != nil {
			return commit.Fatal(fmt.Errorf("record at offset %d: %w", raw.Offset, err))
		}
		c.restored++
	}
	c.next = got.Batch.End()
	if c.store.Valid != nil {
		c.next = min(c.next, c.end)
	}
	if planted.Is(planted.PositionFromEnd) {
		return c.store.State.RestoredTo(c.end)
	}
	return c.store.State.RestoredTo(c.next)
}

// warnStalled says, once, which open transaction a restore waits for: it ends by its time-out at the latest.
func (r *Restorer) warnStalled(lane map[client.TopicPartition]*catchUp) {
	now := r.cfg.Now()
	for _, c := range lane {
		if !c.warned && now.Sub(c.since) >= stalled {
			c.warned = true
			r.cfg.Logger.Warn("restoring waits for an open transaction on the changelog, which its time-out ends at the latest",
				"task", c.task.ID.String(), "store", c.store.Name, "topic", c.store.Changelog.Topic,
				"partition", c.store.Changelog.Partition, "offset", c.next, "end", c.end)
		}
	}
}
