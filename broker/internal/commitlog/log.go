package commitlog

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/millrace-io/millrace/broker/internal/journal"
)

// Log is one open data directory.
type Log struct {
	cfg        Config
	journalDir string
	topicsDir  string
	lock       io.Closer
	owner      [16]byte // the cluster id
	machines   map[MachineID]Machine
	machineIDs []MachineID // ascending: the lock order
	catalog    *catalog
	files      *files
	buffers    buffers // of reads
	journal    *journal.Journal

	// gate is held for reading by every change, from its decision to its application, and for writing by a checkpoint while it
	// copies the state. closed is guarded by it.
	gate   sync.RWMutex
	closed bool
	ending atomic.Bool // closed, or stopped: appends need not wait for space

	// order is held while an entry is enqueued and noted, so that touched is in the order of LSNs.
	order   sync.Mutex
	touched []touch

	tailBytes atomic.Int64 // in memory, over all partitions
	space     space
	room      room

	dirtyMu sync.Mutex
	dirty   []*Partition  // to be looked at by the segment writer
	flushC  chan struct{} // the segment writer has work
	checkC  chan struct{} // a checkpoint is due

	// flushMu is held by whoever writes or syncs segments. It is taken before the gate.
	flushMu        sync.Mutex
	flushBuf       []byte
	dirtyTopicsDir bool
	deadBytes      int64               // of files that the next checkpoint removes
	backups        map[string]struct{} // under way, by the directory they make: no checkpoint removes files meanwhile

	deleted []*topic // since the last checkpoint; guarded by the catalog's lock
	epoch   uint64   // of the journal; guarded by flushMu

	publishing []touch // owned by the journal's committer

	quit      chan struct{}
	done      sync.WaitGroup // segment writer, checkpointer, housekeeper, compactor
	closeOnce sync.Once
	closeErr  error
}

// touch says that an entry changes a partition.
type touch struct {
	lsn LSN
	p   *Partition
}

// Close waits for what is enqueued, writes a checkpoint and gives the directory back. The error, if any, is of the last
// checkpoint or an earlier failed write: the directory can be opened again in any case. Calls after the first return the same.
func (l *Log) Close() error {
	l.closeOnce.Do(func() { l.closeErr = l.close() })
	return l.closeErr
}

func (l *Log) close() error {
	l.ending.Store(true)
	l.space.wake()
	l.gate.Lock()
	l.closed = true
	l.gate.Unlock()
	close(l.quit)
	l.done.Wait()
	var errs []error
	if err := l.Err(); err != nil {
		errs = append(errs, err)
	} else if err := l.checkpoint(true); err != nil {
		errs = append(errs, err)
	}
	if err := l.journal.Close(); err != nil && !errors.Is(err, ErrStopped) {
		errs = append(errs, err)
	}
	for _, p := range l.catalog.partitions() {
		p.mu.Lock()
		p.wakeWatchersLocked()
		p.mu.Unlock()
	}
	errs = append(errs, l.files.close(), l.lock.Close())
	return errors.Join(errs...)
}

// ClusterID returns the id that the directory got when it was created, in Kafka's form: 22 characters.
func (l *Log) ClusterID() string { return base64.RawURLEncoding.EncodeToString(l.owner[:]) }

// Wait returns when the entry is durable. It returns ctx's error, or one that wraps ErrStopped if the entry will never be
// durable, or ErrClosed.
func (l *Log) Wait(ctx context.Context, lsn LSN) error { return l.journal.Wait(ctx, lsn) }

// Durable returns the LSN up to which entries are durable.
func (l *Log) Durable() LSN { return l.journal.Durable() }

// Enqueued returns the LSN of the last entry that was enqueued. Whoever has read a machine's state under its lock, and tells
// of it, waits for the Enqueued of that moment.
func (l *Log) Enqueued() LSN { return l.journal.Enqueued() }

// Stopped is closed when a write or sync has failed, and no write is accepted any more; Err says why.
func (l *Log) Stopped() <-chan struct{} { return l.journal.Stopped() }

// Err returns why writes have stopped, or nil.
func (l *Log) Err() error { return l.journal.Err() }

// enter begins a change: a checkpoint waits until done is called.
func (l *Log) enter() (done func(), err error) {
	l.gate.RLock()
	if l.closed {
		l.gate.RUnlock()
		return nil, ErrClosed
	}
	return l.gate.RUnlock, nil
}

// enqueue puts an entry into the journal. The caller holds the locks of the partitions that it touches (L2).
func (l *Log) enqueue(head, body []byte, touched ...*Partition) (LSN, error) {
	e := journal.NewEntry(head, body)
	l.order.Lock()
	defer l.order.Unlock()
	lsn, err := l.journal.Enqueue(e)
	if err != nil {
		return 0, err
	}
	for _, p := range touched {
		l.touched = append(l.touched, touch{lsn, p})
	}
	return lsn, nil
}

// publish is called by the journal when entries have become durable, before those that wait for them are woken.
func (l *Log) publish(durable LSN) {
	l.order.Lock()
	n := 0
	for n < len(l.touched) && l.touched[n].lsn <= durable {
		n++
	}
	l.publishing = append(l.publishing[:0], l.touched[:n]...)
	rest := copy(l.touched, l.touched[n:])
	clear(l.touched[rest:])
	l.touched = l.touched[:rest]
	l.order.Unlock()
	var last *Partition
	for _, t := range l.publishing {
		if t.p == last {
			continue // it has moved to where durable takes it
		}
		last = t.p
		if dirty, purge := t.p.publish(durable); purge || dirty >= flushBytes {
			l.queueDirty(t.p)
		}
	}
	clear(l.publishing)
	if l.tailBytes.Load() > l.cfg.TailBytes {
		l.kickWriter()
	}
	if l.journal.FileSize() >= l.cfg.CheckpointBytes {
		l.kickCheckpoint()
	}
}

// fail stops all writing for good (L6).
func (l *Log) fail(err error) { l.journal.Fail(err) }

// stopped tells the world that writing has ended: once, from the checkpointer goroutine.
func (l *Log) stopped() {
	l.cfg.Logger.Error("commit log: writes have stopped; mend the cause and open the directory again",
		"dir", l.cfg.Dir, "err", l.Err())
	l.ending.Store(true)
	l.space.wake()
	for _, p := range l.catalog.partitions() {
		p.mu.Lock()
		p.wakeWatchersLocked()
		p.mu.Unlock()
	}
}

// now returns the wall clock in milliseconds.
func (l *Log) now() int64 { return l.cfg.Now().UnixMilli() }

// lockDir takes the directory for this process.
func lockDir(cfg *Config) (io.Closer, error) {
	lock, err := cfg.FS.Lock(cfg.FS.PathJoin(cfg.Dir, "LOCK"))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: another process, or another broker in this one, has it open: "+
			"stop that one or choose another directory (%w)", ErrLocked, cfg.Dir, err)
	}
	return lock, nil
}
