package journal

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestRotateAtOnce rotates again before the committer has come to the first rotation: each snapshot that names an epoch must find
// its file.
func TestRotateAtOnce(t *testing.T) {
	t.Parallel()
	fs := newDir(t)
	j := openJournal(t, fs, 1, 0)
	enqueue(t, j, 3, true)
	for epoch := uint64(2); epoch < 200; epoch++ {
		if err := j.Prepare(epoch); err != nil {
			t.Fatal(err)
		}
		lsn, err := j.Rotate()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := j.Rotate(); err == nil {
			t.Fatal("rotated without a prepared file")
		}
		if err := j.Release(epoch); err != nil {
			t.Fatal(err)
		}
		if _, err := replayAll(fs, Start{epoch, lsn}); err != nil {
			t.Fatal(err)
		}
	}
	enqueue(t, j, 5, true)
	closeJournal(t, j)
	if got, err := replayAll(fs, Start{199, 3}); err != nil || got.Last != 5 {
		t.Fatalf("%+v, %v", got, err)
	}
}

// TestRotateAsync: J3 holds for a journal that does not sync its groups, too. The next file vouches for all that is before it.
func TestRotateAsync(t *testing.T) {
	t.Parallel()
	fs := newDir(t)
	j := openAsync(t, fs)
	if err := j.Prepare(2); err != nil {
		t.Fatal(err)
	}
	enqueue(t, j, 10, true)
	if _, err := j.Rotate(); err != nil {
		t.Fatal(err)
	}
	if err := j.Prepare(3); err != nil { // waits until that is over
		t.Fatal(err)
	}
	if got := j.FileSize(); got != fileHeaderSize {
		t.Errorf("the next file has %d bytes", got)
	}
	enqueue(t, j, 13, true)
	closeJournal(t, j)
	bad := read(t, fs, fileName(1))
	bad[len(bad)-1]++
	write(t, fs, fileName(1), bad)
	if _, err := replayAll(fs, Start{1, 0}); !isCorruption(err) {
		t.Errorf("damage before the rotation: %v", err)
	}
}

// TestRotateAsyncFails: a file that cannot be synced is not followed by another.
func TestRotateAsyncFails(t *testing.T) {
	t.Parallel()
	fs := &failingFS{FS: newDir(t)}
	j := openAsync(t, fs)
	if err := j.Prepare(2); err != nil {
		t.Fatal(err)
	}
	enqueue(t, j, 5, false)
	fs.set("sync")
	if _, err := j.Rotate(); err != nil {
		t.Fatal(err)
	}
	<-j.Stopped()
	if err := j.Err(); !errors.Is(err, ErrStopped) || !errors.Is(err, errDisk) {
		t.Errorf("stopped by %v", err)
	}
	if err := j.Prepare(3); !errors.Is(err, ErrStopped) {
		t.Errorf("prepare: %v", err)
	}
	if _, err := j.Rotate(); !errors.Is(err, ErrStopped) {
		t.Errorf("rotate: %v", err)
	}
	if err := j.Release(2); !errors.Is(err, ErrStopped) {
		t.Errorf("release: %v", err)
	}
	if err := j.Close(); !errors.Is(err, ErrStopped) {
		t.Errorf("close: %v", err)
	}
}

func isCorruption(err error) bool {
	_, ok := errors.AsType[*CorruptionError](err)
	return ok
}

// slowFS holds every sync of a file until it is let go.
type slowFS struct {
	vfs.FS
	begun, goOn chan struct{}
}

func (fs *slowFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, c)
	return &slowFile{f, fs}, err
}

type slowFile struct {
	vfs.File
	fs *slowFS
}

func (f *slowFile) SyncData() error {
	f.fs.begun <- struct{}{}
	<-f.fs.goOn
	return f.File.SyncData()
}

// letGo waits for a sync to begin and lets it go.
func (fs *slowFS) letGo() {
	<-fs.begun
	fs.goOn <- struct{}{}
}

// TestRotateUnderWay rotates while a group is being synced, with entries before and behind the boundary that wait, or only behind it: each
// goes to its own side.
func TestRotateUnderWay(t *testing.T) {
	t.Parallel()
	for _, before := range []LSN{0, 1, 5} {
		fs := &slowFS{newDir(t), make(chan struct{}), make(chan struct{})}
		go fs.letGo()
		j := openJournal(t, fs, 1, 0)
		go fs.letGo()
		if err := j.Prepare(2); err != nil {
			t.Fatal(err)
		}
		add := func(n LSN) {
			for range n {
				if _, err := j.Enqueue(NewEntry(payload(j.Enqueued()+1), nil)); err != nil {
					t.Fatal(err)
				}
			}
		}
		add(1)
		<-fs.begun // with the first entry
		add(before)
		boundary, err := j.Rotate()
		if err != nil || boundary != 1+before {
			t.Fatalf("boundary %d, %v", boundary, err)
		}
		add(3)
		go func() {
			fs.goOn <- struct{}{}
			for range fs.begun {
				fs.goOn <- struct{}{}
			}
		}()
		wait(t, j, boundary+3)
		closeJournal(t, j)
		close(fs.begun)
		if got, err := replayAll(fs, Start{2, boundary}); err != nil || got.Entries != 3 {
			t.Errorf("behind %d entries: %+v, %v", boundary, got, err)
		}
		if err := fs.Remove("j/" + fileName(2)); err != nil {
			t.Fatal(err)
		}
		if got, err := replayAll(fs, Start{1, 0}); err != nil || got.Last != boundary {
			t.Errorf("the first file has %+v, %v, want %d entries", got, err, boundary)
		}
	}
}
