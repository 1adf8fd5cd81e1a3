package commitlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-io/millrace/broker/internal/journal"
)

// partialSuffix names a backup that is under way, or was given up.
const partialSuffix = ".partial"

// Backup copies the log to a new directory on the same file system, beside serving: the state of one moment after the call began, with
// whatever was acknowledged before it. What it leaves is a directory that was closed in order; it is there whole, under its name, or
// not at all. Until the end no file is removed from the log's own directory. Only an error of the very last step leaves a directory, and
// says so: it is whole, but may be gone, or under its partial name, after a power cut.
//
//	checkpoint: the segments hold the state of one entry           flushMu, as any checkpoint
//	copy them, as far as the checkpoint names them; sync them       no lock: they only grow
//	write the snapshot, which says that there is no journal; sync
//	rename the directory, sync its parent                           the backup counts
//
// Errors: ErrExists, ErrStopped, ErrClosed, ctx's error.
func (l *Log) Backup(ctx context.Context, dir string) error {
	fs, began := l.cfg.FS, time.Now()
	if inside(l.cfg.Dir, dir) {
		return fmt.Errorf("backup to %s: it is within the data directory", dir)
	}
	if _, err := fs.Stat(dir); err == nil {
		return fmt.Errorf("backup to %s: %w", dir, ErrExists)
	} else if !oserror.IsNotExist(err) {
		return fmt.Errorf("backup: %w", err)
	}
	b := backup{l: l, fs: fs, dir: dir + partialSuffix, name: dir}
	if abs, err := filepath.Abs(dir); err == nil {
		b.name = abs
	}
	if err := b.begin(); err != nil {
		return err
	}
	defer b.end()
	err := b.copy(ctx)
	if err == nil {
		err = fs.Rename(b.dir, dir)
	}
	if err != nil {
		return fmt.Errorf("backup to %s: %w", dir, errors.Join(err, fs.RemoveAll(b.dir)))
	}
	if err := journal.SyncDir(fs, fs.PathDir(dir)); err != nil {
		return fmt.Errorf("backup to %s: it is there whole, but a power cut may take its name away: %w", dir, err)
	}
	l.cfg.Logger.Info("commit log: backup", "dir", l.cfg.Dir, "to", dir, "files", len(b.files), "bytes", b.bytes, "took", time.Since(began))
	return nil
}

// inside reports whether a path is in a directory, or is it, as far as the names tell.
func inside(dir, path string) bool {
	dir, derr := filepath.Abs(dir)
	path, perr := filepath.Abs(path)
	if derr != nil || perr != nil {
		return false
	}
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// backup is one run.
type backup struct {
	l        *Log
	fs       vfs.FS
	dir      string
	name     string // in Log.backups
	snapshot []byte
	files    []backupFile
	bytes    int64
}

// backupFile is a file of a partition to be copied, as far as size.
type backupFile struct {
	partition, name, path string
	size                  int64
}

// begin writes a checkpoint, notes its files and keeps them.
func (b *backup) begin() error {
	l := b.l
	l.flushMu.Lock()
	defer l.flushMu.Unlock()
	done, err := l.enter()
	if err != nil {
		return err
	}
	done()                              // closing waits for flushMu
	if _, ok := l.backups[b.name]; ok { // which would remove, or complete, the other's files
		return fmt.Errorf("backup to %s, by another call: %w", b.name, ErrExists)
	}
	c, state, err := l.checkpointLocked(false)
	if err != nil {
		return err
	}
	clean := *c
	clean.clean = true
	b.snapshot = encodeSnapshot(append(clean.appendHeader(nil, l.owner), state...))
	for _, x := range c.parts {
		if err := b.note(x.p); err != nil {
			return err
		}
	}
	l.backups[b.name] = struct{}{}
	return nil
}

// note adds a partition's files. Segments change under flushMu only.
func (b *backup) note(p *Partition) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	partition := partitionDir(p.topic.ID, p.index)
	for _, s := range p.mu.segments {
		b.files = append(b.files, backupFile{partition: partition, name: b.fs.PathBase(s.path), path: s.path, size: s.size})
		if !s.sealed {
			continue
		}
		info, err := b.fs.Stat(s.indexPath())
		if oserror.IsNotExist(err) {
			continue // it is made anew where it is needed
		}
		if err != nil {
			return fmt.Errorf("backup: %w", err)
		}
		b.files = append(b.files, backupFile{partition: partition, name: b.fs.PathBase(s.indexPath()), path: s.indexPath(), size: info.Size()})
	}
	return nil
}

// end has checkpoints remove files again.
func (b *backup) end() {
	b.l.flushMu.Lock()
	defer b.l.flushMu.Unlock()
	delete(b.l.backups, b.name)
	b.l.reclaim(1)
	b.l.catalog.mu.Lock()
	topics := len(b.l.deleted)
	b.l.catalog.mu.Unlock()
	if topics > 0 && len(b.l.backups) == 0 { // they count for nothing above
		b.l.kickCheckpoint()
	}
}

// copy makes the directory, under its partial name, durable.
func (b *backup) copy(ctx context.Context) error {
	if err := b.fs.RemoveAll(b.dir); err != nil { // of an earlier one that was killed
		return err
	}
	topics := b.fs.PathJoin(b.dir, "topics")
	for _, dir := range []string{b.dir, topics, b.fs.PathJoin(b.dir, "journal")} {
		if err := ensureDir(b.fs, dir); err != nil {
			return err
		}
	}
	last := ""
	for i, f := range b.files {
		dir := b.fs.PathJoin(topics, f.partition)
		if f.partition != last {
			if err := b.fs.MkdirAll(dir, 0o755); err != nil {
				return fmt.Errorf("make directory %s: %w", dir, err)
			}
		}
		last = f.partition
		if err := b.copyFile(ctx, f, b.fs.PathJoin(dir, f.name)); err != nil {
			return err
		}
		if i+1 == len(b.files) || b.files[i+1].partition != f.partition {
			if err := journal.SyncDir(b.fs, dir); err != nil {
				return err
			}
		}
	}
	if err := journal.SyncDir(b.fs, topics); err != nil {
		return err
	}
	return writeWhole(b.fs, b.dir, snapshotName, b.snapshot)
}

func (b *backup) copyFile(ctx context.Context, f backupFile, to string) (err error) {
	in, err := b.fs.Open(f.path, vfs.SequentialReadsOption)
	if err != nil {
		return fmt.Errorf("open %s: %w", f.path, err)
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := b.fs.Create(to, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("create %s: %w", to, err)
	}
	err = b.copyBytes(ctx, in, out, f.size)
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return fmt.Errorf("copy %s to %s: %w", f.path, to, err)
	}
	b.bytes += f.size
	return nil
}

// copyBytes copies n bytes a piece at a time, so that it ends soon when it is to.
func (b *backup) copyBytes(ctx context.Context, in io.Reader, out io.Writer, n int64) error {
	const piece = 1 << 20
	for n > 0 {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-b.l.quit:
			return ErrClosed
		default:
		}
		m, err := io.CopyN(out, in, min(n, piece))
		if err != nil {
			return err
		}
		n -= m
	}
	return nil
}
