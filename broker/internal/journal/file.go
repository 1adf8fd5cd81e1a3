package journal

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// writeCategory names the journal's writes in the file system's statistics.
const writeCategory = vfs.WriteCategoryUnspecified

// reserveStep is how much space is reserved ahead of the writes in a file that was never used before.
const reserveStep = 8 << 20

// file is a journal file that is being written, from its start, over whatever it held before.
type file struct {
	f        vfs.File
	name     string
	path     string
	epoch    uint64
	size     int64 // written
	reserved int64
	limit    int64 // reserve no further
	synced   LSN   // last LSN that is synced
}

// newFile makes a file ready to take entries: its header and its directory entry are durable when it returns (J3). It takes
// a spare file if there is one, since overwriting is cheaper to sync than appending.
func (j *Journal) newFile(epoch uint64) (*file, error) {
	f := &file{name: fileName(epoch), epoch: epoch, limit: j.cfg.FileBytes, synced: j.Durable()}
	f.path = j.cfg.FS.PathJoin(j.cfg.Dir, f.name)
	var err error
	if n := len(j.spares); n > 0 {
		spare := j.spares[n-1]
		j.spares = j.spares[:n-1]
		f.f, err = j.cfg.FS.ReuseForWrite(j.cfg.FS.PathJoin(j.cfg.Dir, spare), f.path, writeCategory)
		f.reserved = f.limit
	} else {
		f.f, err = j.cfg.FS.Create(f.path, writeCategory)
	}
	if err != nil {
		return nil, fmt.Errorf("make journal file %s: %w", f.path, err)
	}
	h := fileHeader{epoch: epoch, owner: j.cfg.Owner, async: j.cfg.Async}
	if err := f.write(h.encode()); err != nil {
		return nil, discard(f, err)
	}
	if err := f.sync(); err != nil {
		return nil, discard(f, err)
	}
	if err := SyncDir(j.cfg.FS, j.cfg.Dir); err != nil {
		return nil, discard(f, err)
	}
	return f, nil
}

// discard closes a file that is of no use, because of err.
func discard(f *file, err error) error {
	if cerr := f.close(); cerr != nil {
		return fmt.Errorf("%w (and %w)", err, cerr)
	}
	return err
}

// write appends b, which the file system may change.
func (f *file) write(b []byte) error {
	end := f.size + int64(len(b))
	if end > f.reserved && f.reserved < f.limit {
		n := min(max(reserveStep, end-f.reserved), f.limit-f.reserved)
		f.reserved += n
		if err := f.f.Preallocate(f.reserved-n, n); err != nil {
			f.reserved = f.limit // not supported here, or no space, which the write will tell
		}
	}
	if _, err := f.f.Write(b); err != nil {
		return fmt.Errorf("write journal file %s: %w", f.path, err)
	}
	f.size = end
	return nil
}

func (f *file) sync() error {
	if err := f.f.SyncData(); err != nil {
		return fmt.Errorf("sync journal file %s: %w", f.path, err)
	}
	return nil
}

func (f *file) close() error {
	if err := f.f.Close(); err != nil {
		return fmt.Errorf("close journal file %s: %w", f.path, err)
	}
	return nil
}

// SyncDir makes the entries of a directory durable: what was created, renamed or removed in it.
func SyncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return fmt.Errorf("open directory %s: %w", dir, err)
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	return nil
}
