package commitlog

import (
	"errors"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// brokenFS fails all syncs while it is told to.
type brokenFS struct {
	vfs.FS
	broken atomic.Bool
}

func (fs *brokenFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, c)
	return &brokenFile{f, fs}, err
}

func (fs *brokenFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	f, err := fs.FS.OpenReadWrite(name, c, o...)
	return &brokenFile{f, fs}, err
}

type brokenFile struct {
	vfs.File
	fs *brokenFS
}

func (f *brokenFile) check() error {
	if f.fs.broken.Load() {
		return errors.New("input/output error")
	}
	return nil
}

func (f *brokenFile) Sync() error     { return errors.Join(f.check(), f.File.Sync()) }
func (f *brokenFile) SyncData() error { return errors.Join(f.check(), f.File.SyncData()) }
