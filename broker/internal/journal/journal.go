package journal

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Config says how a journal runs. All fields but Durable are required.
type Config struct {
	FS  vfs.FS
	Dir string // exists
	// Owner is written into every file, and checked at replay.
	Owner [16]byte
	// Async counts an entry as durable once it is written, without a sync.
	Async bool
	// FileBytes is about how large a file gets before the owner calls Rotate. Space is reserved ahead up to it.
	FileBytes int64
	// Durable is told of every move of the durable LSN by the committer goroutine, before anybody that waits.
	// It must not call the journal.
	Durable func(LSN)
}

// Journal is the writing side. Its methods may be called from any goroutine, but Prepare, Rotate and Release by one at a time.
type Journal struct {
	cfg Config

	durable  atomic.Uint64
	enqueued atomic.Uint64
	written  atomic.Int64 // bytes in the present file
	stats    stats

	mu struct {
		sync.Mutex
		pending  pending
		next     *file // prepared for the next rotation, or nil
		rotating bool  // until the committer goes on in next
		boundary LSN   // the last entry before it
		closing  bool
		err      error
		moved    chan struct{} // closed and replaced when durable moves, a rotation is over, the journal fails or ends
	}
	work    sync.Cond     // pending, rotating or closing; with mu
	stopped chan struct{} // closed when a write has failed

	file   *file    // owned by the committer
	spares []string // to be used again; owned by the caller of Prepare and Release

	done sync.WaitGroup
}

// Open starts a journal in a new file of the given epoch, which must be above those of all files in use. lsn is the last one
// before the first entry. spares are files that may be reused.
func Open(cfg Config, epoch uint64, lsn LSN, spares []string) (*Journal, error) {
	j := &Journal{cfg: cfg, spares: spares, stopped: make(chan struct{})}
	j.work.L = &j.mu
	j.mu.moved = make(chan struct{})
	j.durable.Store(uint64(lsn))
	j.enqueued.Store(uint64(lsn))
	f, err := j.newFile(epoch)
	if err != nil {
		return nil, err
	}
	j.file = f
	j.done.Go(j.commit)
	return j, nil
}

// Stats counts what the journal did since it was opened.
type Stats struct {
	Entries, Bytes int64
	// Syncs is how often entries were made durable; SyncTime is what the syncs took.
	Syncs    int64
	SyncTime time.Duration
}

type stats struct{ entries, bytes, syncs, syncNanos atomic.Int64 }

// Stats returns the counts so far.
func (j *Journal) Stats() Stats {
	return Stats{Entries: j.stats.entries.Load(), Bytes: j.stats.bytes.Load(), Syncs: j.stats.syncs.Load(),
		SyncTime: time.Duration(j.stats.syncNanos.Load())}
}

// Enqueue adds an entry and returns its LSN. The entry's head is copied; its body is kept until it is written, and must not
// change. Enqueue does not block on I/O, and fails only if the journal has stopped or is closing.
func (j *Journal) Enqueue(e Entry) (LSN, error) {
	if e.size() > MaxEntryBytes {
		return 0, fmt.Errorf("journal entry of %d bytes exceeds %d", e.size(), MaxEntryBytes)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.mu.err != nil {
		return 0, j.mu.err
	}
	if j.mu.closing {
		return 0, ErrClosed
	}
	lsn := LSN(j.enqueued.Add(1))
	j.mu.pending.add(lsn, &e)
	if len(j.mu.pending.entries) == 1 {
		j.work.Signal()
	}
	return lsn, nil
}

// Durable returns the last durable LSN.
func (j *Journal) Durable() LSN { return LSN(j.durable.Load()) }

// Enqueued returns the last LSN given out.
func (j *Journal) Enqueued() LSN { return LSN(j.enqueued.Load()) }

// FileSize returns how many bytes the present file holds.
func (j *Journal) FileSize() int64 { return j.written.Load() }

// Wait returns once lsn is durable, or with ctx's error, or with one that wraps ErrStopped or is ErrClosed if it will never be.
func (j *Journal) Wait(ctx context.Context, lsn LSN) error {
	for j.Durable() < lsn {
		j.mu.Lock()
		moved, err := j.mu.moved, j.mu.err
		closed := j.mu.closing && lsn > j.Enqueued()
		j.mu.Unlock()
		switch {
		case j.Durable() >= lsn: // between the look and the lock
			return nil
		case err != nil:
			return err
		case closed:
			return ErrClosed
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Fail stops the journal for good, as a failed write does. The first error stays.
func (j *Journal) Fail(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.mu.err != nil {
		return
	}
	j.mu.err = fmt.Errorf("%w: %w", ErrStopped, err)
	j.mu.pending.reset()
	j.wakeLocked()
	close(j.stopped)
	j.work.Broadcast()
}

// Stopped is closed when the journal has failed.
func (j *Journal) Stopped() <-chan struct{} { return j.stopped }

// Err returns why the journal has failed, or nil.
func (j *Journal) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.mu.err
}

// Close makes everything enqueued durable, ends the committer and closes the file.
func (j *Journal) Close() error {
	j.mu.Lock()
	if j.mu.closing {
		j.mu.Unlock()
		return ErrClosed
	}
	j.mu.closing = true
	j.work.Broadcast()
	j.mu.Unlock()
	j.done.Wait()
	err := j.Err()
	if err == nil && j.cfg.Async {
		err = j.file.sync()
	}
	if cerr := j.file.close(); err == nil {
		err = cerr
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.mu.next != nil {
		if cerr := j.mu.next.close(); err == nil {
			err = cerr
		}
	}
	j.wakeLocked()
	return err
}

// wakeLocked wakes all that wait for an LSN or a rotation.
func (j *Journal) wakeLocked() {
	close(j.mu.moved)
	j.mu.moved = make(chan struct{})
}
