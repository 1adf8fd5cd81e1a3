package commitlog

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// heldFS holds the journal's syncs back while it is told to.
type heldFS struct {
	syncFS
	mu   sync.Mutex
	held chan struct{} // syncs wait until it is closed; nil: they do not

	syncs atomic.Int64 // of the journal, begun and ended
}

func newHeldFS() *heldFS {
	fs := &heldFS{}
	fs.FS = vfs.NewMem()
	fs.observe = func(class string) {
		fs.mu.Lock()
		held := fs.held
		fs.mu.Unlock()
		if class != "journal" {
			return
		}
		if held != nil {
			<-held
		}
		fs.syncs.Add(1)
	}
	return fs
}

// hold has syncs wait until the function that it returns is called.
func (fs *heldFS) hold() (release func()) {
	held := make(chan struct{})
	fs.mu.Lock()
	fs.held = held
	fs.mu.Unlock()
	return func() {
		fs.mu.Lock()
		fs.held = nil
		fs.mu.Unlock()
		close(held)
	}
}

// TestNothingBeforeDurable checks L3: what is appended cannot be read, and a transaction that has ended does not move the last
// stable offset, before the entry is durable.
func TestNothingBeforeDurable(t *testing.T) {
	t.Parallel()
	fs := newHeldFS()
	l := open(t, testConfig(fs))
	topic := create(t, l, "t", 1, nil)
	tp := TopicPartition{topic.ID, 0}
	p := l.Partition(topic.ID, 0)
	transactional(1, 0, 0, 2).append(t, l, p)

	release := fs.hold()
	res, err := p.Append(plain(3, 10).raw(), AppendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	lsn, _, err := l.Commit(Update{Markers: []Marker{{TopicPartition: tp, ProducerID: 1, Commit: true}}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := p.Offsets(), (Offsets{LastStable: 0, HighWatermark: 2, End: 6}); got != want {
		t.Errorf("offsets before the sync %+v, want %+v", got, want)
	}
	for _, iso := range []Isolation{ReadUncommitted, ReadCommitted} {
		if r, err := p.Read(int64(2-2*iso), ReadOptions{MaxBytes: 1000, Isolation: iso}); err != nil || r.Bytes != 0 {
			t.Errorf("isolation %d read %d bytes, %v", iso, r.Bytes, err)
		}
	}
	if r, err := p.Read(4, ReadOptions{MaxBytes: 1000}); err != nil || r.Bytes != 0 {
		t.Errorf("between high watermark and end: %d bytes, %v", r.Bytes, err)
	}
	p.publish(res.LSN) // as if the batch had become durable before the end of the transaction
	if got, want := p.Offsets(), (Offsets{LastStable: 0, HighWatermark: 5, End: 6}); got != want {
		t.Errorf("offsets between the two %+v, want %+v", got, want)
	}
	if l.Durable() >= res.LSN || l.Enqueued() != lsn {
		t.Errorf("durable %d, enqueued %d, appended %d, committed %d", l.Durable(), l.Enqueued(), res.LSN, lsn)
	}
	release()
	wait(t, l, lsn)
	if got, want := p.Offsets(), (Offsets{LastStable: 6, HighWatermark: 6, End: 6}); got != want {
		t.Errorf("offsets after the sync %+v, want %+v", got, want)
	}
}

// TestDeleteBelowHighWatermark: what nobody has been told of cannot be deleted, also not as everything that there is.
func TestDeleteBelowHighWatermark(t *testing.T) {
	t.Parallel()
	fs := newHeldFS()
	l := open(t, testConfig(fs))
	p := l.Partition(create(t, l, "t", 1, nil).ID, 0)
	plain(2, 10).append(t, l, p)
	release := fs.hold()
	defer release()
	if _, err := p.Append(plain(3, 10).raw(), AppendOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.DeleteRecords(3); !errors.Is(err, ErrOffsetOutOfRange) {
		t.Errorf("above the high watermark: %v", err)
	}
	if start, _, err := p.DeleteRecords(-1); start != 2 || err != nil {
		t.Errorf("all: start %d, %v", start, err)
	}
}

// TestGroupCommit: one sync covers all that arrived during the one before it, whatever the number of partitions.
func TestGroupCommit(t *testing.T) {
	t.Parallel()
	fs := newHeldFS()
	l := open(t, testConfig(fs))
	topic := create(t, l, "t", 64, nil)
	release := fs.hold()
	var last LSN
	for i := range topic.Partitions {
		res, err := l.Partition(topic.ID, i).Append(plain(1, 10).raw(), AppendOptions{})
		if err != nil {
			t.Fatal(err)
		}
		last = res.LSN
	}
	before := fs.syncs.Load()
	release()
	wait(t, l, last)
	if n := (fs.syncs.Load() - before) / 2; n > 2 { // the one that was held, and one for all that came meanwhile
		t.Errorf("%d syncs for 64 partitions", n)
	}
}

// TestDuplicateWaits: a retry that comes while the original is being synced is to wait for the same sync.
func TestDuplicateWaits(t *testing.T) {
	t.Parallel()
	fs := newHeldFS()
	l := open(t, testConfig(fs))
	p := l.Partition(create(t, l, "t", 1, nil).ID, 0)
	release := fs.hold()
	first, err := p.Append(idempotent(1, 0, 0, 2).raw(), AppendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	again, err := p.Append(idempotent(1, 0, 0, 2).raw(), AppendOptions{})
	if err != nil || !again.Duplicate || again.LSN != first.LSN || again.BaseOffset != first.BaseOffset {
		t.Errorf("retry: %+v, %v; original %+v", again, err, first)
	}
	if l.Durable() >= again.LSN {
		t.Error("durable before the sync")
	}
	release()
	wait(t, l, again.LSN)
}

// woken reports whether the waiter has woken, or does so soon.
func woken(w *Waiter, within time.Duration) bool {
	select {
	case <-w.C():
		return true
	case <-time.After(within):
		return false
	}
}

const (
	soon  = 10 * time.Second
	never = 20 * time.Millisecond
)

func TestWaiter(t *testing.T) {
	t.Parallel()
	l := open(t, testConfig(vfs.NewMem()))
	topic := create(t, l, "t", 2, nil)
	tp := TopicPartition{topic.ID, 0}
	p, other := l.Partition(topic.ID, 0), l.Partition(topic.ID, 1)
	raw := plain(1, 100).raw()
	w := NewWaiter()
	p.Watch(w, ReadUncommitted)
	other.Watch(w, ReadUncommitted)
	w.Arm(2*int64(len(raw)) - 1)
	plain(1, 100).append(t, l, p)
	if woken(w, never) {
		t.Fatal("woke too early")
	}
	plain(1, 100).append(t, l, other)
	if !woken(w, soon) {
		t.Fatal("did not wake when the bytes of both partitions were enough")
	}
	plain(1, 100).append(t, l, p) // before Arm
	w.Arm(1)
	if !woken(w, soon) {
		t.Fatal("did not wake for bytes from before Arm")
	}
	w.Arm(1)
	p.Unwatch(w)
	other.Unwatch(w)
	plain(1, 100).append(t, l, p)
	if woken(w, never) {
		t.Fatal("woke after Unwatch")
	}

	for id, commit := range []bool{true, false} {
		t.Run(map[bool]string{true: "commit", false: "abort"}[commit], func(t *testing.T) {
			w := NewWaiter()
			p.Watch(w, ReadCommitted)
			defer p.Unwatch(w)
			w.Arm(1)
			transactional(int64(id), 0, 0, 1).append(t, l, p)
			plain(1, 100).append(t, l, p)
			if woken(w, never) {
				t.Fatal("woke for data above the last stable offset")
			}
			lsn, _, err := l.Commit(Update{Markers: []Marker{{TopicPartition: tp, ProducerID: int64(id), Commit: commit}}})
			if err != nil {
				t.Fatal(err)
			}
			wait(t, l, lsn)
			if !woken(w, soon) {
				t.Fatal("did not wake")
			}
		})
	}

	w = NewWaiter()
	other.Watch(w, ReadCommitted)
	w.Arm(1 << 40)
	if _, err := l.DeleteTopic(topic.ID); err != nil {
		t.Fatal(err)
	}
	if !woken(w, soon) {
		t.Fatal("did not wake when the topic was deleted")
	}
	if _, err := other.Read(0, ReadOptions{MaxBytes: 1000}); !errors.Is(err, ErrUnknownTopic) {
		t.Errorf("read of a deleted topic: %v", err)
	}
	if _, err := other.Append(raw, AppendOptions{}); !errors.Is(err, ErrUnknownTopic) {
		t.Errorf("append to a deleted topic: %v", err)
	}
}

// TestCommitOfDeletedTopic ends a transaction that had written to a topic that is gone.
func TestCommitOfDeletedTopic(t *testing.T) {
	t.Parallel()
	m := newTxnMachine()
	l := open(t, testConfig(vfs.NewMem()), m)
	gone, stays := create(t, l, "gone", 1, nil), create(t, l, "stays", 1, nil)
	transactional(1, 0, 0, 1).append(t, l, l.Partition(gone.ID, 0))
	transactional(1, 0, 0, 1).append(t, l, l.Partition(stays.ID, 0))
	if _, err := l.DeleteTopic(gone.ID); err != nil {
		t.Fatal(err)
	}
	m.Lock()
	lsn, offsets, err := l.Commit(Update{
		Records: []Record{{1, []byte{2}}},
		Markers: []Marker{
			{TopicPartition: TopicPartition{gone.ID, 0}, ProducerID: 1, Commit: true},
			{TopicPartition: TopicPartition{stays.ID, 0}, ProducerID: 1, Commit: true},
		},
	})
	m.Unlock()
	if err != nil || offsets[0] != -1 || offsets[1] != 1 {
		t.Fatalf("offsets %v, %v", offsets, err)
	}
	wait(t, l, lsn)
	if got := l.Partition(stays.ID, 0).Offsets().LastStable; got != 2 {
		t.Errorf("last stable offset %d", got)
	}
}

// TestStopped fails a sync: all that wait are told, reading goes on, and what was acknowledged is there after a restart.
func TestStopped(t *testing.T) {
	t.Parallel()
	fs := &brokenFS{FS: vfs.NewMem()}
	m := newTxnMachine()
	l := open(t, testConfig(fs), m)
	p := l.Partition(create(t, l, "t", 1, nil).ID, 0)
	plain(5, 100).append(t, l, p)
	w := NewWaiter()
	p.Watch(w, ReadCommitted)
	w.Arm(1 << 40)
	fs.broken.Store(true)
	res, err := p.Append(plain(5, 100).raw(), AppendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Wait(ctx, res.LSN); !errors.Is(err, ErrStopped) {
		t.Fatalf("wait: %v", err)
	}
	fs.broken.Store(false)
	if !woken(w, soon) {
		t.Error("the waiter was not told")
	}
	<-l.Stopped()
	if _, err := p.Append(plain(1, 10).raw(), AppendOptions{}); !errors.Is(err, ErrStopped) {
		t.Errorf("append: %v", err)
	}
	if _, _, err := l.Commit(Update{Records: []Record{{1, []byte{2}}}}); !errors.Is(err, ErrStopped) || len(m.ended) > 0 {
		t.Errorf("commit: %v, applied %v", err, m.ended)
	}
	if headers, _, _ := readAll(t, p, 0, ReadCommitted); len(headers) != 1 {
		t.Errorf("read %d batches", len(headers))
	}
	if err := l.Close(); !errors.Is(err, ErrStopped) {
		t.Errorf("close: %v", err)
	}
	l = open(t, testConfig(fs), newTxnMachine())
	topic, _ := l.Topic("t")
	if headers, _, _ := readAll(t, l.Partition(topic.ID, 0), 0, ReadCommitted); len(headers) < 1 {
		t.Errorf("read %d batches after the restart", len(headers))
	}
}
