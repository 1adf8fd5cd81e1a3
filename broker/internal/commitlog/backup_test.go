package commitlog

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// pausedFS calls a function before the first file of a backup is made.
type pausedFS struct {
	vfs.FS
	pause atomic.Pointer[func()]
}

func (fs *pausedFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if strings.Contains(name, partialSuffix) {
		if f := fs.pause.Swap(nil); f != nil {
			(*f)()
		}
	}
	return fs.FS.Create(name, c)
}

// fill puts n batches into a partition, enough for several segments.
func fill(t *testing.T, l *Log, topic Topic, n int) {
	t.Helper()
	p := l.Partition(topic.ID, 0)
	for range n {
		plain(1, 8<<10).append(t, l, p)
	}
}

// TestBackupKeepsWhatItCopies: a topic that is deleted, and records that are, after the copy has begun are in it; they go from the
// log's own directory once it is done.
func TestBackupKeepsWhatItCopies(t *testing.T) {
	t.Parallel()
	fs := &pausedFS{FS: vfs.NewMem()}
	l := open(t, testConfig(fs))
	gone, cut := create(t, l, "gone", 1, nil), create(t, l, "cut", 1, nil)
	fill(t, l, gone, 10)
	fill(t, l, cut, 10)
	pause := func() {
		lsn, err := l.DeleteTopic(gone.ID)
		if err != nil {
			t.Error(err)
		}
		wait(t, l, lsn)
		if _, lsn, err = l.Partition(cut.ID, 0).DeleteRecords(-1); err != nil {
			t.Error(err)
		}
		wait(t, l, lsn)
		for range 2 {
			if err := l.checkpoint(false); err != nil {
				t.Error(err)
			}
		}
	}
	fs.pause.Store(&pause)
	if err := l.Backup(ctx, "copy"); err != nil {
		t.Fatal(err)
	}
	cfg := testConfig(fs)
	cfg.Dir = "copy"
	if r, err := VerifyDir(ctx, cfg, nil); err != nil || r.Topics != 2 || !r.Clean || r.Segments < 4 {
		t.Errorf("verify: %+v, %v", r, err)
	}
	c := open(t, cfg)
	for _, topic := range []Topic{gone, cut} {
		if hs, _, _ := readAll(t, c.Partition(topic.ID, 0), 0, ReadUncommitted); len(hs) != 10 {
			t.Errorf("%s: %d batches are in the copy", topic.Name, len(hs))
		}
	}
	if err := l.checkpoint(false); err != nil {
		t.Fatal(err)
	}
	if names, err := fs.List("data/topics"); err != nil || len(names) != 1 {
		t.Errorf("topics on disk after the backup: %q, %v", names, err)
	}
	if names, err := fs.List("data/topics/" + partitionDir(cut.ID, 0)); err != nil || len(names) > 1 {
		t.Errorf("segments on disk after the backup: %q, %v", names, err)
	}
}

// TestBackupToOneDirectoryTwice: of two that are to make the same directory at once, one does, and the other leaves it alone.
func TestBackupToOneDirectoryTwice(t *testing.T) {
	t.Parallel()
	fs := &pausedFS{FS: vfs.NewMem()}
	l := open(t, testConfig(fs))
	topic := create(t, l, "t", 1, nil)
	fill(t, l, topic, 10)
	pause := func() {
		if err := l.Backup(ctx, "./copy"); !errors.Is(err, ErrExists) {
			t.Errorf("the second: %v", err)
		}
	}
	fs.pause.Store(&pause)
	if err := l.Backup(ctx, "copy"); err != nil {
		t.Fatal(err)
	}
	cfg := testConfig(fs)
	cfg.Dir = "copy"
	if hs, _, _ := readAll(t, open(t, cfg).Partition(topic.ID, 0), 0, ReadUncommitted); len(hs) != 10 {
		t.Errorf("%d batches are in the copy", len(hs))
	}
}

// TestBackupHoldsOffCheckpoints: what is deleted while a backup copies asks for no checkpoint, which could not remove it; the end of the backup
// asks for one, also where a whole topic is all that was deleted.
func TestBackupHoldsOffCheckpoints(t *testing.T) {
	t.Parallel()
	for _, whole := range []bool{false, true} {
		fs := &pausedFS{FS: vfs.NewMem()}
		l := open(t, testConfig(fs))
		topic := create(t, l, "t", 1, nil)
		fill(t, l, topic, 10)
		pause := func() {
			var lsn LSN
			var err error
			if whole {
				lsn, err = l.DeleteTopic(topic.ID)
			} else {
				_, lsn, err = l.Partition(topic.ID, 0).DeleteRecords(-1)
			}
			if err != nil {
				t.Error(err)
			}
			wait(t, l, lsn)
			if err := l.checkpoint(false); err != nil {
				t.Error(err)
			}
			l.flushMu.Lock()
			defer l.flushMu.Unlock()
			if (l.deadBytes > 0) == whole {
				t.Errorf("%d bytes are dead", l.deadBytes)
			}
			if l.reclaimable(1) {
				t.Error("a checkpoint would be asked for that can remove nothing")
			}
		}
		fs.pause.Store(&pause)
		if err := l.Backup(ctx, "copy"); err != nil {
			t.Fatal(err)
		}
		for dead := true; dead; time.Sleep(time.Millisecond) { // until the checkpoint is through
			l.flushMu.Lock()
			l.catalog.mu.Lock()
			dead = l.deadBytes > 0 || len(l.deleted) > 0
			l.catalog.mu.Unlock()
			l.flushMu.Unlock()
		}
	}
}

// TestBackupWithoutItsName: where all but the sync of the parent directory has gone well, the error says that the copy is there, and it is.
func TestBackupWithoutItsName(t *testing.T) {
	t.Parallel()
	fs := &namelessFS{FS: vfs.NewMem()}
	l := open(t, testConfig(fs))
	topic := create(t, l, "t", 1, nil)
	fill(t, l, topic, 3)
	if err := fs.MkdirAll("copies", 0o755); err != nil {
		t.Fatal(err)
	}
	fs.broken = "copies/copy"
	if err := l.Backup(ctx, "copies/copy"); err == nil || !strings.Contains(err.Error(), "it is there whole") {
		t.Errorf("%v", err)
	}
	fs.broken = ""
	cfg := testConfig(fs)
	cfg.Dir = "copies/copy"
	if r, err := VerifyDir(ctx, cfg, nil); err != nil || r.Topics != 1 {
		t.Errorf("verify: %+v, %v", r, err)
	}
}

// namelessFS does not open the parent of a directory that is there, which syncing its name needs.
type namelessFS struct {
	vfs.FS
	broken string
}

func (fs *namelessFS) OpenDir(name string) (vfs.File, error) {
	if fs.broken != "" && name == fs.PathDir(fs.broken) {
		if _, err := fs.Stat(fs.broken); err == nil {
			return nil, errors.New("input/output error")
		}
	}
	return fs.FS.OpenDir(name)
}

// TestBackupCrash: whenever the power goes during a backup, the copy is there whole or not at all.
func TestBackupCrash(t *testing.T) {
	t.Parallel()
	mem := vfs.NewCrashableMem()
	fs := &syncFS{FS: mem, observe: func(string) {}}
	var mu sync.Mutex // the checkpointer may sync at the same time
	missing, whole, armed := 0, 0, false
	check := func() {
		mu.Lock()
		defer mu.Unlock()
		if !armed {
			return
		}
		fs.cloneMu.Lock()
		disk := mem.CrashClone(vfs.CrashCloneCfg{})
		fs.cloneMu.Unlock()
		cfg := testConfig(disk)
		cfg.Dir = "backups/copy"
		if _, err := disk.Stat(cfg.Dir); err != nil {
			missing++
			return
		}
		whole++
		if r, err := VerifyDir(ctx, cfg, nil); err != nil || r.Topics != 1 {
			t.Errorf("%+v, %v", r, err)
		}
		if err := open(t, cfg).Close(); err != nil {
			t.Error(err)
		}
	}
	arm := func(on bool) {
		mu.Lock()
		defer mu.Unlock()
		armed = on
	}
	fs.observe = func(string) { check() }
	l := open(t, testConfig(fs))
	topic := create(t, l, "t", 1, nil)
	fill(t, l, topic, 10)
	arm(true)
	if err := l.Backup(ctx, "backups/copy"); err != nil {
		t.Fatal(err)
	}
	check()
	arm(false)
	if missing < 10 || whole < 1 {
		t.Errorf("the copy was missing at %d points and whole at %d", missing, whole)
	}
}

// TestVerifyDir: it finds what Open would refuse, and damaged segments, and changes nothing.
func TestVerifyDir(t *testing.T) {
	t.Parallel()
	mem := vfs.NewCrashableMem()
	cfg := testConfig(mem)
	cfg.CheckpointBytes = 1 << 30 // none comes by itself
	l := open(t, cfg)
	topic := create(t, l, "t", 1, nil)
	fill(t, l, topic, 10)
	if err := l.checkpoint(false); err != nil {
		t.Fatal(err)
	}
	fill(t, l, topic, 3)
	if _, err := VerifyDir(ctx, cfg, nil); !errors.Is(err, ErrLocked) {
		t.Errorf("in use: %v", err)
	}
	disk := mem.CrashClone(vfs.CrashCloneCfg{})
	cfg.FS = disk
	before := disk.String()
	r, err := VerifyDir(ctx, cfg, nil)
	if err != nil || r.Clean || r.Replayed != 3 || r.Segments < 2 || r.Partitions != 1 {
		t.Errorf("unclean: %+v, %v", r, err)
	}
	if disk.String() != before {
		t.Errorf("it changed the directory from\n%s\nto\n%s", before, disk.String())
	}
	segment := "data/topics/" + partitionDir(topic.ID, 0) + "/" + segmentName(0, 0)
	flip(t, disk, segment, 100)
	var found *CorruptionError
	if _, err = VerifyDir(ctx, cfg, nil); !errors.As(err, &found) || found.Path != segment {
		t.Errorf("damaged segment: %v", err)
	}
	if err := disk.Remove(segment); err != nil {
		t.Fatal(err)
	}
	if _, err = VerifyDir(ctx, cfg, nil); !errors.As(err, &found) || found.Path != segment {
		t.Errorf("missing segment: %v", err)
	}
	cfg.Dir = "elsewhere"
	if _, err = VerifyDir(ctx, cfg, nil); err == nil {
		t.Error("no directory")
	}
}
