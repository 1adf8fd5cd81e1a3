package commitlog

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/millrace-io/millrace/broker/internal/journal"
)

// Open opens or creates the data directory and recovers what it holds: the snapshot, then the journal, applied by the same code
// that runs live. machines must have every id that the directory knows; each is empty, and replayed into. ctx bounds the
// recovery only.
//
// Open returns an error that wraps ErrLocked if the directory is in use, and a *CorruptionError if acknowledged data is damaged;
// then nothing that counts was changed.
func Open(ctx context.Context, cfg Config, machines map[MachineID]Machine) (*Log, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("commit log config: %w", err)
	}
	l := newLog(cfg, machines)
	if err := ensureDir(cfg.FS, cfg.Dir); err != nil {
		return nil, err
	}
	lock, err := lockDir(&cfg)
	if err != nil {
		return nil, err
	}
	l.lock = lock
	if err := l.recover(ctx); err != nil {
		errs := []error{err}
		if l.journal != nil {
			errs = append(errs, l.journal.Close())
		}
		return nil, errors.Join(append(errs, l.files.close(), lock.Close())...)
	}
	l.done.Go(l.segmentWriter)
	l.done.Go(l.checkpointer)
	l.done.Go(l.housekeeper)
	l.done.Go(l.compactor)
	return l, nil
}

// newLog returns a log with nothing in it.
func newLog(cfg Config, machines map[MachineID]Machine) *Log {
	l := &Log{
		cfg: cfg, machines: machines, catalog: newCatalog(), files: newFiles(cfg.FS), backups: make(map[string]struct{}),
		journalDir: cfg.FS.PathJoin(cfg.Dir, "journal"), topicsDir: cfg.FS.PathJoin(cfg.Dir, "topics"),
		flushC: make(chan struct{}, 1), checkC: make(chan struct{}, 1), quit: make(chan struct{}),
	}
	l.space.init()
	for id := range machines {
		l.machineIDs = append(l.machineIDs, id)
	}
	slices.Sort(l.machineIDs)
	return l
}

// recover brings the state to where the last entry that counts left it, and makes that a checkpoint, so that the journal begins
// anew. Until its snapshot is in place, a crash leaves what was there before: recovery can be repeated.
func (l *Log) recover(ctx context.Context) error {
	began := time.Now()
	fs := l.cfg.FS
	for _, dir := range []string{l.journalDir, l.topicsDir} {
		if err := fs.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make directory %s: %w", dir, err)
		}
	}
	if err := journal.SyncDir(fs, l.cfg.Dir); err != nil {
		return err
	}
	start, fresh, err := l.readSnapshot()
	if err != nil {
		return err
	}
	if err := l.tidy(); err != nil {
		return err
	}
	found := journal.Replayed{Last: start.lsn, Epoch: start.epoch}
	if !fresh && !start.clean {
		if found, err = l.replay(ctx, start); err != nil {
			return err
		}
	}
	spares, highest, err := l.reusable(&start)
	if err != nil {
		return err
	}
	l.epoch = max(found.Epoch, highest) + 1
	l.journal, err = journal.Open(journal.Config{
		FS: fs, Dir: l.journalDir, Owner: l.owner, Async: l.cfg.Durability == Async,
		FileBytes: l.cfg.CheckpointBytes, Durable: l.publish,
	}, l.epoch, found.Last, spares)
	if err != nil {
		return err
	}
	if err := l.firstCheckpoint(found.Last); err != nil {
		return err
	}
	level := slog.LevelDebug
	if found.Entries > 0 || found.Torn != "" {
		level = slog.LevelInfo
	}
	l.cfg.Logger.Log(ctx, level, "commit log: open", "dir", l.cfg.Dir, "cluster", l.ClusterID(), "topics", len(l.catalog.byID),
		"lsn", uint64(found.Last), "replayed", found.Entries, "torn", found.Torn, "took", time.Since(began))
	return nil
}

// readSnapshot loads the snapshot. fresh says that there is none, and that the directory is new.
func (l *Log) readSnapshot() (h snapshotHeader, fresh bool, err error) {
	fs := l.cfg.FS
	path := fs.PathJoin(l.cfg.Dir, snapshotName)
	b, err := readWhole(fs, path)
	if oserror.IsNotExist(err) {
		used, err := journal.Used(fs, l.journalDir)
		if err != nil {
			return h, false, err
		}
		if used != "" {
			return h, false, corruptSnapshot(path, fmt.Errorf("it is missing, but %s has entries", used))
		}
		rand.Read(l.owner[:])
		return h, true, nil
	}
	if err != nil {
		return h, false, fmt.Errorf("read snapshot: %w", err)
	}
	version, body, err := snapshotBody(b)
	if err == nil {
		h, err = l.loadSnapshot(version, body)
	}
	if err != nil {
		return h, false, corruptSnapshot(path, err)
	}
	l.owner = h.owner
	return h, false, nil
}

func corruptSnapshot(path string, err error) error {
	return &CorruptionError{Path: path, Err: err, Advice: "nothing was changed: restore the data directory from a copy, " +
		"or, to give up what it holds, move it away and start with an empty one"}
}

// tidy removes what an earlier run left that no snapshot names: partitions and segments that were made after the last
// checkpoint, which the journal makes again, and those of deleted topics. It also checks that the segments are all there.
func (l *Log) tidy() error {
	fs := l.cfg.FS
	known := map[string]*Partition{}
	for _, p := range l.catalog.partitions() {
		known[partitionDir(p.topic.ID, p.index)] = p
	}
	names, err := fs.List(l.topicsDir)
	if err != nil {
		return fmt.Errorf("list %s: %w", l.topicsDir, err)
	}
	slices.Sort(names)
	for _, name := range names {
		p := known[name]
		if p == nil || !p.hasDir {
			if err := fs.RemoveAll(fs.PathJoin(l.topicsDir, name)); err != nil {
				return fmt.Errorf("remove left-over directory: %w", err)
			}
			continue
		}
		if err := p.tidy(); err != nil {
			return err
		}
		delete(known, name)
	}
	for _, p := range known {
		if p.hasDir {
			return corruptSegment(p.dir, 0, errors.New("the directory is missing"))
		}
	}
	return nil
}

func (p *Partition) tidy() error {
	fs := p.log.cfg.FS
	names, err := fs.List(p.dir)
	if err != nil {
		return fmt.Errorf("list %s: %w", p.dir, err)
	}
	if err := p.checkFiles(); err != nil {
		return err
	}
	keep := map[string]bool{}
	for _, s := range p.mu.segments {
		keep[fs.PathBase(s.path)] = true
		keep[fs.PathBase(s.indexPath())] = s.sealed
	}
	slices.Sort(names)
	for _, name := range names {
		if keep[name] {
			continue
		}
		if err := fs.Remove(fs.PathJoin(p.dir, name)); err != nil {
			return fmt.Errorf("remove left-over file: %w", err)
		}
	}
	return nil
}

// replay applies the journal to the state of the snapshot.
func (l *Log) replay(ctx context.Context, start snapshotHeader) (journal.Replayed, error) {
	found, err := journal.Replay(l.cfg.FS, l.journalDir, l.owner, journal.Start{Epoch: start.epoch, LSN: start.lsn},
		func(lsn LSN, payload []byte) error {
			e, err := decodeEntry(payload)
			if err != nil {
				return err
			}
			if err := l.apply(lsn, &e); err != nil {
				return err
			}
			l.publishEntry(lsn, &e)
			return nil
		}, func() error {
			if l.tailBytes.Load() > l.cfg.TailBytes {
				if err := l.shrink(); err != nil {
					return err
				}
			}
			return ctx.Err()
		})
	if err != nil {
		return found, err
	}
	if found.Async {
		// The last entries that somebody may have read could be gone.
		for _, p := range l.catalog.partitions() {
			p.cutLocked()
		}
	}
	return found, nil
}

// publishEntry makes an entry visible that is durable already.
func (l *Log) publishEntry(lsn LSN, e *entry) {
	if a := e.append; a != nil {
		if p := l.catalog.partition(a.TopicPartition); p != nil {
			p.publish(lsn)
		}
	}
	if x := e.trim; x != nil {
		if p := l.catalog.partition(x.TopicPartition); p != nil {
			p.publish(lsn)
		}
	}
	for i := range e.markers {
		if p := l.catalog.partition(e.markers[i].TopicPartition); p != nil {
			p.publish(lsn)
		}
	}
}

// reusable returns the journal files that the snapshot has no need of, and the highest epoch of all.
func (l *Log) reusable(start *snapshotHeader) (spares []string, highest uint64, err error) {
	all, err := journal.List(l.cfg.FS, l.journalDir)
	if err != nil {
		return nil, 0, err
	}
	for _, f := range all {
		highest = max(highest, f.Epoch)
		if start.clean || f.Epoch < start.epoch {
			spares = append(spares, f.Name)
		}
	}
	return spares, highest, nil
}

// firstCheckpoint writes the state that was recovered. Nothing runs yet.
func (l *Log) firstCheckpoint(lsn LSN) error {
	for _, id := range l.machineIDs {
		l.machines[id].Lock()
		defer l.machines[id].Unlock()
	}
	l.flushMu.Lock()
	defer l.flushMu.Unlock()
	c := &capture{lsn: lsn, epoch: l.epoch}
	if err := l.copyState(c); err != nil {
		return err
	}
	_, err := l.finish(c)
	return err
}

// ensureDir makes a directory, and has it survive a crash.
func ensureDir(fs vfs.FS, dir string) error {
	parent := fs.PathDir(dir)
	if _, err := fs.Stat(dir); err != nil {
		if !oserror.IsNotExist(err) {
			return fmt.Errorf("stat %s: %w", dir, err)
		}
		if parent != dir {
			if err := ensureDir(fs, parent); err != nil {
				return err
			}
		}
		if err := fs.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make directory %s: %w", dir, err)
		}
	} else if parent == dir {
		return nil
	}
	// Also if it was there: whoever made it may have been killed before this.
	return journal.SyncDir(fs, parent)
}
