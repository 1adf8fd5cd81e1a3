package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/millrace-io/millrace/state"
)

var _ state.Ingester = (*Engine)(nil)

const (
	// ingestDir holds tables that are being made, below the database's directory. Whatever a crash leaves there is removed at the next
	// start.
	ingestDir = "ingest"
	// tableBytes is after how many bytes of keys and values the next table begins, so that a compaction need not rewrite all of a run.
	tableBytes = 32 << 20
)

// Ingest implements state.Ingester. What it has ingested is durable at the latest with the next Sync.
func (e *Engine) Ingest(sources ...state.Writes) error {
	if err := e.enter(); err != nil {
		return err
	}
	defer e.leave()
	err := e.guard.run(func() error { return e.ingest(sources) })
	e.points.renew()
	if err != nil {
		return fmt.Errorf("write state: %w", e.guard.wrap(err))
	}
	return nil
}

func (e *Engine) ingest(sources []state.Writes) error {
	t := &tables{disk: e.fs, options: e.opts.MakeWriterOptions(0, e.db.TableFormat()), next: e.nextTable}
	for _, s := range sources {
		if err := errors.Join(s(t.put), t.finish()); err != nil {
			return errors.Join(err, t.remove())
		}
	}
	if len(t.paths) == 0 {
		return nil
	}
	if err := e.db.Ingest(context.Background(), t.paths); err != nil {
		return errors.Join(err, t.remove())
	}
	return nil
}

// nextTable returns the path of a table that there is not yet.
func (e *Engine) nextTable() string {
	return e.fs.PathJoin(e.dir, ingestDir, fmt.Sprintf("%06d.sst", e.tables.Add(1)))
}

// clearIngest makes an empty directory for tables.
func clearIngest(disk vfs.FS, dir string) error {
	dir = disk.PathJoin(dir, ingestDir)
	if err := disk.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove unfinished tables: %w", err)
	}
	if err := disk.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make a directory for tables: %w", err)
	}
	return nil
}

// tables writes sorted entries into tables.
type tables struct {
	disk    vfs.FS
	options sstable.WriterOptions
	next    func() string
	paths   []string
	w       *sstable.Writer // nil: none is open
	bytes   int
}

func (t *tables) put(op state.Op, key, value []byte) error {
	if t.w == nil {
		path := t.next()
		f, err := t.disk.Create(path, vfs.WriteCategoryUnspecified)
		if err != nil {
			return err
		}
		t.paths = append(t.paths, path)
		t.w, t.bytes = sstable.NewWriter(objstorageprovider.NewFileWritable(f), t.options), 0
	}
	var err error
	switch op {
	case state.OpSet:
		err = t.w.Set(key, value)
	case state.OpDelete:
		err = t.w.Delete(key)
	default:
		err = fmt.Errorf("ingest of operation %d, want sets and deletes", op)
	}
	if err != nil {
		return err
	}
	if t.bytes += len(key) + len(value); t.bytes >= tableBytes {
		return t.finish()
	}
	return nil
}

// finish completes the open table, which is durable then.
func (t *tables) finish() error {
	w := t.w
	if w == nil {
		return nil
	}
	t.w = nil
	return w.Close()
}

// remove removes the tables after a failure. Pebble removes those that it has ingested.
func (t *tables) remove() error {
	errs := []error{t.finish()}
	for _, path := range t.paths {
		errs = append(errs, ignoreMissing(t.disk.Remove(path)))
	}
	return errors.Join(errs...)
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
