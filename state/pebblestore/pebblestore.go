package pebblestore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/millrace-io/millrace/state"
)

// Options tune an engine. The zero value of a field is its documented default.
type Options struct {
	// FS is the file system. Default: the disk.
	FS vfs.FS
	// CacheBytes is the size of the block cache. Default 32 MiB.
	CacheBytes int64
	// MemTableBytes is the size of one memtable; up to four exist while the disk is behind. A batch above half of it goes into
	// a table directly. Default 8 MiB.
	MemTableBytes int64
	// Logger takes Pebble's warnings and errors. Default slog.Default().
	Logger *slog.Logger
}

// Engine is a state.Engine in a directory. It is safe for use by several goroutines.
type Engine struct {
	dir    string
	fs     vfs.FS
	opts   *pebble.Options
	db     *pebble.DB
	guard  *guard
	points points
	tables atomic.Int64 // made for Ingest so far: their names

	mu struct {
		sync.RWMutex // held for reading by every call
		closed       bool
	}
}

var (
	_ state.Engine    = (*Engine)(nil)
	_ state.Reclaimer = (*Engine)(nil)
	_ state.Estimator = (*Engine)(nil)
)

// Open opens the engine in dir, which is made if need be. It returns a *state.CorruptionError if what is there cannot be
// read, and an error that says so if another process has it open.
func Open(dir string, o Options) (*Engine, error) {
	fs := o.FS
	if fs == nil {
		fs = vfs.Default
	}
	log := o.Logger
	if log == nil {
		log = slog.Default()
	}
	if err := fs.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make state directory: %w", err)
	}
	lock, err := pebble.LockDirectory(dir, fs)
	if err != nil {
		return nil, fmt.Errorf("lock state directory %s, which another process may have open: %w", dir, err)
	}
	e := &Engine{dir: dir, fs: fs, guard: newGuard(dir, log)}
	e.opts = e.options(o, fs, lock)
	e.opts.EnsureDefaults()
	err = e.guard.run(func() (err error) {
		if err := clearIngest(fs, dir); err != nil {
			return err
		}
		e.db, err = pebble.Open(dir, e.opts)
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open state in %s: %w", dir, openError(dir, err)), lock.Close())
	}
	e.guard.lock = lock
	e.points.db = e.db
	return e, nil
}

func (e *Engine) options(o Options, fs vfs.FS, lock *pebble.Lock) *pebble.Options {
	p := &pebble.Options{
		FS:                          fs,
		Lock:                        lock,
		DisableWAL:                  true,
		CacheSize:                   cmp.Or(o.CacheBytes, 32<<20),
		MemTableSize:                uint64(cmp.Or(o.MemTableBytes, 8<<20)),
		MemTableStopWritesThreshold: 4,
		FormatMajorVersion:          pebble.FormatNewest,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       24,
		// A dropped bucket or store gives its space back only after its tombstone has been flushed.
		FlushDelayDeleteRange: 10 * time.Second,
		Logger:                e.guard,
		EventListener:         e.guard.listener(),
	}
	for i := range p.Levels {
		p.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return p
}

// enter begins a call; leave ends it.
func (e *Engine) enter() error {
	e.mu.RLock()
	if e.mu.closed {
		e.mu.RUnlock()
		return state.ErrClosed
	}
	if err := e.guard.failure(); err != nil {
		e.mu.RUnlock()
		return err
	}
	return nil
}

func (e *Engine) leave() { e.mu.RUnlock() }

// Get implements state.Engine.
func (e *Engine) Get(dst, key []byte) (val []byte, ok bool, err error) {
	if err := e.enter(); err != nil {
		return dst, false, err
	}
	defer e.leave()
	defer e.guard.recover(&err)
	val, ok, err = e.points.get(dst, key)
	if err != nil {
		return dst, false, fmt.Errorf("read state: %w", e.guard.wrap(err))
	}
	return val, ok, nil
}

// Apply implements state.Engine.
func (e *Engine) Apply(b *state.Batch) error {
	if err := e.enter(); err != nil {
		return err
	}
	defer e.leave()
	batch := e.db.NewBatch()
	err := b.Each(func(op state.Op, x, y []byte) error {
		switch op {
		case state.OpSet:
			return batch.Set(x, y, nil)
		case state.OpDelete:
			return batch.Delete(x, nil)
		default:
			return batch.DeleteRange(x, y, nil)
		}
	})
	if err == nil {
		err = e.guard.run(func() error { return e.db.Apply(batch, pebble.NoSync) })
	}
	e.points.renew()
	if err != nil {
		return fmt.Errorf("write state: %w", e.guard.wrap(err))
	}
	return batch.Close()
}

// Sync implements state.Engine: it flushes what was applied into tables, which are durable.
func (e *Engine) Sync() error {
	if err := e.enter(); err != nil {
		return err
	}
	defer e.leave()
	if err := e.guard.run(e.db.Flush); err != nil {
		return fmt.Errorf("flush state: %w", e.guard.wrap(err))
	}
	return nil
}

// Reclaim implements state.Reclaimer.
func (e *Engine) Reclaim(lo, hi []byte) error {
	if err := e.enter(); err != nil {
		return err
	}
	defer e.leave()
	e.points.renew() // iterators keep what they see
	err := e.guard.run(func() error {
		if err := e.db.Excise(context.Background(), pebble.KeyRange{Start: lo, End: hi}); err != nil {
			return err
		}
		return e.compactRemains()
	})
	if err != nil {
		return fmt.Errorf("reclaim space of state: %w", e.guard.wrap(err))
	}
	return nil
}

// compactRemains rewrites what Excise left of tables that reached beyond the range: a remnant is a view of its whole old file,
// which would stay on disk for the sake of a few keys.
func (e *Engine) compactRemains() error {
	levels, err := e.db.SSTables()
	if err != nil {
		return err
	}
	for _, tables := range levels {
		for _, t := range tables {
			if !t.Virtual {
				continue
			}
			end := append(slices.Clone(t.Largest.UserKey), 0)
			if err := e.db.Compact(context.Background(), t.Smallest.UserKey, end, false); err != nil {
				return err
			}
		}
	}
	return nil
}

// Estimate implements state.Estimator: from what each table says of itself, and how much of it is in the range. A key that several tables
// have, in levels that have not been compacted, counts as often.
func (e *Engine) Estimate(lo, hi []byte) (n int64, err error) {
	if err := e.enter(); err != nil {
		return 0, err
	}
	defer e.leave()
	defer e.guard.recover(&err)
	levels, err := e.db.SSTables(pebble.WithKeyRangeFilter(lo, hi), pebble.WithProperties(), pebble.WithApproximateSpanBytes())
	if err != nil {
		return 0, fmt.Errorf("estimate entries of state: %w", e.guard.wrap(err))
	}
	for _, tables := range levels {
		for _, t := range tables {
			p := t.Properties
			// A delete is an entry itself, and takes another one away; that of a range, of which Pebble takes what it covers out soon, counts as
			// nothing.
			net := int64(p.NumEntries) - 2*int64(p.NumDeletions) + int64(p.NumRangeDeletions)
			n += int64(float64(net) * min(float64(t.ApproximateSpanBytes)/float64(max(t.Size, 1)), 1))
		}
	}
	return max(n, 0), nil
}

// Close closes the engine. What was applied after the last Sync may be lost.
func (e *Engine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.mu.closed {
		return state.ErrClosed
	}
	e.mu.closed = true
	if e.guard.failure() != nil {
		// Pebble is left as it stands, since it cannot be closed any more; some of its goroutines may still write, so the
		// directory stays locked until the process ends. The error has been returned where it happened.
		return nil
	}
	e.points.renew()
	err := e.guard.run(e.db.Close)
	if err != nil {
		err = fmt.Errorf("close state: %w", e.guard.wrap(err))
	}
	return errors.Join(err, e.guard.lock.Close())
}

// DiskBytes returns the space that the engine takes on disk.
func (e *Engine) DiskBytes() (int64, error) {
	if err := e.enter(); err != nil {
		return 0, err
	}
	defer e.leave()
	return int64(e.db.Metrics().DiskSpaceUsage()), nil
}
