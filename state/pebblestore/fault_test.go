package pebblestore_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/state/pebblestore"
)

func open(t *testing.T, fs vfs.FS) *pebblestore.Engine {
	t.Helper()
	e, err := pebblestore.Open("state", pebblestore.Options{FS: fs, MemTableBytes: 256 << 10, Logger: quiet})
	must(t, err)
	return e
}

// fill applies n entries of a kilobyte under a prefix.
func fill(t *testing.T, e state.Engine, prefix string, n int) {
	t.Helper()
	for i := 0; i < n; {
		var b state.Batch
		for ; i < n && i%100 < 99; i++ {
			b.Set(fmt.Appendf(nil, "%s%06d", prefix, i), noise(i))
		}
		b.Set(fmt.Appendf(nil, "%s%06d", prefix, i), noise(i))
		i++
		must(t, e.Apply(&b))
	}
}

// noise returns a kilobyte that does not compress.
func noise(seed int) []byte {
	b := make([]byte, 1024)
	x := uint64(seed)*2862933555777941757 + 3037000493
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
	return b
}

// TestCorruption: whatever file is damaged or missing, opening or reading says where and what to do, and the process lives.
func TestCorruption(t *testing.T) {
	t.Parallel()
	scribble := func(from int64) func(*testing.T, vfs.FS, string) {
		return func(t *testing.T, fs vfs.FS, path string) { scribble(t, fs, path, from) }
	}
	remove := func(t *testing.T, fs vfs.FS, path string) { must(t, fs.Remove(path)) }
	for _, c := range []struct {
		name, part string // of the names of the files
		damage     func(*testing.T, vfs.FS, string)
	}{
		{"damaged tables", ".sst", scribble(1000)},
		{"missing tables", ".sst", remove},
		{"damaged manifest", "MANIFEST", scribble(0)},
		{"damaged options", "OPTIONS", scribble(0)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			fs := vfs.NewMem()
			e := open(t, fs)
			fill(t, e, "k", 2000)
			must(t, e.Sync())
			must(t, e.Close())
			names, err := fs.List("state")
			must(t, err)
			for _, name := range names {
				if strings.Contains(name, c.part) {
					c.damage(t, fs, fs.PathJoin("state", name))
				}
			}

			err = readAll(fs)
			got, ok := errors.AsType[*state.CorruptionError](err)
			if !ok {
				t.Fatalf("%v, want a CorruptionError", err)
			}
			if got.Path != "state" || !strings.Contains(err.Error(), "remove that directory") {
				t.Errorf("the error does not help: %v", err)
			}
		})
	}
}

// scribble overwrites a file from an offset on.
func scribble(t *testing.T, fs vfs.FS, path string, from int64) {
	t.Helper()
	f, err := fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	must(t, err)
	info, err := f.Stat()
	must(t, err)
	_, err = f.WriteAt(bytes.Repeat([]byte{0xa5}, int(info.Size()-from)), from)
	must(t, err)
	must(t, f.Close())
}

func readAll(fs vfs.FS) (err error) {
	e, err := pebblestore.Open("state", pebblestore.Options{FS: fs, Logger: quiet})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	for i := range 2000 {
		if _, _, err := e.Get(nil, fmt.Appendf(nil, "k%06d", i)); err != nil {
			return err
		}
	}
	c := e.Scan(nil, nil, false)
	for c.Next() {
	}
	return errors.Join(c.Err(), c.Close())
}

// TestDiskFails: when the disk stops taking writes, calls return an error instead of ending the process or waiting for
// ever, and what was synced before is there for the next process.
func TestDiskFails(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		part string // of the names of the files that cannot be written
	}{{"tables", ".sst"}, {"manifest", "MANIFEST"}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			mem := vfs.NewCrashableMem()
			var broken atomic.Bool
			enospc := errors.New("no space left on device")
			e := open(t, errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if broken.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite && strings.Contains(op.Path, c.part) {
					return enospc
				}
				return nil
			})))
			fill(t, e, "k", 100)
			must(t, e.Sync())
			broken.Store(true)
			var b state.Batch
			b.Set([]byte("x"), nil)
			err := e.Apply(&b)
			for range 3 {
				err = errors.Join(err, e.Sync())
			}
			if err == nil || !strings.Contains(err.Error(), enospc.Error()) {
				t.Errorf("%v, want %v", err, enospc)
			}
			if err := e.Apply(&b); err == nil {
				t.Error("a failed engine takes a batch")
			}
			_ = e.Close()       // all that matters is that it returns
			broken.Store(false) // what is left of the engine would try again for ever

			e = open(t, mem.CrashClone(vfs.CrashCloneCfg{}))
			if _, ok, err := e.Get(nil, []byte("k000099")); !ok || err != nil {
				t.Errorf("what was synced is lost: %v, %v", ok, err)
			}
			must(t, e.Close())
		})
	}
}

// TestInUse: a directory that is open is refused.
func TestInUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e, err := pebblestore.Open(dir, pebblestore.Options{Logger: quiet})
	must(t, err)
	if _, err := pebblestore.Open(dir, pebblestore.Options{Logger: quiet}); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("%v, want an error that says who has it", err)
	}
	must(t, e.Close())
	e, err = pebblestore.Open(dir, pebblestore.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	must(t, err)
	must(t, e.Close())
}

// TestSpaceComesBack: the disk shrinks when buckets expire and when a store is removed.
func TestSpaceComesBack(t *testing.T) {
	t.Parallel()
	e := open(t, vfs.NewMem())
	db, err := state.NewDB(e, state.Config{Inline: true, ApplyBytes: 256 << 10, Logger: quiet})
	must(t, err)
	spec := state.WindowSpec("w", stringSerde{}, stringSerde{}, time.Second, 20*time.Second)
	p, err := db.Partition(spec, 0)
	must(t, err)
	must(t, p.Reset(state.Position{}))
	l, err := spec.Open(state.Env{Committed: p})
	must(t, err)
	w := l.(*state.Window[string, string])
	write := func(from, to int64) { // sixty windows of a kilobyte each second
		for s := from; s < to; s++ {
			for k := range 60 {
				must(t, w.Put(fmt.Sprint(k), s*1000, string(noise(int(s)*60+k)), 0, none))
			}
			must(t, w.Flush())
			must(t, w.Commit(s))
		}
		must(t, db.Sync())
	}
	write(0, 20)
	full := diskBytes(t, e)
	if full < 1<<20 {
		t.Fatalf("only %d bytes on disk", full)
	}
	write(20, 100) // five times as much, of which a fifth is kept
	if n := shrinksTo(t, e, 2*full); n > 2*full {
		t.Errorf("%d bytes on disk with windows dropped, %d with as many as are kept", n, full)
	}
	must(t, db.Remove(state.StorePartition{Store: "w"}))
	must(t, db.Sync())
	if n := shrinksTo(t, e, full/4); n > full/4 {
		t.Errorf("%d bytes on disk after the store was removed, before %d", n, full)
	}
	must(t, db.Close())
}

func diskBytes(t *testing.T, e *pebblestore.Engine) int64 {
	t.Helper()
	n, err := e.DiskBytes()
	must(t, err)
	return n
}

// shrinksTo waits for compactions, which run in Pebble's goroutines and tell nobody.
func shrinksTo(t *testing.T, e *pebblestore.Engine, want int64) (n int64) {
	t.Helper()
	for range 500 {
		if n = diskBytes(t, e); n <= want {
			return n
		}
		time.Sleep(10 * time.Millisecond)
	}
	return n
}
