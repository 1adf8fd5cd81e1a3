package restore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/commit"
	"github.com/millrace-io/millrace/runtime/internal/planted"
	"github.com/millrace-io/millrace/runtime/internal/task"
	"github.com/millrace-io/millrace/topology"
)

// stalled is after how long a changelog that does not move is worth a warning.
const stalled = 5 * time.Second

// bulkRecords is from how many records on a store is taken for one that is restored in bulk, until it says itself.
const bulkRecords = 100_000

// catchUp is one store partition on its way to its changelog's end. It belongs to the goroutine of its lane.
type catchUp struct {
	task  *Task
	store *Store
	bounds
	next     int64
	from     int64 // next, to begin with
	restored int64
	began    time.Time // reading
	bulk     bool      // EndBulk is due
	since    time.Time // of the last record, or of the beginning
	looked   time.Time // before end was asked for
	age      age       // of the changelog's deletes
	warned   bool
}

// catchUp restores the partitions in parallel lanes, each with a fetcher and a goroutine of its own.
func (r *Restorer) catchUp(ctx context.Context, behind []*catchUp, jobs *progress) error {
	lanes := make([]*lane, min(r.cfg.Parallel, len(behind)))
	for i := range lanes {
		lanes[i] = &lane{Restorer: r, jobs: jobs, reading: make(map[client.TopicPartition]*catchUp)}
	}
	slices.SortStableFunc(behind, func(a, b *catchUp) int { return cmp.Compare(b.end-b.next, a.end-a.next) })
	for i, c := range behind { // the longest first, so that the lanes end together
		l := lanes[i%len(lanes)]
		l.waiting = append(l.waiting, c)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var running sync.WaitGroup
	for _, l := range lanes {
		running.Go(func() {
			if err := l.run(ctx); err != nil {
				cancel(err)
			}
		})
	}
	running.Wait()
	return context.Cause(ctx)
}

// lane reads the changelogs of some partitions until all are at their ends. Those that are restored in bulk take turns, since each of
// them keeps a core and a share of the memory busy; the others are read at once. It belongs to one goroutine.
type lane struct {
	*Restorer
	jobs    *progress
	fetcher Fetcher
	waiting []*catchUp
	reading map[client.TopicPartition]*catchUp
	bulk    *catchUp // of those that are read, nil if it is none
}

func (l *lane) run(ctx context.Context) (err error) {
	if l.fetcher, err = l.cfg.NewFetcher(); err != nil {
		return err
	}
	defer l.fetcher.Close()
	defer l.suspend()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var got []client.Fetched
	for {
		if l.begin(); len(l.reading) == 0 {
			return nil
		}
		got = l.fetcher.Take(got[:0])
		for i := range got {
			c := l.reading[got[i].TopicPartition]
			if err := l.restore(ctx, &got[i]); err != nil {
				l.drop(c, err)
			}
		}
		if len(got) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-l.fetcher.Ready():
		case <-tick.C:
			l.warnStalled()
		}
	}
}

// begin starts reading what waits, as far as it may.
func (l *lane) begin() {
	l.waiting = slices.DeleteFunc(l.waiting, func(c *catchUp) bool { return l.jobs.failed(c.task.ID) })
	for i := 0; i < len(l.waiting); {
		c := l.waiting[i]
		if large := c.end-c.next >= bulkRecords; large && l.bulk != nil {
			i++
			continue
		}
		l.waiting = slices.Delete(l.waiting, i, i+1)
		var err error
		if c.bulk, err = c.store.State.BeginBulk(c.end - c.next); err != nil {
			l.jobs.fail(c.task.ID, l.failed(c, err))
			continue
		}
		if c.bulk {
			l.bulk = c
		}
		c.from, c.began = c.next, l.cfg.Now()
		c.since = c.began
		l.reading[c.store.Changelog] = c
		tell(l.cfg.Listen, c.event(Started))
		l.fetcher.Add(c.store.Changelog, c.next)
	}
}

// drop gives a partition up, and its task with it; the others go on.
func (l *lane) drop(c *catchUp, err error) {
	l.fetcher.Remove(c.store.Changelog)
	delete(l.reading, c.store.Changelog)
	if l.bulk == c {
		l.bulk = nil
	}
	if left := c.settle(); left != nil {
		err = errors.Join(err, l.failed(c, left))
	}
	tell(l.cfg.Listen, c.event(Suspended))
	l.jobs.fail(c.task.ID, err)
}

// suspend leaves what is not at its end where it stands: what was read of it is kept. If it cannot be, that is no more than said: the lane has
// another reason to end, and what is lost is read again.
func (l *lane) suspend() {
	for _, c := range l.reading {
		if err := c.settle(); err != nil {
			l.cfg.Logger.Warn("what was read of a changelog is lost", "task", c.task.ID.String(), "err", l.failed(c, err))
		}
		tell(l.cfg.Listen, c.event(Suspended))
	}
}

// settle makes what was read part of the store.
func (c *catchUp) settle() error {
	if !c.bulk {
		return nil
	}
	c.bulk = false
	return c.store.State.EndBulk()
}

func (l *lane) failed(c *catchUp, err error) error {
	return fmt.Errorf("restore store %q from %s at offset %d: %w", c.store.Name, partitionName(c.store.Changelog), c.next, err)
}

func release(f client.Fetched) {
	if f.Batch != nil {
		f.Batch.Release()
	}
}

// restore takes one answer into the store it is for.
func (l *lane) restore(ctx context.Context, got *client.Fetched) error {
	c := l.reading[got.TopicPartition]
	if c == nil { // fetched beyond the end
		release(*got)
		return nil
	}
	err := got.Err
	if err == nil && got.Batch != nil {
		err = c.take(got)
		c.since = l.cfg.Now()
	}
	if err == nil && c.next >= c.end {
		if err = c.settle(); err == nil {
			err = c.inTime(l.cfg.Now())
		}
	}
	if err != nil {
		return l.failed(c, err)
	}
	if got.Batch != nil {
		tell(l.cfg.Listen, c.progressed(Progressed, c.since))
	}
	if c.next < c.end {
		return nil
	}
	l.fetcher.Remove(got.TopicPartition)
	delete(l.reading, got.TopicPartition)
	if l.bulk == c {
		l.bulk = nil
	}
	c.complete()
	if l.cfg.ExactlyOnce && !l.jobs.offsets.anyCommitted(c.task) && c.restored > 0 { // T3
		return l.withoutOffsets(ctx, c)
	}
	tell(l.cfg.Listen, c.progressed(Ended, c.since))
	l.jobs.done(c)
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
		return fmt.Errorf("offsets were committed while its store %q was restored: another instance runs it", c.store.Name)
	}
	return commit.Fatal(fmt.Errorf("group %s has no committed offset for any input, but %s holds %d committed changes of store %q: "+
		"going on from the start would count twice. Were the group's offsets deleted, or did they expire? Restore them, "+
		"or reset the application: delete its changelog topics and %s",
		r.cfg.Group, partitionName(c.store.Changelog), c.restored, c.store.Name, r.cfg.StateDir))
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
		key, value, headers := raw.Key, raw.Value, ownHeaders(raw.Headers)
		if row := c.store.Row; row != nil {
			if key, value, ok = row(key, value, raw.Timestamp); !ok || raw.Offset >= c.end {
				continue
			}
			headers = nil // of what was read, not of the row
		}
		if err := c.store.State.Restore(key, value, raw.Timestamp, headers...); err != nil {
			return commit.Fatal(fmt.Errorf("record at offset %d: %w", raw.Offset, err))
		}
		c.restored++
	}
	c.next = got.Batch.End()
	if c.store.Row != nil {
		c.next = min(c.next, c.end)
	}
	if planted.Is(planted.PositionFromEnd) {
		return c.store.State.RestoredTo(c.end)
	}
	return c.store.State.RestoredTo(c.next)
}

// ownHeaders returns the headers that a store gave its changelog record: all but where the task's inputs stood, which comes last.
func ownHeaders(headers []topology.Header) []topology.Header {
	if n := len(headers) - 1; n >= 0 && headers[n].Key == task.PositionHeader {
		return headers[:n]
	}
	return headers
}

// warnStalled says, once, which open transaction a restore waits for: it ends by its time-out at the latest.
func (l *lane) warnStalled() {
	now := l.cfg.Now()
	for _, c := range l.reading {
		if !c.warned && now.Sub(c.since) >= stalled {
			c.warned = true
			l.cfg.Logger.Warn("restoring waits for an open transaction on the changelog, which its time-out ends at the latest",
				"task", c.task.ID.String(), "store", c.store.Name, "topic", c.store.Changelog.Topic,
				"partition", c.store.Changelog.Partition, "offset", c.next, "end", c.end)
		}
	}
}
