package journal

import (
	"context"
	"errors"
	goruntime "runtime"
	"testing"
	"time"
)

// TestClose: what was enqueued is durable, and nothing more is taken. Whoever waits for an entry that will never be is told.
func TestClose(t *testing.T) {
	t.Parallel()
	fs := &slowFS{newDir(t), make(chan struct{}), make(chan struct{})}
	go fs.letGo()
	j := openJournal(t, fs, 1, 0)
	if _, err := j.Enqueue(NewEntry(payload(1), nil)); err != nil {
		t.Fatal(err)
	}
	<-fs.begun
	limited, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	never := make(chan error)
	go func() { never <- j.Wait(limited, 2) }()
	closed := make(chan error)
	go func() { closed <- j.Close() }()
	for closing := false; !closing; goruntime.Gosched() { // until then there is no file to rotate to
		_, err := j.Rotate()
		closing = errors.Is(err, ErrClosed)
	}
	if err := j.Close(); !errors.Is(err, ErrClosed) {
		t.Errorf("close again: %v", err)
	}
	if lsn, err := j.Enqueue(NewEntry(nil, nil)); !errors.Is(err, ErrClosed) {
		t.Errorf("enqueue: %d, %v", lsn, err)
	}
	durable := make(chan error)
	go func() { durable <- j.Wait(limited, 1) }()
	fs.goOn <- struct{}{}
	if err := <-durable; err != nil {
		t.Errorf("wait for what was enqueued: %v", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("close: %v", err)
	}
	if err := <-never; !errors.Is(err, ErrClosed) {
		t.Errorf("wait for what was not: %v", err)
	}
	if got, err := replayAll(fs, Start{1, 0}); err != nil || got.Last != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestCloseAsync: what was acknowledged without a sync is synced at last, and Close says if it cannot be.
func TestCloseAsync(t *testing.T) {
	t.Parallel()
	fs := &failingFS{FS: newDir(t)}
	j := openAsync(t, fs)
	enqueue(t, j, 3, false)
	fs.set("sync")
	if err := j.Close(); !errors.Is(err, errDisk) {
		t.Errorf("close: %v", err)
	}
}

// TestFail: the owner may stop the journal; the first reason stays.
func TestFail(t *testing.T) {
	t.Parallel()
	j := openJournal(t, newDir(t), 1, 0)
	j.Fail(errDisk)
	j.Fail(errors.New("another"))
	<-j.Stopped()
	if err := j.Wait(ctx, 1); !errors.Is(err, ErrStopped) || !errors.Is(err, errDisk) {
		t.Errorf("wait: %v", err)
	}
	if err := j.Close(); !errors.Is(err, errDisk) {
		t.Errorf("close: %v", err)
	}
}
