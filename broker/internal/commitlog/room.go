package commitlog

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// roomStep is how many bytes are appended between two looks at the disk's free space.
	roomStep = 4 << 20
	// roomPause is how long a full disk is not looked at again.
	roomPause = 500 * time.Millisecond
	// roomShare bounds the reserve on small disks: one part in so many of their size.
	roomShare = 20
)

// room keeps a reserve of disk space free: before it is used up, appends are refused and everything else goes on. What was appended
// needs space still: to be moved from memory to segments, and for the journal; so do commits, deletions and the end of transactions.
type room struct {
	since atomic.Int64 // bytes appended since the last look
	full  atomic.Bool

	mu     sync.Mutex
	looked time.Time // guarded by mu
}

// admitBytes returns an error that wraps ErrFull if appending n bytes would use up the reserve. It looks at the disk once in roomStep
// bytes, and while there is no room, now and then.
func (l *Log) admitBytes(n int) error {
	if l.cfg.ReserveBytes < 0 {
		return nil
	}
	if l.room.since.Add(int64(n)) >= roomStep || l.room.full.Load() {
		l.lookForRoom()
	}
	if l.room.full.Load() {
		return fmt.Errorf("%w: %s", ErrFull, l.cfg.Dir)
	}
	return nil
}

func (l *Log) lookForRoom() {
	r := &l.room
	r.mu.Lock()
	defer r.mu.Unlock()
	now := l.cfg.Now()
	if r.full.Load() && now.Sub(r.looked) < roomPause {
		return
	}
	r.looked = now
	r.since.Store(0)
	u, err := l.cfg.FS.GetDiskUsage(l.cfg.Dir)
	if err != nil {
		r.full.Store(false) // it does not say: then the write will
		return
	}
	reserve := min(uint64(l.cfg.ReserveBytes), u.TotalBytes/roomShare)
	switch full := u.AvailBytes < reserve; {
	case full && !r.full.Swap(true):
		l.cfg.Logger.Error("commit log: the disk is full: nothing is appended until there is room again; reading goes on",
			"dir", l.cfg.Dir, "available_bytes", u.AvailBytes, "reserve_bytes", reserve)
	case !full && r.full.Swap(false):
		l.cfg.Logger.Info("commit log: there is room on the disk again", "dir", l.cfg.Dir, "available_bytes", u.AvailBytes)
	}
}
