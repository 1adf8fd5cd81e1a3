package commitlog

import (
	"errors"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func TestAppendReadReopen(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	cfg := testConfig(fs)
	m := &counterMachine{}
	l := open(t, cfg, m)
	topic := create(t, l, "flights", 2, nil)
	p := l.Partition(topic.ID, 1)
	var want int64
	for range 200 {
		res := plain(3, 400).append(t, l, p)
		if res.BaseOffset != want {
			t.Fatalf("base offset %d, want %d", res.BaseOffset, want)
		}
		want += 3
	}
	check := func(l *Log) {
		t.Helper()
		p := l.Partition(topic.ID, 1)
		if got := p.Offsets(); got != (Offsets{HighWatermark: want, LastStable: want, End: want}) {
			t.Fatalf("offsets %+v, want end %d", got, want)
		}
		headers, _, _ := readAll(t, p, 0, ReadCommitted)
		var next int64
		for _, h := range headers {
			if h.BaseOffset != next {
				t.Fatalf("batch at %d, want %d", h.BaseOffset, next)
			}
			next = h.NextOffset()
		}
		if next != want {
			t.Fatalf("read up to %d, want %d", next, want)
		}
	}
	check(l)
	id := l.ClusterID()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, cfg, &counterMachine{})
	if l.ClusterID() != id {
		t.Errorf("cluster id changed from %s to %s", id, l.ClusterID())
	}
	check(l)
	if got, ok := l.Topic("flights"); !ok || got.ID != topic.ID || got.Partitions != 2 {
		t.Errorf("topic is %+v", got)
	}
}

func TestLocked(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	open(t, testConfig(fs))
	_, err := Open(ctx, testConfig(fs), nil)
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "data") {
		t.Fatalf("second open: %v", err)
	}
}

// TestAppendAllocates: an append allocates a few times per batch, whatever the number of records, and a read from memory once.
func TestAppendAllocates(t *testing.T) {
	cfg := testConfig(vfs.NewMem())
	cfg.TailBytes, cfg.CheckpointBytes, cfg.SegmentBytes = 64<<20, 64<<20, 1<<20
	l := open(t, cfg)
	p := l.Partition(create(t, l, "t", 1, nil).ID, 0)
	const runs = 100
	raws := make([][]byte, 0, 2*runs)
	for range cap(raws) {
		raws = append(raws, plain(200, 80).raw())
	}
	var last LSN
	if n := testing.AllocsPerRun(runs, func() {
		res, err := p.Append(raws[0], AppendOptions{})
		if err != nil {
			t.Fatal(err)
		}
		raws, last = raws[1:], res.LSN
	}); n > 5 { // the committer's group is in it
		t.Errorf("append of 200 records: %v allocations", n)
	}
	wait(t, l, last)
	if n := testing.AllocsPerRun(runs, func() {
		if _, err := p.Read(0, ReadOptions{MaxBytes: 100 << 10}); err != nil {
			t.Fatal(err)
		}
	}); n > 1 {
		t.Errorf("read from memory: %v allocations", n)
	}
}

// TestSealedSegmentsHaveIndexes seals segments that were synced already, and ones that were not.
func TestSealedSegmentsHaveIndexes(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	cfg := testConfig(fs)
	cfg.SegmentBytes = 4 << 10
	l := open(t, cfg)
	p := l.Partition(create(t, l, "t", 1, nil).ID, 0)
	for i := range 20 {
		plain(20, 60).append(t, l, p)
		if i%3 > 0 {
			continue
		}
		if err := l.checkpoint(false); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.checkpoint(false); err != nil {
		t.Fatal(err)
	}
	for _, s := range p.mu.segments {
		if _, err := fs.Stat(s.indexPath()); (err == nil) != s.sealed {
			t.Errorf("segment at %d, sealed %v: index file: %v", s.base, s.sealed, err)
		}
	}
	if len(p.mu.segments) < 5 {
		t.Errorf("%d segments", len(p.mu.segments))
	}
}
