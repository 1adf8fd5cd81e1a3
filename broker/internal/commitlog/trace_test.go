package commitlog

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-io/millrace/broker/internal/scripttest"
)

// traceFS writes down every call that changes a disk or makes a change durable.
type traceFS struct {
	vfs.FS
	mu    sync.Mutex
	lines []string
	topic string // its directory names are replaced: they are random
}

func (fs *traceFS) log(format string, args ...any) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	line := fmt.Sprintf(format, args...)
	for _, quiet := range []string{"open", "close", "read", "prefetch"} {
		if strings.HasPrefix(line, quiet) {
			return
		}
	}
	if fs.topic != "" {
		line = strings.ReplaceAll(line, fs.topic, "TOPIC")
	}
	fs.lines = append(fs.lines, line)
}

// section returns what was traced since the last one.
func (fs *traceFS) section(title string) string {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	text := "# " + title + "\n" + strings.Join(fs.lines, "\n") + "\n\n"
	fs.lines = nil
	return text
}

func (fs *traceFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, c)
	return &traceFile{f, fs, name}, err
}

func (fs *traceFS) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.ReuseForWrite(old, name, c)
	return &traceFile{f, fs, name}, err
}

type traceFile struct {
	vfs.File
	fs   *traceFS
	name string
}

func (f *traceFile) Write(b []byte) (int, error) {
	if len(b) != 40 { // a group that only vouches comes whenever the journal is idle
		f.fs.log("write(%d): %s", len(b), f.name)
	}
	return f.File.Write(b)
}

// TestTrace compares the calls to the file system, and so the order of what becomes durable, with testdata/trace.golden.
func TestTrace(t *testing.T) {
	t.Parallel()
	mem := vfs.NewCrashableMem()
	fs := &traceFS{}
	fs.FS = vfs.WithLogging(mem, fs.log)
	cfg := testConfig(fs)
	cfg.SegmentBytes = 4 << 10
	var got strings.Builder

	l, err := Open(ctx, cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	got.WriteString(fs.section("open of a new directory"))
	topic := create(t, l, "t", 1, nil)
	fs.topic = fmt.Sprintf("%x", topic.ID[:])
	got.WriteString(fs.section("create topic: one write, one sync"))
	p := l.Partition(topic.ID, 0)
	plain(10, 100).append(t, l, p)
	got.WriteString(fs.section("append: one write, one sync; nothing in a segment yet"))
	checkpoint := func() {
		if err := l.checkpoint(false); err != nil {
			t.Fatal(err)
		}
	}
	checkpoint()
	got.WriteString(fs.section("checkpoint: next journal file, segment and directories synced before the snapshot, old journal file kept as a spare"))
	for range 3 {
		plain(20, 100).append(t, l, p)
	}
	fs.section("appends")
	checkpoint()
	got.WriteString(fs.section("checkpoint with rolls: the spare is used again; sealed segments get an index file"))
	plain(10, 100).append(t, l, p)
	fs.section("append")
	crashed := mem.CrashClone(vfs.CrashCloneCfg{})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	got.WriteString(fs.section("close: a checkpoint"))

	fs.FS = vfs.WithLogging(crashed, fs.log)
	if l, err = Open(ctx, cfg, nil); err != nil {
		t.Fatal(err)
	}
	got.WriteString(fs.section("recovery after a crash: a journal file of a new epoch, then what was replayed as a checkpoint"))
	if _, err := l.DeleteTopic(topic.ID); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}

	const golden = "testdata/trace.golden"
	want, err := os.ReadFile(golden)
	if err != nil && !scripttest.Updating() {
		t.Fatal(err)
	}
	if got.String() == string(want) {
		return
	}
	if !scripttest.Updating() {
		t.Fatalf("the calls differ from %s, run with -update and look at the difference. Got:\n%s", golden, got.String())
	}
	if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
