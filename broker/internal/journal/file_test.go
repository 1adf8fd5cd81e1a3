package journal

import (
	"slices"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestList: journal files by epoch; other names are none of them.
func TestList(t *testing.T) {
	t.Parallel()
	fs := newDir(t)
	for _, name := range []string{fileName(10), fileName(9), "7.journal", "0000000000000000000x.journal", fileName(8) + ".tmp", "snapshot"} {
		write(t, fs, name, nil)
	}
	got, err := List(fs, "j")
	if want := []FileInfo{{fileName(9), 9}, {fileName(10), 10}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}

// reservingFS counts what is reserved, or cannot reserve.
type reservingFS struct {
	vfs.FS
	reserved, calls atomic.Int64
	cannot          bool
}

func (fs *reservingFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, c)
	return &reservingFile{f, fs}, err
}

type reservingFile struct {
	vfs.File
	fs *reservingFS
}

func (f *reservingFile) Preallocate(_, n int64) error {
	f.fs.calls.Add(1)
	if f.fs.cannot {
		return errDisk
	}
	f.fs.reserved.Add(n)
	return nil
}

// TestReserve: space is reserved ahead, up to the size of a file. Where that cannot be done, it is not tried again, and entries are written all
// the same.
func TestReserve(t *testing.T) {
	t.Parallel()
	for _, cannot := range []bool{false, true} {
		fs := &reservingFS{FS: newDir(t), cannot: cannot}
		j := openJournal(t, fs, 1, 0)
		enqueue(t, j, 10, true)
		closeJournal(t, j)
		if got, want := fs.reserved.Load(), int64(1<<20); fs.calls.Load() != 1 || got != want && !cannot {
			t.Errorf("cannot %v: %d bytes are reserved in %d calls", cannot, got, fs.calls.Load())
		}
		if got, err := replayAll(fs, Start{1, 0}); err != nil || got.Last != 10 {
			t.Errorf("cannot %v: %+v, %v", cannot, got, err)
		}
	}
}
