package commitlog

import (
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// syncFS tells of every sync before and after it happens, and can leave out those of one class: a disk, or a program, that
// does not do what it should.
type syncFS struct {
	vfs.FS
	observe func(class string)
	drop    string // the class of syncs that are left out

	cloneMu sync.Mutex // MemFS.ReuseForWrite must not meet a CrashClone: it takes a lock twice
}

// syncClass says what is synced: a kind of file or of directory.
func syncClass(path string, dir bool) string {
	kind := "data"
	switch {
	case strings.Contains(path, "journal"):
		kind = "journal"
	case strings.HasSuffix(path, indexSuffix+".tmp"):
		kind = "index"
	case strings.HasSuffix(path, segmentSuffix):
		kind = "segment"
	case strings.Contains(path, snapshotName):
		kind = "snapshot"
	case strings.HasSuffix(path, "topics"):
		kind = "topics"
	case strings.Contains(path, "topics/"):
		kind = "partition"
	}
	if dir {
		kind += " directory"
	}
	return kind
}

func (fs *syncFS) wrap(f vfs.File, err error, path string, dir bool) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &syncFile{File: f, fs: fs, class: syncClass(path, dir)}, nil
}

func (fs *syncFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, c)
	return fs.wrap(f, err, name, false)
}

func (fs *syncFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	f, err := fs.FS.OpenReadWrite(name, c, o...)
	return fs.wrap(f, err, name, false)
}

func (fs *syncFS) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	fs.cloneMu.Lock()
	f, err := fs.FS.ReuseForWrite(old, name, c)
	fs.cloneMu.Unlock()
	return fs.wrap(f, err, name, false)
}

func (fs *syncFS) OpenDir(name string) (vfs.File, error) {
	f, err := fs.FS.OpenDir(name)
	return fs.wrap(f, err, name, true)
}

type syncFile struct {
	vfs.File
	fs    *syncFS
	class string
}

func (f *syncFile) sync(do func() error) error {
	f.fs.observe(f.class)
	if f.class == f.fs.drop {
		return nil
	}
	if err := do(); err != nil {
		return err
	}
	f.fs.observe(f.class)
	return nil
}

func (f *syncFile) Sync() error     { return f.sync(f.File.Sync) }
func (f *syncFile) SyncData() error { return f.sync(f.File.SyncData) }
