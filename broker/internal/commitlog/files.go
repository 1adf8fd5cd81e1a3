package commitlog

import (
	"container/list"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-io/millrace/broker/internal/journal"
)

// maxIdleFiles is how many segment files are kept open while nobody uses them.
const maxIdleFiles = 256

// files keeps segment files open: shared, counted, and closed when they were idle the longest. A sealed segment's index stays
// in memory as long as its file is open.
type files struct {
	fs vfs.FS

	mu   sync.Mutex
	open map[string]*openFile
	idle list.List // of *openFile, the most recently used in front
}

// openFile is a segment file. Reading needs no lock; writing is done by the holder of Log.flushMu.
type openFile struct {
	vfs.File
	path  string
	files *files
	// sparse says that the file was compacted: offsets may have gaps.
	sparse bool

	refs int           // guarded by files.mu
	idle *list.Element // guarded by files.mu

	indexMu sync.Mutex
	index   *segmentIndex // of a sealed segment, once it was needed; guarded by indexMu
}

func newFiles(fs vfs.FS) *files {
	return &files{fs: fs, open: map[string]*openFile{}}
}

// acquire opens the file, or shares the open one. A missing file is made only if create is set.
func (c *files) acquire(path string, create bool) (*openFile, error) {
	if f := c.lookUp(path, nil); f != nil {
		return f, nil
	}
	if !create {
		// OpenReadWrite would make it.
		if _, err := c.fs.Stat(path); err != nil {
			return nil, fmt.Errorf("open segment: %w", err)
		}
	}
	file, err := c.fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, fmt.Errorf("open segment: %w", err)
	}
	f := &openFile{File: file, path: path, files: c, sparse: compactedName(c.fs.PathBase(path))}
	won := c.lookUp(path, f)
	if won == f {
		return f, nil
	}
	if err := file.Close(); err != nil { // somebody else was faster
		return nil, errors.Join(fmt.Errorf("close segment %s: %w", path, err), won.release())
	}
	return won, nil
}

// lookUp returns the open file, or installs add.
func (c *files) lookUp(path string, add *openFile) *openFile {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.open[path]
	if f == nil {
		if add == nil {
			return nil
		}
		f = add
		c.open[path] = f
	}
	f.refs++
	if f.idle != nil {
		c.idle.Remove(f.idle)
		f.idle = nil
	}
	return f
}

// release gives the file back. The error is of closing another one that was idle for long.
func (f *openFile) release() error {
	c := f.files
	c.mu.Lock()
	f.refs--
	var victim *openFile
	if f.refs == 0 {
		f.idle = c.idle.PushFront(f)
		if c.idle.Len() > maxIdleFiles {
			victim = c.idle.Remove(c.idle.Back()).(*openFile)
			delete(c.open, victim.path)
		}
	}
	c.mu.Unlock()
	if victim == nil {
		return nil
	}
	return victim.Close()
}

// forget closes the file if it is idle, so that it can be removed.
func (c *files) forget(path string) error {
	c.mu.Lock()
	f := c.open[path]
	if f == nil || f.refs > 0 {
		c.mu.Unlock()
		return nil
	}
	c.idle.Remove(f.idle)
	delete(c.open, path)
	c.mu.Unlock()
	return f.Close()
}

// close closes all files. Nobody uses them any more.
func (c *files) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, f := range c.open {
		errs = append(errs, f.Close())
	}
	clear(c.open)
	c.idle.Init()
	return errors.Join(errs...)
}

// readAt reads n bytes, all of which must be there, into buf, which it grows if needed.
func (f *openFile) readAt(buf []byte, at int64, n int) ([]byte, error) {
	buf = slices.Grow(buf[:0], n)[:n]
	if m, err := f.ReadAt(buf, at); m < n {
		return nil, fmt.Errorf("read segment %s at byte %d: %w", f.path, at, err)
	}
	return buf, nil
}

// readWhole reads a small file.
func readWhole(fs vfs.FS, path string) ([]byte, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	b := make([]byte, info.Size())
	if n, err := f.ReadAt(b, 0); n < len(b) {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return b, nil
}

// writeWhole makes a file durable under its name: written and synced under another one, renamed, directory synced. What was
// there before stays until then.
func writeWhole(fs vfs.FS, dir, name string, b []byte) error {
	path, temp := fs.PathJoin(dir, name), fs.PathJoin(dir, name+".tmp")
	f, err := fs.Create(temp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("create %s: %w", temp, err)
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", temp, err)
	}
	if err := fs.Rename(temp, path); err != nil {
		return fmt.Errorf("rename %s: %w", temp, err)
	}
	return journal.SyncDir(fs, dir)
}
