package commitlog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// segmentFiles returns the names of a partition's segment files.
func segmentFiles(t *testing.T, fs vfs.FS, p *Partition) (names []string) {
	t.Helper()
	all, err := fs.List(p.dir)
	if err != nil {
		return nil
	}
	for _, name := range all {
		if strings.HasSuffix(name, segmentSuffix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// TestPurge: deleted records give their memory and their files back, and what was deleted in time is never written.
func TestPurge(t *testing.T) {
	t.Parallel()
	fs := vfs.NewCrashableMem()
	l := open(t, testConfig(fs))
	p := l.Partition(create(t, l, "t", 1, nil).ID, 0)
	for range 40 {
		plain(1, 4<<10).append(t, l, p)
	}
	if err := l.checkpoint(false); err != nil {
		t.Fatal(err)
	}
	before := segmentFiles(t, fs, p)
	trim(t, l, p, 30)
	if err := l.checkpoint(false); err != nil {
		t.Fatal(err)
	}
	if after := segmentFiles(t, fs, p); len(after) >= len(before) || !slices.Contains(after, before[len(before)-1]) {
		t.Errorf("segments before %v, after %v", before, after)
	}
	if _, err := p.Read(29, ReadOptions{MaxBytes: 1}); !errors.Is(err, ErrOffsetOutOfRange) {
		t.Errorf("read of a deleted record: %v", err)
	}
	if h, _, _ := readAll(t, p, 30, ReadUncommitted); len(h) != 10 {
		t.Errorf("read %d batches, want 10", len(h))
	}
	trim(t, l, p, 40)
	for i := range int64(20) { // as a repartition topic is used
		plain(1, 1<<10).append(t, l, p)
		trim(t, l, p, 41+i)
	}
	if err := l.checkpoint(false); err != nil {
		t.Fatal(err)
	}
	if left := segmentFiles(t, fs, p); len(left) != 0 {
		t.Errorf("segments left: %v", left)
	}
	if bytes := l.tailBytes.Load(); bytes != 0 {
		t.Errorf("%d bytes in memory", bytes)
	}
	plain(1, 10).append(t, l, p)
	if h, _, _ := readAll(t, p, 60, ReadUncommitted); len(h) != 1 || h[0].BaseOffset != 60 {
		t.Errorf("read %v", h)
	}
}

func trim(t *testing.T, l *Log, p *Partition, before int64) {
	t.Helper()
	start, lsn, err := p.DeleteRecords(before)
	if err != nil || start != before {
		t.Fatalf("delete before %d: start %d, %v", before, start, err)
	}
	wait(t, l, lsn)
}

// TestDeletedUnderReader: a reader whose segment is deleted, and its files removed, before it has opened the segment or its index, reads
// what it has or is told that it is too late. Another failure would be taken for damage.
func TestDeletedUnderReader(t *testing.T) {
	t.Parallel()
	for _, suffix := range []string{segmentSuffix, indexSuffix} {
		for _, byTime := range []bool{false, true} {
			fs := &watchedFS{FS: vfs.NewMem()}
			l := open(t, testConfig(fs))
			p := l.Partition(create(t, l, "t", 1, nil).ID, 0)
			for range 5 { // each in a segment of its own
				plain(1, 20<<10).append(t, l, p)
			}
			l = reopen(t, l) // no index is in memory, and no file is open
			p = l.Partition(p.topic.ID, 0)
			before := segmentFiles(t, fs, p)
			fs.opening = func(path string) {
				if !strings.HasSuffix(path, suffix) {
					return
				}
				fs.opening = nil
				trim(t, l, p, 3)
				if err := l.checkpoint(false); err != nil {
					t.Error(err)
				}
			}
			if byTime {
				if found, err := p.OffsetForTimestamp(0, ReadUncommitted); err != nil || found.Offset != 0 && found.Offset != 3 {
					t.Errorf("before its %s is opened: found by time %+v, %v", suffix, found, err)
				}
			} else if r, err := p.Read(0, ReadOptions{MaxBytes: 1, MinOneBatch: true}); len(r.Batches) != 1 && !errors.Is(err, ErrOffsetOutOfRange) {
				t.Errorf("before its %s is opened: %d batches, %v", suffix, len(r.Batches), err)
			}
			if after := segmentFiles(t, fs, p); fs.opening != nil || len(after) >= len(before) {
				t.Errorf("before its %s is opened: nothing was removed under the reader: %v", suffix, after)
			}
		}
	}
}

// TestTimeAfterDelete: records that are deleted are not found by their time, be they in a segment, in memory, or in a batch that is
// partly deleted.
func TestTimeAfterDelete(t *testing.T) {
	t.Parallel()
	for _, written := range []bool{false, true} {
		l := open(t, testConfig(vfs.NewCrashableMem()))
		p := l.Partition(create(t, l, "t", 1, nil).ID, 0)
		late := plain(3, 10) // times 1000, 1001, 9999
		late.records[2].Timestamp = 9999
		late.append(t, l, p)
		plain(3, 10).append(t, l, p) // 1000, 1001, 1002 at 3, 4, 5
		for _, c := range []struct{ start, at1000, highest int64 }{{0, 0, 2}, {1, 1, 2}, {2, 2, 2}, {3, 3, 5}, {4, 4, 5}, {6, -1, -1}} {
			if c.start > 0 {
				trim(t, l, p, c.start)
			}
			if written {
				if err := l.checkpoint(false); err != nil {
					t.Fatal(err)
				}
			}
			if found, err := p.OffsetForTimestamp(1000, ReadUncommitted); err != nil || found.Offset != c.at1000 {
				t.Errorf("written %v, start %d: time 1000 is at %d, %v, want %d", written, c.start, found.Offset, err, c.at1000)
			}
			if found, err := p.OffsetForMaxTimestamp(ReadUncommitted); err != nil || found.Offset != c.highest {
				t.Errorf("written %v, start %d: highest time is at %d, %v, want %d", written, c.start, found.Offset, err, c.highest)
			}
		}
	}
}

// deletion is what was asked of a partition and what was acknowledged.
type deletion struct {
	start, asked int64 // the log start is between them
	end          int64 // at least
	bases        []int64
	disk         *vfs.MemFS
}

// TestCrashWhileDeleting appends, deletes and checkpoints at random, and opens what a crash would leave around some of the syncs: the
// log start is where it was acknowledged, all above is there, and the segments are sound.
func TestCrashWhileDeleting(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 21))
			mem := vfs.NewCrashableMem()
			var mu sync.Mutex
			var now deletion
			var clones []deletion
			points, done := 0, false
			fs := &syncFS{FS: mem}
			fs.observe = func(string) {
				mu.Lock()
				defer mu.Unlock()
				if points++; done || points%5 != 0 {
					return
				}
				fs.cloneMu.Lock()
				defer fs.cloneMu.Unlock()
				c := now
				c.disk = mem.CrashClone(vfs.CrashCloneCfg{})
				clones = append(clones, c)
			}
			l := open(t, testConfig(fs))
			p := l.Partition(create(t, l, "t", 1, nil).ID, 0)
			clones = nil // of before there was a topic
			set := func(f func()) {
				mu.Lock()
				defer mu.Unlock()
				f()
			}
			for range 120 {
				switch rng.IntN(6) {
				case 0:
					before := now.start + rng.Int64N(now.end-now.start+1)
					set(func() { now.asked = before })
					if _, lsn, err := p.DeleteRecords(before); err != nil {
						t.Fatal(err)
					} else {
						wait(t, l, lsn)
					}
					set(func() { now.start = before })
				case 1:
					if err := l.checkpoint(false); err != nil {
						t.Fatal(err)
					}
				default:
					res := plain(1+rng.IntN(5), 1+rng.IntN(4<<10)).append(t, l, p)
					set(func() { now.bases, now.end = append(now.bases, res.BaseOffset), p.Offsets().End })
				}
			}
			set(func() { done = true })
			if len(clones) < 20 {
				t.Errorf("%d clones", len(clones))
			}
			for i := range clones {
				clones[i].check(t, p.name())
			}
		})
	}
}

// check opens the clone.
func (d *deletion) check(t *testing.T, tp TopicPartition) {
	t.Helper()
	l, err := Open(ctx, testConfig(d.disk), nil)
	if err != nil {
		t.Fatal(err)
	}
	p := l.catalog.partition(tp)
	o := p.Offsets()
	if o.LogStart < d.start || o.LogStart > d.asked || o.End < d.end {
		t.Errorf("after a crash: start %d, end %d, acknowledged %d and %d, asked %d", o.LogStart, o.End, d.start, d.end, d.asked)
	}
	headers, _, _ := readAll(t, p, o.LogStart, ReadUncommitted)
	have := map[int64]bool{}
	for _, h := range headers {
		have[h.BaseOffset] = true
	}
	for i, base := range d.bases {
		next := d.end
		if i+1 < len(d.bases) {
			next = d.bases[i+1]
		}
		if next > o.LogStart && !have[base] {
			t.Errorf("after a crash: the batch at %d is lost, start %d", base, o.LogStart)
		}
	}
	if err := errors.Join(l.Verify(ctx), l.Close()); err != nil {
		t.Error(err)
	}
}
