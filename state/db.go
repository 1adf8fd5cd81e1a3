package state

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-io/millrace/state/internal/keyschema"
)

// Config bounds a DB. The zero value of a field is its documented default.
type Config struct {
	// ApplyBytes is how many committed bytes wait in memory before they are applied to the engine in one sorted batch. Twice as
	// many hold commits back until the engine has caught up. Default 64 MiB.
	ApplyBytes int64
	// ApplyInterval is how long a committed change waits at most. Default 10 s.
	ApplyInterval time.Duration
	// ApplyIdle is how long after the last commit what waits is applied. Default 1 s.
	ApplyIdle time.Duration
	// SyncInterval is how often what was applied is made durable while changes come in: it bounds the part of the changelogs
	// that is read again after an unclean stop. Default 1 min.
	SyncInterval time.Duration
	// CacheBytes bounds the clean entries kept in memory, over all stores of the instance, typed and as bytes. Default 256 MiB.
	CacheBytes int64
	// BulkBytes bounds the runs that are gathered while partitions are restored in bulk, over all of them. Default 128 MiB.
	BulkBytes int64
	// Inline applies within Commit instead of in a goroutine of the DB, once ApplyBytes wait, and at Sync and Close: for
	// tests, which then are deterministic.
	Inline bool
	// Logger takes what needs an operator's eye. Default slog.Default().
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	c.ApplyBytes = cmp.Or(c.ApplyBytes, 64<<20)
	c.ApplyInterval = cmp.Or(c.ApplyInterval, 10*time.Second)
	c.ApplyIdle = cmp.Or(c.ApplyIdle, time.Second)
	c.SyncInterval = cmp.Or(c.SyncInterval, time.Minute)
	c.CacheBytes = cmp.Or(c.CacheBytes, 256<<20)
	c.BulkBytes = cmp.Or(c.BulkBytes, 128<<20)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// DB is the committed state of one instance: every store partition that it holds, over one engine. It is safe for use by
// several goroutines.
//
// Beside the callers it has one goroutine of its own, which applies what is committed to the engine; it starts with the first
// commit or CompleteAsOf, and Close stops it.
//
// Lock order: apply.Mutex, then mu, then a Partition's mu.
type DB struct {
	engine Engine
	conf   Config

	// apply is held while a batch is taken from the partitions and given to the engine.
	apply struct {
		sync.Mutex
		synced time.Time // when the engine was last made durable
	}
	mu struct {
		sync.Mutex
		partitions map[StorePartition]*Partition
		closed     bool
		err        error      // of the engine; nothing is applied after one
		caughtUp   *sync.Cond // waiting has shrunk, or closed or err have changed
		started    bool       // the goroutine
	}
	waiting atomic.Int64 // bytes committed and not applied
	commits atomic.Int64 // how many there were: tells whether the instance is idle
	share   atomic.Int64 // of CacheBytes for each layer of each partition
	bulks   atomic.Int64 // partitions that are restored in bulk
	kick    chan struct{}
	full    chan struct{}
	stop    chan struct{}
	done    sync.WaitGroup
}

// StorePartition names a store partition.
type StorePartition struct {
	Store     string
	Partition int32
}

func (sp StorePartition) String() string { return fmt.Sprintf("%s-%d", sp.Store, sp.Partition) }

func compareStorePartitions(a, b StorePartition) int {
	return cmp.Or(cmp.Compare(a.Store, b.Store), cmp.Compare(a.Partition, b.Partition))
}

// NewDB returns the state that engine holds. It returns a *FormatError if that was written in an unknown layout. The DB owns the
// engine from then on, unless it returns an error.
func NewDB(engine Engine, c Config) (*DB, error) {
	if err := checkVersion(engine); err != nil {
		return nil, err
	}
	db := &DB{
		engine: engine,
		conf:   c.withDefaults(),
		kick:   make(chan struct{}, 1), // one is enough: it says that something waits
		full:   make(chan struct{}, 1),
		stop:   make(chan struct{}),
	}
	db.mu.partitions = map[StorePartition]*Partition{}
	db.mu.caughtUp = sync.NewCond(&db.mu)
	db.apply.synced = time.Now()
	return db, nil
}

// checkVersion compares the layout's version in the engine, and writes it into an empty one.
func checkVersion(engine Engine) error {
	b, ok, err := engine.Get(nil, keyschema.VersionKey())
	if err != nil {
		return fmt.Errorf("read format version of state: %w", err)
	}
	if ok {
		v, err := keyschema.ParseVersion(b)
		if err != nil {
			return fmt.Errorf("read format version of state: %w", err)
		}
		if v != keyschema.Version {
			return &FormatError{Found: v, Want: keyschema.Version}
		}
		return nil
	}
	empty, err := isEmpty(engine, nil, nil)
	if err != nil {
		return fmt.Errorf("read state: %w", err)
	}
	if !empty {
		return &FormatError{Found: 0, Want: keyschema.Version}
	}
	var b1 Batch
	b1.Set(keyschema.VersionKey(), keyschema.AppendVersion(nil))
	if err := engine.Apply(&b1); err != nil {
		return fmt.Errorf("write format version of state: %w", err)
	}
	return nil
}

func isEmpty(engine Engine, lo, hi []byte) (bool, error) {
	c := engine.Scan(lo, hi, false)
	some := c.Next()
	return !some, errors.Join(c.Err(), c.Close())
}

// Partition returns the committed layer of one store partition, the same one for every caller.
func (db *DB) Partition(spec *Spec, partition int32) (*Partition, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.mu.closed {
		return nil, ErrClosed
	}
	id := StorePartition{spec.Name, partition}
	if p := db.mu.partitions[id]; p != nil {
		return p, nil
	}
	// Opening reads a few keys of the engine under the lock: partitions are opened when tasks are assigned, one by one.
	p, err := openPartition(db, spec, id)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", id, err)
	}
	db.mu.partitions[id] = p
	db.setShareLocked()
	return p, nil
}

// setShareLocked splits the cache: each open partition has two layers, bytes and typed.
func (db *DB) setShareLocked() {
	db.share.Store(db.conf.CacheBytes / 2 / int64(max(len(db.mu.partitions), 1)))
}

// openPartitions returns the open partitions in the order of their names.
func (db *DB) openPartitions() []*Partition {
	db.mu.Lock()
	defer db.mu.Unlock()
	list := make([]*Partition, 0, len(db.mu.partitions))
	for _, p := range db.mu.partitions {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b *Partition) int { return compareStorePartitions(a.id, b.id) })
	return list
}

// Stored returns the store partitions that the engine holds, sorted: those open and those left by earlier runs. One that was
// opened only now is among them once something of it has been applied.
func (db *DB) Stored() ([]StorePartition, error) {
	lo, hi := keyschema.RecordRange()
	c := db.engine.Scan(lo, hi, false)
	var list []StorePartition
	var bad error
	for c.Next() && bad == nil {
		store, partition, err := keyschema.ParseRecordKey(c.Key())
		if err != nil {
			bad = fmt.Errorf("record key %x: %w", c.Key(), err)
		}
		list = append(list, StorePartition{store, partition})
	}
	if err := errors.Join(bad, c.Err(), c.Close()); err != nil {
		return nil, fmt.Errorf("list stores: %w", err)
	}
	slices.SortFunc(list, compareStorePartitions)
	return list, nil
}

// Positions returns up to where the store partitions hold their changelogs, of those that have been told: as committed for those that
// are open, else as left by earlier runs. Stores that are not logged are not among them.
func (db *DB) Positions() (map[StorePartition]Position, error) {
	lo, hi := keyschema.RecordRange()
	c := db.engine.Scan(lo, hi, false)
	positions := make(map[StorePartition]Position)
	var bad error
	for c.Next() && bad == nil {
		store, partition, err := keyschema.ParseRecordKey(c.Key())
		if err != nil {
			bad = fmt.Errorf("record key %x: %w", c.Key(), err)
			break
		}
		r, err := keyschema.ParseRecord(c.Value())
		if err != nil {
			bad = fmt.Errorf("record of store %s-%d: %w", store, partition, err)
			break
		}
		if r.HasPosition {
			positions[StorePartition{store, partition}] = Position{ClusterID: r.ClusterID, TopicID: r.TopicID, Partition: r.Partition, Next: r.Next, AsOf: r.AsOf}
		}
	}
	if err := errors.Join(bad, c.Err(), c.Close()); err != nil {
		return nil, fmt.Errorf("list stores: %w", err)
	}
	for _, p := range db.openPartitions() {
		if pos, ok := p.Position(); ok {
			positions[p.id] = pos
		}
	}
	return positions, nil
}

// Remove deletes a store partition with all that it holds, in memory and in the engine. If it is open, it is closed.
func (db *DB) Remove(sp StorePartition) error {
	db.apply.Lock()
	defer db.apply.Unlock()
	prefix := keyschema.DataPrefix(sp.Store, sp.Partition)
	if err := db.forget(sp, prefix); err != nil {
		return fmt.Errorf("remove store %s: %w", sp, err)
	}
	r, ok := db.engine.(Reclaimer)
	if !ok {
		return nil
	}
	// The record must be gone for good before the data is, or a crash would leave a position without what it speaks of (P1).
	if err := db.syncLocked(); err != nil {
		return err
	}
	if err := r.Reclaim(prefix, keyschema.Successor(prefix)); err != nil {
		return fmt.Errorf("remove store %s: %w", sp, err)
	}
	return nil
}

// forget closes a store partition and deletes it in the engine. That is done under the lock, as opening is: who opened it in between would
// have a position without what it speaks of (P1).
func (db *DB) forget(sp StorePartition, prefix []byte) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if p := db.mu.partitions[sp]; p != nil {
		p.close()
		delete(db.mu.partitions, sp)
		db.setShareLocked()
	}
	var b Batch
	b.DeleteRange(prefix, keyschema.Successor(prefix))
	b.Delete(keyschema.RecordKey(sp.Store, sp.Partition))
	return db.engine.Apply(&b)
}

// Reclaimer is implemented by engines that can give back the space of a deleted range at once, rather than when they next
// reorganise themselves.
type Reclaimer interface {
	// Reclaim removes what is left of lo <= key < hi, durably.
	Reclaim(lo, hi []byte) error
}

// Sync applies what is committed to the engine and returns when it is durable.
func (db *DB) Sync() error {
	db.apply.Lock()
	defer db.apply.Unlock()
	if err := db.applyLocked(); err != nil {
		return err
	}
	return db.syncLocked()
}

func (db *DB) syncLocked() error {
	if err := db.engine.Sync(); err != nil {
		return db.fail(fmt.Errorf("sync state: %w", err))
	}
	db.apply.synced = time.Now()
	return nil
}

// Close applies what is committed, makes it durable, and closes the engine. Layers over it must not be used any more. It returns
// ErrClosed the second time.
func (db *DB) Close() error {
	db.mu.Lock()
	if db.mu.closed {
		db.mu.Unlock()
		return ErrClosed
	}
	db.mu.closed = true
	db.mu.caughtUp.Broadcast()
	db.mu.Unlock()
	close(db.stop)
	db.done.Wait()

	err := db.Sync()
	for _, p := range db.openPartitions() {
		p.close()
	}
	return errors.Join(err, db.engine.Close())
}
