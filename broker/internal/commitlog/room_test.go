package commitlog

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// sizedFS is a file system of 1 GiB that says how much of it is free.
type sizedFS struct {
	vfs.FS
	free atomic.Uint64
}

func (fs *sizedFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{TotalBytes: 1 << 30, AvailBytes: fs.free.Load()}, nil
}

// TestDiskFull: when the reserve is reached, appends are refused and nothing else is; they resume by themselves.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	fs := &sizedFS{FS: vfs.NewMem()}
	fs.free.Store(1 << 30)
	clock := newClock()
	var log bytes.Buffer
	cfg := testConfig(fs)
	cfg.Now, cfg.Logger, cfg.ReserveBytes = clock.Now, slog.New(slog.NewTextHandler(&log, nil)), 10<<20
	m := newTxnMachine()
	l := open(t, cfg, m)
	p := l.Partition(create(t, l, "t", 1, nil).ID, 0)
	plain(1, 100).append(t, l, p)
	transactional(1, 0, 0, 1).append(t, l, p)

	fs.free.Store(9 << 20)
	refused := 0
	for range 100 { // looks at the disk once in 4 MiB
		if _, err := p.Append(plain(1, 100<<10>>2).raw(), AppendOptions{}); errors.Is(err, ErrFull) {
			refused++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Append(plain(1, 100).raw(), AppendOptions{}); refused != 0 || err != nil {
		t.Fatalf("after 2.5 MiB: %d refused, %v", refused, err)
	}
	for range 100 {
		if _, err := p.Append(plain(1, 100<<10>>2).raw(), AppendOptions{}); errors.Is(err, ErrFull) {
			refused++
		}
	}
	if _, err := p.Append(plain(1, 1).raw(), AppendOptions{}); refused == 0 || !errors.Is(err, ErrFull) {
		t.Fatalf("%d refused, %v", refused, err)
	}
	end := p.Offsets().End
	if h, _, _ := readAll(t, p, 0, ReadUncommitted); len(h) == 0 {
		t.Error("reading does not go on")
	}
	if lsn, _, err := l.Commit(Update{Markers: []Marker{{TopicPartition: p.name(), ProducerID: 1, Commit: true}}}); err != nil {
		t.Errorf("the end of a transaction: %v", err)
	} else {
		wait(t, l, lsn)
	}
	if start, lsn, err := p.DeleteRecords(end); err != nil || start != end { // who makes room
		t.Errorf("deletion: %v", err)
	} else {
		wait(t, l, lsn)
	}
	if err := l.checkpoint(false); err != nil {
		t.Error(err)
	}

	fs.free.Store(1 << 30)
	if _, err := p.Append(plain(1, 1).raw(), AppendOptions{}); !errors.Is(err, ErrFull) {
		t.Errorf("looked at once more too early: %v", err)
	}
	clock.Add(time.Second)
	if res := plain(1, 1).append(t, l, p); res.BaseOffset != end+1 {
		t.Errorf("appended at %d, want %d", res.BaseOffset, end+1)
	}
	if got := log.String(); strings.Count(got, "the disk is full") != 1 || strings.Count(got, "room on the disk again") != 1 {
		t.Errorf("log:\n%s", got)
	}
	if err := l.Verify(ctx); err != nil {
		t.Error(err)
	}
}

// TestReserve: on a small disk the reserve is a part of it, without one there is none, and a file system that does not tell is not full.
func TestReserve(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		reserve int64
		free    uint64
		full    bool
	}{{0, 52 << 20, false}, {0, 51 << 20, true}, {1 << 20, 2 << 20, false}, {-1, 0, false}} {
		fs := &sizedFS{FS: vfs.NewMem()}
		fs.free.Store(c.free)
		cfg := testConfig(fs)
		cfg.ReserveBytes = c.reserve
		l := open(t, cfg)
		l.room.since.Store(roomStep)
		if err := l.admitBytes(1); errors.Is(err, ErrFull) != c.full {
			t.Errorf("reserve %d with %d free: %v", c.reserve, c.free, err)
		}
	}
	l := open(t, testConfig(vfs.NewMem()))
	l.room.since.Store(roomStep)
	if err := l.admitBytes(1); err != nil {
		t.Error(err)
	}
}
